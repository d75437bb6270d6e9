"""Whether a user's own family is the density that it says it is; each of vaekl's own passes too, in the tests.

A family is tried at some η and φ, in float64: exp(ln C − E/φ) is summed up over all x, and what the family says of its
mean, its variance, its draws, its bins and of φ as a scale is compared with that density.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf, isfinite, log

import torch
from torch import Tensor

from vaekl.data.spec import Shape
from vaekl.model.likelihoods.base import Likelihood
from vaekl.model.likelihoods.quadrature import points
from vaekl.system.errors import VaeklError, first_line, users_line

#: by how much an integral may differ from 1: of a smooth density, and of one with steps, which is summed up no better
_SMOOTH, _TOLERANCE = 1e-4, 0.01
_DRAWS = 4000
#: of distribution functions: all but one in 10⁷ of so many draws stay below, by Massart's inequality
_FARTHEST = (log(2e7) / (2 * _DRAWS)) ** 0.5


@dataclass(frozen=True)
class _Density:
    """A family at one η and φ.

    Args:
        likelihood: the family.
        eta: [P], float64.
        phi: φ.
    """

    likelihood: Likelihood
    eta: Tensor
    phi: float

    def __str__(self) -> str:
        eta = ", ".join(f"{value:.3g}" for value in self.eta[:4].tolist()) + (", ..." if len(self.eta) > 4 else "")
        return f"at φ = {self.phi:g} and η = ({eta})"

    @property
    def dispersion(self) -> Tensor:
        return torch.full((1, 1, 1), self.phi, dtype=torch.float64)

    def many(self, count: int) -> Tensor:
        """η of as many values, [N, P, 1, 1, 1]."""
        return self.eta.view(1, -1, 1, 1, 1).expand(count, -1, 1, 1, 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """ln p of [N], by the two parts of which the ledger makes it."""
        eta, points = self.many(len(x)), x.view(-1, 1, 1, 1)
        energy, constant = (
            self.likelihood.energy(eta, points, self.dispersion),
            self.likelihood.log_norm_const(eta, self.dispersion),
        )
        for name, part in (("energy", energy), ("log_norm_const", constant)):
            if tuple(part.shape) != tuple(points.shape):
                raise self.wrong(
                    f"{name} has the shape {tuple(part.shape)}, not that of x, {tuple(points.shape)}", name
                )
        return (constant - energy / self.dispersion).flatten().double()

    def moment(self, name: str) -> float:
        """What the family says of its mean or its variance."""
        value: Tensor = getattr(self.likelihood, name)(self.many(1), self.dispersion)
        if value.numel() != 1:
            raise self.wrong(f"{name} has the shape {tuple(value.shape)} for one value of x", name)
        return value.item()

    def wrong(self, what: str, method: str) -> VaeklError:
        """The sentence for what does not fit."""
        return VaeklError(
            f"likelihood={self.likelihood.name} is not the density that it says it is: {self}, {what}; mend {method}, "
            "or set likelihood.check=off (with a + before it in an option of your own), which every figure then says."
        )


def check_density(
    likelihood: Likelihood, dispersions: Iterable[float] = (0.1, 1.0, 10.0), shape: Shape = (1, 1, 1)
) -> None:
    """Refuse a family whose parts do not belong to one density. Takes well under a second.

    Args:
        likelihood: the family, which knows its `outputs`.
        dispersions: φ at which it is tried; those that it refuses are left out.
        shape: S of the data, in which each value must be judged by itself.

    Raises:
        VaeklError: names η, φ and the integral, or the moment, that is wrong.
    """
    densities = list(_densities(likelihood, dispersions))
    try:
        for density in densities:
            _check(density)
        if densities:
            _check_each_value(densities[0], shape)
        if likelihood.scale_power is not None and densities:
            _check_scale(densities, likelihood.scale_power)
    except VaeklError:
        raise
    except Exception as error:
        function, place = users_line(error) or ("a method", "in a library")
        raise VaeklError(
            f"likelihood={likelihood.name} failed when it was tried ({function}: {type(error).__name__}: "
            f"{first_line(error)}, {place}): check it; --debug shows the traceback."
        ) from error


def _densities(likelihood: Likelihood, dispersions: Iterable[float]) -> Iterator[_Density]:
    # moderate ones: far out, a density may lie in x that float64 cannot tell apart
    draw = torch.rand(2, likelihood.outputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for phi in dispersions:
        try:
            likelihood.check_dispersion(phi)
        except VaeklError:
            continue
        for eta in (torch.zeros_like(draw[0]), 2 * draw[0] - 1, 2 * draw[1] - 1):
            yield _Density(likelihood, eta, phi)


def _check(density: _Density) -> None:
    mean, variance = density.moment("mean"), density.moment("variance")
    x, weights = points(density.likelihood, mean, variance)
    atoms = x.new_tensor(density.likelihood.atoms)
    x, weights = torch.cat([x, atoms]), torch.cat([weights, torch.ones_like(atoms)])
    with torch.no_grad():
        density.log_prob(x[:3])  # a wrong shape of so few takes no memory
        mass = weights * density.log_prob(x).exp()
    total, smooth = mass.sum().item(), mass[: len(mass) - len(density.likelihood.atoms)]
    # half of the points give as much where the density is smooth
    error = 10 * abs((smooth.sum() - 2 * smooth[::2].sum()).item()) if not density.likelihood.discrete else 10 * _SMOOTH
    if not abs(total - 1) <= min(max(error, _SMOOTH), _TOLERANCE):
        raise density.wrong(f"exp(ln C − E/φ) has the integral {total:.4g}, not 1", "energy or log_norm_const")
    _check_parts(density, x[mass > 0])
    exact_mean = (mass * x).sum().item() / total
    exact_variance = (mass * (x - exact_mean).square()).sum().item() / total
    spread = exact_variance**0.5
    if not isfinite(variance):
        raise density.wrong("it has no variance, whose root every run reports as σ", "variance")
    if isfinite(mean) and not abs(mean - exact_mean) <= _TOLERANCE * max(spread, 1e-6):
        raise density.wrong(f"its mean is {exact_mean:.4g}, and `mean` says {mean:.4g}", "mean")
    if not abs(variance - exact_variance) <= 3 * _TOLERANCE * exact_variance:
        raise density.wrong(f"its variance is {exact_variance:.4g}, and `variance` says {variance:.4g}", "variance")
    order = x.argsort()
    _check_draws(density, x[order], (mass[order] / total).cumsum(0))
    _check_gradient(density, exact_mean)
    if density.likelihood.has_log_mass and not density.likelihood.discrete:
        _check_bins(density, x[order], (mass[order] / total).cumsum(0))


def _check_parts(density: _Density, x: Tensor) -> None:
    """Compare the sums of the loss, from which a family may leave a constant that is 0, with ln p."""
    some, phi = x[:: max(1, len(x) // 5)].view(-1, 1, 1, 1), density.dispersion
    with torch.no_grad():
        exact = density.log_prob(some.flatten())
        energy, constant = density.likelihood.parts(density.many(len(some)), some, phi, density.phi != 1)
    off = (constant - energy.flatten() / density.phi - exact).abs()
    if not (off <= _SMOOTH * exact.abs().clamp(min=1)).all():
        what = f"the loss is {off.max().item():.4g} nats off ln p, as where log_norm_const_text is 0 and ln C is not"
        raise density.wrong(what, "parts or log_norm_const_text")


def _check_draws(density: _Density, x: Tensor, below: Tensor) -> None:
    """Compare the distribution function of draws with that of the density, `below` of x in their order."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        draws = density.likelihood.sample(density.many(_DRAWS), density.dispersion, generator)
    if tuple(draws.shape) != (_DRAWS, 1, 1, 1) or not draws.isfinite().all():
        raise density.wrong(f"draws have the shape {tuple(draws.shape)}, or are not finite", "sample")
    density.likelihood.check_support(draws)
    values = draws.flatten().double().sort().values
    at = torch.searchsorted(x, values, right=True).clamp(min=1) - 1
    drawn = torch.arange(1, _DRAWS + 1, dtype=torch.float64) / _DRAWS
    last = torch.cat([values.diff() > 0, torch.tensor([True])])  # of equal draws, where x has a probability
    at, drawn = at[last], drawn[last]
    if (distance := (below[at] - drawn).abs().max().item()) > _FARTHEST + _TOLERANCE:
        raise density.wrong(
            f"{_DRAWS:,} draws are not of it: their distribution function is {distance:.3f} off", "sample"
        )


def _check_gradient(density: _Density, mean: float) -> None:
    lower, upper = density.likelihood.bounds
    x = torch.tensor([mean, *density.likelihood.atoms], dtype=torch.float64).clamp(lower, upper)
    if density.likelihood.discrete:
        x = x.round()
    leaf = _Density(density.likelihood, density.eta.clone().requires_grad_(), density.phi)
    log_prob = leaf.log_prob(x).sum()
    slopes = torch.autograd.grad(log_prob, leaf.eta, allow_unused=True) if log_prob.requires_grad else (None,)
    slope = slopes[0]
    if slope is None or not slope.isfinite().all():
        what = "does not depend on η" if slope is None else "has a gradient that is not finite"
        where = ", ".join(f"{value:.4g}" for value in x.tolist())
        raise density.wrong(f"ln p {what} at x = {where}", "energy or log_norm_const")


def _check_bins(density: _Density, x: Tensor, below: Tensor) -> None:
    """Compare the masses of four bins that hold all x."""
    inner = [x[int(torch.searchsorted(below, q))].item() for q in (0.2, 0.5, 0.8)]
    edges = torch.tensor([-inf, *inner, inf], dtype=torch.float64).unique()
    lower, upper = edges[:-1].view(-1, 1, 1, 1), edges[1:].view(-1, 1, 1, 1)
    with torch.no_grad():
        masses = density.likelihood.log_mass(density.many(len(edges) - 1), lower, upper, density.dispersion).exp()
    at = torch.searchsorted(x, edges[1:-1], right=True) - 1
    exact = torch.cat([torch.zeros(1), below[at], torch.ones(1)]).double().diff()
    for left, right, mass, true in zip(edges, edges[1:], masses.flatten().tolist(), exact.tolist(), strict=False):
        if not abs(mass - true) <= _TOLERANCE:
            raise density.wrong(
                f"P({left:.4g} < x ≤ {right:.4g}) is {true:.4g}, and `log_mass` says {mass:.4g}", "log_mass"
            )


def _check_each_value(density: _Density, shape: Shape) -> None:
    """Of two examples each value has a figure of its own, which another value does not change."""
    likelihood, phi = density.likelihood, torch.full((1,) * len(shape), density.phi)
    eta = density.eta.float().view(1, -1, *[1] * len(shape)).expand(2, -1, *shape)
    with torch.no_grad():
        x, other = (likelihood.sample(eta, phi, torch.Generator().manual_seed(seed)) for seed in (0, 1))
        changed = x.clone()
        changed.view(2, -1)[0, 0] = other.reshape(2, -1)[0, 0]
        parts = {
            "energy": likelihood.energy(eta, x, phi),
            "log_norm_const": likelihood.log_norm_const(eta, phi),
            "mean": likelihood.mean(eta, phi),
            "variance": likelihood.variance(eta, phi),
        }
        moved = likelihood.energy(eta, changed, phi) - parts["energy"]
    for name, part in parts.items():
        if tuple(part.shape) != (2, *shape):
            raise density.wrong(f"{name} has the shape {tuple(part.shape)} for two examples of {shape}", name)
    if moved.reshape(2, -1)[:, 1:].any() or moved[1].any():
        raise density.wrong("a value of x changes the energy of the others", "energy")


def _check_scale(densities: list[_Density], power: float) -> None:
    """Compare ln C at two φ: of a scale it is −s ln φ + const, whatever η is."""
    first = densities[0]
    constants = {}
    for phi in (1.0, 2.0):
        others = [replace(density, phi=phi) for density in densities]
        each = [one.likelihood.log_norm_const(one.many(1), one.dispersion) for one in others]
        constants[phi] = torch.stack(each).flatten()
    slope = (constants[1.0] - constants[2.0]) / log(2)
    if not (slope - power).abs().max() <= 1e-4:
        raise first.wrong(
            f"doubling φ takes {slope[0].item() * log(2):.4g} nats from ln C, and scale_power={power:g} says "
            f"{power * log(2):.4g}",
            "scale_power",
        )
    if not (constants[1.0] - constants[1.0][0]).abs().max() <= 1e-4:
        raise first.wrong("ln C depends on η, and so φ is no scale: scale_power must be None", "scale_power")
    for density in densities:
        _check_slope(density)


def _check_slope(density: _Density) -> None:
    """Compare `energy_slope`, by which φ is solved, with differences of E/φ."""
    likelihood, phi, step = density.likelihood, density.dispersion, 1e-3 * density.phi
    eta = density.many(20)
    with torch.no_grad():
        x = likelihood.sample(eta, phi, torch.Generator().manual_seed(1))
        above, below = (likelihood.energy(eta, x, phi + sign * step) / (phi + sign * step) for sign in (1, -1))
        exact, slope = -phi.square() * (above - below) / (2 * step), likelihood.energy_slope(eta, x, phi)
        if not (off := (slope - exact).abs().max().item()) <= 1e-3 * max(density.phi, exact.abs().max().item()):
            what = f"energy_slope, by default E, is {off:.4g} off −φ² d(E/φ)/dφ, as where φ is in E"
            raise density.wrong(what, "energy_depends_on_dispersion or energy_slope")
