"""The densities that a typed reconstruction term implies: mse, l1, bce on grey or binary data, and gaussian_nll.

Their names are those of `likelihood=`; what stands here is what a card says of a loss before torch is imported.
"""

from dataclasses import dataclass, replace
from math import log, pi, sqrt


@dataclass(frozen=True)
class Density:
    """p(x|z) of one value, as far as a card needs it.

    Args:
        likelihood: the option of `vaekl train` that has this density.
        error: the term as people write it.
        energy: E, as vaekl writes it.
        text: the density in words.
        constant_text: ln C of an image in a formula.
        exact: whether exp(−E) at φ = 1 already has the integral 1, or a number that no decoder changes.
        scale_power: s where φ is a scale, so that σ = unit_sigma · φ^s and ln C = unit_log_norm_const − s ln φ; None
            where φ is no scale and ln C depends on the decoder.
        unit_sigma: σ at φ = 1 of a scale.
        unit_log_norm_const: ln C at φ = 1 of a scale, or of what is exact up to a number, nats.
        sigma_text: σ of a scale in a formula.
        largest_sigma: σ at most, where each value has its own; 0 where it may have any.
        largest_where: where σ is so large.
        options: further options of `vaekl train`.
        note: what else is to be known of it.
    """

    likelihood: str
    error: str
    energy: str
    text: str
    constant_text: str
    exact: bool = False
    scale_power: float | None = None
    unit_sigma: float = 0.0
    unit_log_norm_const: float = 0.0
    sigma_text: str = ""
    largest_sigma: float = 0.0
    largest_where: str = ""
    options: tuple[str, ...] = ()
    note: str = ""


SQUARE = Density(
    likelihood="gaussian",
    error="(x − x̂)²",
    energy="½(x − x̂)²",
    text="Gaussian, p(x|z) = N(x; x̂, σ² I), with variance φ = σ²",
    constant_text="−(N/2) ln(2πφ)",
    scale_power=0.5,
    unit_sigma=1.0,
    unit_log_norm_const=-0.5 * log(2 * pi),
    sigma_text="√φ",
)
ABSOLUTE = Density(
    likelihood="laplace",
    error="|x − x̂|",
    energy="|x − x̂|",
    text="Laplace, p(x|z) ∝ exp(−|x − x̂|/φ), with scale φ",
    constant_text="−N ln(2φ)",
    scale_power=1.0,
    unit_sigma=sqrt(2),
    unit_log_norm_const=-log(2),
    sigma_text="√2 · φ",
)
CROSS_ENTROPY_BINARY = Density(
    likelihood="bernoulli",
    error="BCE(x̂, x)",
    energy="BCE(x̂, x)",
    text="Bernoulli on {0, 1}, x̂ = sigmoid(a) the probability of a 1",
    constant_text="0",
    exact=True,
    largest_sigma=0.5,  # √(p(1 − p))
    largest_where="at p = ½",
)
CROSS_ENTROPY_GREY = Density(
    likelihood="cb",
    error="BCE(x̂, x)",
    energy="BCE(x̂, x)",
    text="continuous Bernoulli on [0, 1], with logit a = logit(x̂)",
    constant_text="−ln C(a), with ln C = ln(a / tanh(a/2)) a pixel",
    largest_sigma=1 / sqrt(12),  # of the uniform density, which scatters most of its family
    largest_where="at a = 0",
)
PREDICTED_VARIANCE = Density(
    likelihood="gaussian",
    error="½(ln v + (x − x̂)²/v)",
    energy="½(ln v + (x − x̂)²/v)",
    text="Gaussian, p(x|z) = N(x; x̂, v), with a variance v that the decoder predicts",
    constant_text="−(N/2) ln(2π)",
    exact=True,
    unit_log_norm_const=-0.5 * log(2 * pi),
    options=("likelihood.scale=decoder",),
    note=(
        "A value that is said exactly lowers the loss without end as v → 0: it ends at the floor of v, torch's eps = "
        "1e-6 (σ = 0.001)."
    ),
)
FULL_PREDICTED_VARIANCE = replace(
    PREDICTED_VARIANCE,
    error="½(ln(2πv) + (x − x̂)²/v)",
    energy="½(ln(2πv) + (x − x̂)²/v)",
    constant_text="0",
    unit_log_norm_const=0.0,
)
