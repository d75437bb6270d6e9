"""Student's t density, and the masses of its bins."""

from math import log, pi
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vaekl.data.order import numpy_generator
from vaekl.model.likelihoods import beta_mass
from vaekl.model.likelihoods.location_scale import LocationScale
from vaekl.model.likelihoods.numerics import float32_at_least
from vaekl.model.mapped import applied
from vaekl.system.checks import number
from vaekl.system.errors import VaeklError

#: the least ν that is learned, at which the variance is 201 times the squared scale: at ν = 2 it is infinite
_LEAST = 2.01
#: from here on it is a Gaussian, but for a millionth
_MOST = 1e6
#: ln(ν − 2.01) where learning begins: ν = 5
_FIRST = log(5 - _LEAST)


class StudentT(LocationScale):
    """Student's t with squared scale φ: E = ½(ν + 1) φ ln(1 + (x − μ)²/νφ); its variance is νφ/(ν − 2).

    ln C = ln Γ((ν + 1)/2) − ln Γ(ν/2) − ½ ln(πνφ). A value far off costs the logarithm of its distance, and not its
    square; as ν grows it becomes the Gaussian of variance φ. With the decoder's scale s, of squared scale s²φ.

    Source: Takahashi, Iwata, Yamanaka, Yamada, Yagi 2018, "Student-t variational autoencoder for robust density
    estimation", where the decoder gives all three.

    >>> eta, x, one = torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(StudentT().log_prob(eta, x, one).item(), 6)
    -0.96862
    """

    name = "student_t"
    dispersion_text = "the squared scale"
    power = scale_power = 0.5
    energy_depends_on_dispersion = True
    energy_text = "½(ν + 1) φ ln(1 + (x − μ)²/νφ)"
    log_norm_const_text = "ln Γ((ν + 1)/2) − ln Γ(ν/2) − ½ ln(πνφ)"
    texts_by_decoder = ("½(ν + 1) φ ln(1 + ((x − μ)/s)²/νφ)", "ln Γ((ν + 1)/2) − ln Γ(ν/2) − ½ ln(πνs²φ)")

    def __init__(
        self,
        link: Literal["identity", "sigmoid"] = "identity",
        scale: Literal["shared", "decoder"] = "shared",
        per: Literal["value", "image"] = "value",
        min_scale: float | Literal["learned"] = 1e-3,
        df: float | Literal["learned", "decoder"] = 5.0,
    ) -> None:
        """Fix the link, whose the scale is, and whose ν is.

        Args:
            link: how the decoder's output becomes μ; `sigmoid` keeps it inside (0, 1).
            scale: shared: one for all, √φ; decoder: s is the decoder's second output.
            per: whether the decoder gives one s for each value, or for each image.
            min_scale: the smallest s that the decoder can give, or `learned`.
            df: ν, above 2, so that there is a variance; `learned`: 2.01 + exp of one parameter, from 5; `decoder`:
                2.01 + exp of the third output, which takes scale=decoder.
        """
        super().__init__(link, scale, per, min_scale)
        if df not in ("learned", "decoder"):
            number(df, "likelihood.df", 2, _MOST, also="learned, decoder or ")
        if df == "decoder" and not self.by_decoder:
            raise VaeklError(
                "likelihood.df=decoder takes likelihood.scale=decoder too: a φ is no scale where ln C depends on the "
                "decoder."
            )
        self.df = df
        self.needs_constant = self.by_decoder or df == "learned"
        if df == "learned":
            self.log_excess = nn.Parameter(torch.tensor(_FIRST))
        if df == "decoder":
            self.outputs, self.first_others = 3, (_FIRST,)

    @property
    def protocol(self) -> str:
        span = f"from {_LEAST:g} to {_MOST:g}"
        words = {"learned": f"ν is learned, {span}", "decoder": f"the decoder gives ν, {span}"}
        nu = words.get(str(self.df), f"ν = {self.df}")
        return f"{super().protocol}; {nu}" if self.by_decoder else nu

    @property
    def learned_options(self) -> dict[str, float]:
        own = {"df": torch.as_tensor(self.degrees(self.log_excess)).item()} if self.df == "learned" else {}
        return super().learned_options | own

    @property
    def unit_sigma(self) -> float | None:
        # that of a learned ν is another one after training
        return None if self.df == "learned" else super().unit_sigma

    def degrees(self, eta: Tensor) -> Tensor | float:
        """ν, a number or [B, *S]."""
        if not isinstance(self.df, str):
            return float(self.df)
        excess = self.log_excess if self.df == "learned" else eta[:, 2]
        return _LEAST + excess.clamp(max=log(_MOST)).exp()

    def _exact_degrees(self, eta: Tensor) -> Tensor:
        """The same in float64, [] or [B, *S]."""
        nu = self.degrees(eta)
        return nu.double() if isinstance(nu, Tensor) else eta.new_full((), nu, dtype=torch.float64)

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        nu = self.degrees(eta)
        return 0.5 * (nu + 1) * dispersion * torch.log1p(self.offset(eta, x).square() / (nu * dispersion))

    def energy_slope(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        nu, square = self.degrees(eta), self.offset(eta, x).square()
        return 0.5 * (nu + 1) * square / (nu + square / dispersion)

    def unit_log_norm_const(self, eta: Tensor) -> Tensor:
        # float64, since two logarithms of Γ nearly cancel where ν is large
        nu = self._exact_degrees(eta)
        constant: Tensor = applied(_LogNormConst, nu) if self.df == "decoder" else _log_norm_const(nu)
        return float32_at_least(constant, eta.dtype)

    def unit_variance(self, eta: Tensor) -> Tensor | float:
        nu = self.degrees(eta)
        return nu / (nu - 2)

    def unit_draw(self, eta: Tensor, generator: torch.Generator | None) -> Tensor:
        # torch's sampler of a t takes no generator
        nu = self.degrees(eta)
        numbers = nu.detach().cpu().double().numpy() if isinstance(nu, Tensor) else nu
        draws = numpy_generator(generator).standard_t(numbers, size=tuple(eta[:, 0].shape))
        return torch.from_numpy(np.asarray(draws)).to(eta)

    def unit_log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        """ln P(lower < X ≤ upper); it has a gradient with respect to the edges, and so to μ and the scale, not to ν."""
        nu = self._exact_degrees(eta)
        mass: Tensor = applied(_LogMass, *torch.broadcast_tensors(nu, lower, upper))
        return mass


class _LogNormConst(torch.autograd.Function):
    """`_log_norm_const` of many ν above 2, to 12 digits: by Stirling's series of ln Γ(a + ½) − ln Γ(a) at a = ν/2 + 8.

    What the step of 8 leaves is ln Π (a + k)/(a + k + ½) over k = 0 … 7, whose factors k and 7 − k are taken together.
    """

    @staticmethod
    def forward(ctx: Any, nu: Tensor) -> Tensor:
        ctx.save_for_backward(nu)
        a = nu / 2
        ratio = _eight(a * (a + 7)).div_(_eight((a + 0.5).mul_(a + 7.5)))
        log_ratio = ratio.square_().mul_(a + 8).div_(a).log_()
        inverse = a.add_(8).reciprocal_()
        return (
            _series(inverse, -1 / 8, 1 / 192, -1 / 640, 17 / 14336, -31 / 18432)
            .mul_(inverse)
            .add_(log_ratio.sub_(log(2 * pi)), alpha=0.5)
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (nu,) = ctx.saved_tensors
        a = nu / 2
        slope = _eight_slope(a * (a + 7)).mul_(2 * a + 7)
        slope.sub_(_eight_slope((a + 0.5).mul_(a + 7.5)).mul_(2 * a + 8)).sub_(a.reciprocal(), alpha=0.5)
        inverse = a.add_(8).reciprocal_()
        slope.add_(inverse, alpha=0.5)
        series = _series(inverse, 1 / 8, -1 / 64, 1 / 128, -17 / 2048, 31 / 2048).mul_(inverse).mul_(inverse)
        return slope.add_(series).mul_(grad).mul_(0.5)


def _eight(product: Tensor) -> Tensor:
    """b(b + 6)(b + 10)(b + 12) of b = a(a + 7): Π (a + k) over k = 0 … 7."""
    result = product.clone()
    for step in (6, 10, 12):
        result.mul_(product + step)
    return result


def _eight_slope(product: Tensor) -> Tensor:
    """The derivative of its logarithm in b."""
    result = product.reciprocal()
    for step in (6, 10, 12):
        result.add_((product + step).reciprocal_())
    return result


def _series(inverse: Tensor, *coefficients: float) -> Tensor:
    """Σ c_k inverse^2k, by Horner's rule."""
    square = inverse.square()
    total = square * coefficients[-1]
    for coefficient in reversed(coefficients[1:-1]):
        total.add_(coefficient).mul_(square)
    return total.add_(coefficients[0])


def _log_norm_const(nu: Tensor) -> Tensor:
    """ln Γ((ν + 1)/2) − ln Γ(ν/2) − ½ ln(πν); float64, any shape."""
    return torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2) - 0.5 * (torch.pi * nu).log()


def _log_mass_of_distances(nu: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """ln P(near < |T| ≤ far) at μ = 0 and w = 1, all of one shape in float64.

    |T|²/(ν + |T|²) has the beta density of ½ and ν/2, and the log-odds 2 ln|T| − ln ν, which keep their digits.
    """
    start, end = (2 * distance.log() - nu.log() for distance in (near, far))
    return beta_mass.log_mass_by_log_odds(torch.full_like(nu, 0.5), nu / 2, start, end)


class _LogMass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, nu: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        around = ~(upper <= 0)
        mass = _log_mass_of_distances(nu, (-upper).masked_fill(around, 0.0), -lower)
        # a bin with 0 inside has both what lies below it and what lies above
        if around.any():
            above = _log_mass_of_distances(nu[around], torch.zeros_like(nu[around]), upper[around])
            mass[around] = torch.logaddexp(mass[around], above)
        mass = mass - log(2)
        ctx.save_for_backward(nu, lower, upper, mass)
        return mass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        if ctx.needs_input_grad[0]:
            raise NotImplementedError("the mass of a bin under likelihood=student_t has no gradient in ν.")
        nu, lower, upper, mass = ctx.saved_tensors

        def over_mass(edge: Tensor) -> Tensor:
            log_density = _log_norm_const(nu) - (nu + 1) / 2 * torch.log1p(edge.square() / nu)
            slope: Tensor = grad * (log_density - mass).exp()
            return slope

        return None, -over_mass(lower), over_mass(upper)
