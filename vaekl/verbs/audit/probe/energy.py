"""The families of reconstruction terms, as functions of one value x̂ and one x."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, gammaln

from vaekl.verbs.audit.probe.fits import Array, Fit, fit

#: below the first residual a fit is exact but for rounding; above the second nothing is said to fit
EXACT, LARGEST_RESIDUAL = 1e-6, 3e-3


@dataclass(frozen=True)
class Family:
    """One value's term.

    Args:
        name: as `vaekl audit` calls it.
        text: a formula.
        values: of a = x̂, b = x and the parameter.
        bounds: of the parameter, if it has one.
        parameter: how it is called.
    """

    name: str
    text: str
    values: Callable[[Array, Array, float], Array]
    bounds: tuple[float, float] | None = None
    parameter: str = ""


def _softplus(a: Array) -> Array:
    values: Array = np.logaddexp(0.0, a)
    return values


def _bce(a: Array, b: Array, _: float) -> Array:
    return -b * np.log(a) - (1 - b) * np.log1p(-a)


def _log_c(logit: Array) -> Array:
    """ln C of a continuous Bernoulli."""
    small = np.abs(logit) < 1e-4
    safe = np.where(small, 1.0, logit)
    values: Array = np.where(small, np.log(2.0) + logit**2 / 12, np.log(safe / np.tanh(safe / 2)))
    return values


def _huber(a: Array, b: Array, delta: float) -> Array:
    d = np.abs(a - b)
    values: Array = np.where(d < delta, 0.5 * d**2, delta * (d - 0.5 * delta))
    return values


def _logcosh(a: Array, b: Array, alpha: float) -> Array:
    d = alpha * np.abs(a - b)
    values: Array = (d + np.log1p(np.exp(-2 * d)) - np.log(2.0)) / alpha
    return values


PLAIN = (
    Family("mse", "(x − x̂)²", lambda a, b, _: (a - b) ** 2),
    Family("l1", "|x − x̂|", lambda a, b, _: np.abs(a - b)),
    Family("bce", "BCE(x̂, x)", _bce),
    Family("bce_logits", "BCE(sigmoid(x̂), x)", lambda a, b, _: _softplus(a) - a * b),
    Family("poisson", "(e^x̂ − x x̂)", lambda a, b, _: np.exp(a) - a * b),
    Family("poisson_rate", "(x̂ − x ln x̂)", lambda a, b, _: a - b * np.log(a)),
    Family("cb", "BCE(x̂, x) − ln C(x̂)", lambda a, b, p: _bce(a, b, p) - _log_c(np.log(a / (1 - a)))),
    Family("cb_logits", "BCE(sigmoid(x̂), x) − ln C(x̂)", lambda a, b, _: _softplus(a) - a * b - _log_c(a)),
)
#: further forms, each with what it is
FURTHER = (
    Family("mse", "(x − sigmoid(x̂))²", lambda a, b, _: (expit(a) - b) ** 2),
    Family("mse", "(x − tanh(x̂))²", lambda a, b, _: (np.tanh(a) - b) ** 2),
    Family("l1", "|x − sigmoid(x̂)|", lambda a, b, _: np.abs(expit(a) - b)),
    Family("l1", "|x − tanh(x̂)|", lambda a, b, _: np.abs(np.tanh(a) - b)),
    Family("bce_swapped", "BCE(x, x̂)", lambda a, b, _: -a * np.log(b) - (1 - a) * np.log1p(-b)),
    Family("bce_half", "−x ln x̂", lambda a, b, _: -b * np.log(a)),
    Family("huber", "Huber's loss of x − x̂", _huber, (0.002, 6.0), "δ"),
    Family("logcosh", "ln cosh(α(x − x̂))/α", _logcosh, (0.05, 60.0), "α"),
    Family("charbonnier", "√((x − x̂)² + ε²)", lambda a, b, e: np.sqrt((a - b) ** 2 + e**2), (1e-4, 3.0), "ε"),
    Family("student_t", "ln(1 + (x − x̂)²/c²)", lambda a, b, c: np.log1p((a - b) ** 2 / c**2), (0.02, 30.0), "c"),
    Family("power", "|x − x̂|^p", lambda a, b, p: np.abs(a - b) ** p, (0.3, 6.0), "p"),
)
#: counts, whose dispersion θ is 2 on designed inputs
_THETA = 2.0
COUNTS = (
    Family(
        "nb", "−ln NB(x; x̂, θ)", lambda a, b, _: -_THETA * np.log(_THETA / (_THETA + a)) - b * np.log(a / (_THETA + a))
    ),
    Family("nb", "−ln NB(x; e^x̂, θ)", lambda a, b, _: (_THETA + b) * np.log(_THETA + np.exp(a)) - b * a),
    Family("nb", "−ln NB(x; θ, logits x̂)", lambda a, b, _: (_THETA + b) * _softplus(a) - b * a),
)
#: which two may stand beside each other
_PAIRS = (("mse", "l1"), ("mse", "bce"), ("l1", "bce"), ("mse", "bce_logits"), ("mse", "bce_swapped"))


@dataclass(frozen=True)
class Domain:
    """On which values a loss is looked at: a of x̂ and b of x."""

    name: str
    a: tuple[float, ...]
    b: tuple[float, ...]

    def grids(self) -> tuple[Array, Array]:
        """[a, b] each."""
        a, b = np.meshgrid(np.array(self.a), np.array(self.b), indexing="ij")
        return a, b


#: on every domain one x̂ at least is within a hundredth of some x
_UNIT = (0.03, 0.15, 0.3, 0.45, 0.504, 0.6, 0.69, 0.85, 0.97, 0.996)
_REAL = (-3.6, -2.1, -1.2, -0.4, 0.1, 0.36, 0.55, 0.704, 1.004, 1.3, 2.2, 3.7)
DOMAINS = (
    Domain("real", _REAL, (-2.5, -0.8, 0.0, 0.35, 1.0, 2.4)),
    Domain("x̂ real, x in [0, 1]", _REAL, (0.0, 0.2, 0.5, 0.7, 1.0)),
    Domain("in [0, 1]", _UNIT, (0.01, 0.2, 0.5, 0.7, 0.99)),
    Domain("x̂ > 0, x counts", (0.1, 0.4, 1.004, 1.1, 2.3, 3.9, 6.0), (0.0, 1.0, 2.0, 3.0, 5.0)),
    Domain("x̂ real, x counts", (-2.0, -1.0, 0.2, 0.8, 1.004, 1.5), (0.0, 1.0, 2.0, 3.0, 5.0)),
    Domain("x̂ in [0, 1], x binary", _UNIT, (0.0, 1.0)),
    Domain("x̂ real, x binary", _REAL, (0.0, 1.0)),
)


@dataclass(frozen=True)
class Term:
    """What one value's term is.

    Args:
        families: with their coefficients; one, or two beside each other.
        parameter: of the family, if it has one.
        residual: of the fit.
    """

    families: tuple[tuple[Family, float], ...]
    parameter: float
    residual: float

    @property
    def family(self) -> Family:
        """The first of them."""
        return self.families[0][0]

    @property
    def weight(self) -> float:
        """Its coefficient."""
        return self.families[0][1]

    def at(self, a: float, b: float) -> float:
        """The term at one pair, without its data-dependent part."""
        x_hat, x = np.array(a), np.array(b)
        return float(sum(weight * family.values(x_hat, x, self.parameter) for family, weight in self.families))


def best_term(values: Array, domain: Domain, has_theta: bool) -> Term:
    """The simplest family that fits values on a domain's grid, up to any function of x alone."""
    a, b = domain.grids()
    families = (*COUNTS, *PLAIN, *FURTHER) if has_theta else (*PLAIN, *FURTHER)
    least: Term | None = None
    with np.errstate(all="ignore"):
        for term in fits(values, a, b, families):
            if term.residual < EXACT:
                return term
            if least is None or term.residual < least.residual:
                least = term
    assert least is not None
    return least


def fits(target: Array, a: Array, b: Array, families: tuple[Family, ...]) -> Iterator[Term]:
    """Families with what fits of them, the simplest first; `target` is up to a function of x alone."""
    target = _without_data(target)
    for family in families:
        if family.bounds is None:
            result = _fit_one(target, family.values(a, b, 0.0))
            if result is not None:
                yield Term(((family, result.coefficients[0]),), 0.0, result.residual)
    for family in families:
        if family.bounds is not None and (term := _fit_parameter(target, a, b, family)) is not None:
            yield term
    for names in _PAIRS:
        pair = [next(family for family in families if family.name == name) for name in names]
        functions = [_without_data(family.values(a, b, 0.0)) for family in pair]
        if all(np.isfinite(function).all() for function in functions):
            result = fit(target, *functions)
            yield Term(tuple(zip(pair, result.coefficients, strict=True)), 0.0, result.residual)


def _fit_one(target: Array, function: Array) -> Fit | None:
    return fit(target, _without_data(function)) if np.isfinite(function).all() else None


def _fit_parameter(target: Array, a: Array, b: Array, family: Family) -> Term | None:
    """The parameter by a search over its logarithm, on a grid and then between its neighbours."""
    assert family.bounds is not None
    low, high = (np.log(bound) for bound in family.bounds)
    grid = np.linspace(low, high, 25)

    def left(log_parameter: float) -> float:
        result = _fit_one(target, family.values(a, b, float(np.exp(log_parameter))))
        return result.residual if result is not None else 1e9

    errors = [left(point) for point in grid]
    place = int(np.argmin(errors))
    if errors[place] > 0.3:
        return None
    inner = (grid[max(place - 1, 0)], grid[min(place + 1, len(grid) - 1)])
    refined = minimize_scalar(left, bounds=inner, method="bounded", options={"xatol": 1e-12, "maxiter": 80})
    parameter = float(f"{np.exp(refined.x):.7g}")
    result = _fit_one(target, family.values(a, b, parameter))
    assert result is not None
    return Term(((family, result.coefficients[0]),), parameter, result.residual)


def _without_data(values: Array) -> Array:
    """Without what depends on x alone, which no decoder changes."""
    rest: Array = values - values.mean(0, keepdims=True)
    return rest


def data_part(values: Array, domain: Domain, term: Term) -> str:
    """What stands beside the term that depends on x alone: "lgamma", "stirling", "entropy", "" or "?"."""
    a, b = domain.grids()
    with np.errstate(all="ignore"):
        rest = values - sum(weight * family.values(a, b, term.parameter) for family, weight in term.families)
    column = rest.mean(0)
    x = np.array(domain.b)
    with np.errstate(all="ignore"):
        parts = {
            "": np.zeros_like(x),
            "lgamma": gammaln(x + 1),
            "stirling": np.where(
                x > 1, x * np.log(np.maximum(x, 1)) - x + 0.5 * np.log(2 * np.pi * np.maximum(x, 1)), 0.0
            ),
            "nb": gammaln(x + 1) - gammaln(x + _THETA),
        }
    size = float(np.abs(values).max()) or 1.0
    for name, part in parts.items():
        shifted = term.weight * part
        if np.isfinite(shifted).all() and np.ptp(column - shifted) < 1e-5 * size:
            return name
    return "?"
