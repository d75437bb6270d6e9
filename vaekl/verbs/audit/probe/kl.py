"""The KL: which function of μ and the second parameter of q(z|x) the loss has, beside the right one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import expit

from vaekl.verbs.audit.probe.caller import CallError
from vaekl.verbs.audit.probe.designed import Point
from vaekl.verbs.audit.probe.energy import EXACT, LARGEST_RESIDUAL
from vaekl.verbs.audit.probe.fits import Array, fit
from vaekl.verbs.audit.probe.kinks import Kink, find_kink
from vaekl.verbs.audit.probe.search import Call

#: the second parameter s -> σ², in the words of a sentence
VARIANCES: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "logvar": ("ln σ²", lambda s: np.exp(s)),
    "logstd": ("ln σ", lambda s: np.exp(2 * s)),
    "std": ("σ", lambda s: s**2),
    "var": ("σ²", lambda s: s),
    "softplus": ("σ = softplus(s)", lambda s: np.logaddexp(0, s) ** 2),
    "softplus_var": ("σ² = softplus(s)", lambda s: np.logaddexp(0, s)),
    "sigmoid": ("σ = sigmoid(s)", lambda s: expit(s) ** 2),
}
#: functions of μ = m and s that a KL gone wrong is made of
_PIECES: dict[str, Callable[[Array, Array], Array]] = {
    "μ²": lambda m, s: m**2,
    "μ": lambda m, s: m,
    "exp(μ)": lambda m, s: np.exp(m),
    "|μ|": lambda m, s: np.abs(m),
    "s": lambda m, s: s,
    "exp(s)": lambda m, s: np.exp(s),
    "exp(2s)": lambda m, s: np.exp(2 * s),
    "exp(s/2)": lambda m, s: np.exp(s / 2),
    "s²": lambda m, s: s**2,
    "exp(−s)": lambda m, s: np.exp(-s),
    "μ² exp(−s)": lambda m, s: m**2 * np.exp(-s),
    "ln|s|": lambda m, s: np.log(np.abs(s)),
}
_MOST_PIECES = 5
_M = (-2.0, -1.1, -0.4, 0.0, 0.3, 0.9, 1.7, 2.6)
_S = (-2.0, -1.3, -0.7, -0.2, 0.3, 0.8, 1.4, 1.9)
_POSITIVE = (0.15, 0.3, 0.55, 0.8, 1.0, 1.4, 1.9, 2.6)


@dataclass(frozen=True)
class Kl:
    """What the loss makes of q(z|x).

    Args:
        kind: what the second parameter is, of `VARIANCES`; "" where no KL fits.
        square, variance, logarithm: coefficients of μ², σ² and ln σ² of one latent of one image; a KL of weight v
            has v/2, v/2 and −v/2.
        kink: how the KL is bent, if it is.
        pieces: coefficients of `_PIECES` where no KL fits.
        residual: of the fit.
        reads: whether it depends on μ or σ at all.
        between_images: whether the latents of two images act on each other.
    """

    kind: str = ""
    square: float = 0.0
    variance: float = 0.0
    logarithm: float = 0.0
    kink: Kink | None = None
    pieces: dict[str, float] = field(default_factory=dict)
    residual: float = 0.0
    reads: bool = True
    between_images: bool = False

    @property
    def weight(self) -> float:
        """v, from whichever of its coefficients most agree with."""
        if self.kink is not None:
            return self.kink.weight
        return float(np.median([2 * self.square, 2 * self.variance, -2 * self.logarithm]))

    @property
    def is_right(self) -> bool:
        """Whether the three coefficients are those of one KL."""
        size = abs(self.weight)
        parts = (2 * self.square, 2 * self.variance, -2 * self.logarithm)
        return bool(self.kind) and size > 0 and all(abs(part - self.weight) < 1e-4 * size for part in parts)

    def of(self, mu: float, spread: float) -> float:
        """The KL of one latent, without its weight."""
        variance = float(VARIANCES[self.kind][1](np.array(spread)))
        return float(0.5 * (mu**2 + variance - 1 - np.log(variance)))


def read_kl(call: Call) -> Kl:
    """The function of μ and the second parameter that the loss has for one latent of one image."""
    if not {"mu", "spread"} & call.reach:
        return Kl(reads=False)
    roles = [role for role in ("mu", "spread") if role in call.reach]
    start = call.caller.value(call.point)
    if all(call.caller.value(call.point.put(role, 9.0)) == start for role in roles):
        return Kl()  # other latents alone change the loss
    batch, call = call, of_one_image(call)
    kink = find_kink(call)
    kink = kink if kink is not None and kink.shape != "linear" else None
    if kink is None and (left := _between_images(batch)) > 1e-5:
        return Kl(residual=max(left, 2 * LARGEST_RESIDUAL), between_images=True)
    is_bent = kink is not None and kink.shape != "unknown"
    least = Kl(kink=kink, residual=1.0)
    for places in (_S, _POSITIVE) if "spread" in call.reach else ((0.5,),):
        # where the KL bends, on both sides of the bend
        means = np.array(_M) * (max(1.0, np.sqrt(max(kink.nats, 0.0))) if kink is not None and is_bent else 1.0)
        values = _grid(call, means, places)
        if values is None:
            continue
        m, s = np.meshgrid(means, np.array(places), indexing="ij")
        for kl in _fits(values, m, s, kink) if kink is None or is_bent else ():
            if kl.residual < EXACT:
                return kl
            least = min(least, kl, key=lambda each: each.residual)
        if not is_bent and "spread" in call.reach:
            general = _general(values, m, s)
            # with as many pieces as places any function would fit
            is_told = general.residual < EXACT and len(general.pieces) <= _MOST_PIECES
            least = general if is_told else least
        if least.residual < EXACT:
            break
    return least


def _between_images(call: Call) -> float:
    """How much two images' μ change the loss together beside what one does, as in a total correlation."""
    if "mu" not in call.reach or call.point.sizes.batch < 2:
        return 0.0

    def step(other: float) -> float:
        # along one latent alone a total correlation is nothing
        point = call.point.put("mu", other, 1, 0).put("mu", other, 1, 1).put("mu", 0.8, 0, 1)
        return call.caller.value(point.put("mu", 1.0)) - call.caller.value(point.put("mu", 0.4))

    try:
        beside, beyond = step(0.5), step(-0.9)
    except CallError:
        return 0.0
    return abs(beside - beyond) / max(abs(beside), abs(beyond), 1e-30)


def of_one_image(call: Call) -> Call:
    """The call with a batch of one image, in which no number is one of several images; of two where it fails."""
    single = replace(call, point=call.point.resized(replace(call.point.sizes, batch=1)))
    try:
        single.caller.value(single.point)
    except CallError:
        return call
    return single


def _grid(call: Call, means: Array, places: tuple[float, ...]) -> Array | None:
    values = np.empty((len(means), len(places)))
    try:
        for row, m in enumerate(means):
            for column, s in enumerate(places):
                point: Point = call.point.put("mu", float(m))
                values[row, column] = call.caller.value(point.put("spread", s) if "spread" in call.reach else point)
    except CallError:
        return None
    return values


def _fits(values: Array, m: Array, s: Array, kink: Kink | None) -> list[Kl]:
    fits = []
    one = np.ones_like(m)
    for kind, (_, variance_of) in VARIANCES.items():
        if m.shape[1] == 1:  # σ plays no part
            square = fit(values, m**2, one)
            return [Kl("logvar", square.coefficients[0], residual=square.residual)]
        with np.errstate(all="ignore"):
            variance = variance_of(s)
            if not (variance > 0).all():
                continue
            logarithm = np.log(variance)
        if kink is not None:
            bent = fit(values, kink.bend(0.5 * (m**2 + variance - 1 - logarithm)), one)
            half = 0.5 * kink.weight
            fits.append(Kl(kind, half, half, -half, kink, residual=bent.residual))
            continue
        result = fit(values, m**2, variance, logarithm, one)
        of_mu, spread, log_spread, _ = result.coefficients
        fits.append(Kl(kind, of_mu, spread, log_spread, residual=result.residual))
    return fits


def _general(values: Array, m: Array, s: Array) -> Kl:
    """The pieces that the loss is made of, those that are nothing left out."""
    names = list(_PIECES)
    functions = [_PIECES[name](m, s) for name in names]
    result = fit(values, *functions, np.ones_like(m))
    most = max(map(abs, result.coefficients))
    pieces = {
        name: coefficient
        for name, coefficient in zip(names, result.coefficients[:-1], strict=True)
        if abs(coefficient) > 1e-6 * most
    }
    return Kl(pieces=pieces, residual=result.residual)
