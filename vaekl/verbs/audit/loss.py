"""A loss in anyone's notation -> the density that it implies; arithmetic alone.

    loss = w · Σ e(x, x̂) + v · Σ KL, averaged over the images = a · (E + φ · KL),     φ = v/a

with E the energy of vaekl's family (½ (x − x̂)² for a square), so that a = 2w where the user's square has no ½. Divided
by v it is the negative ELBO at dispersion φ plus ln C, the constant that it lacks.
"""

from dataclasses import dataclass
from math import isclose, log, prod
from typing import Literal

from vaekl.system.errors import VaeklError
from vaekl.verbs.audit.densities import (
    ABSOLUTE,
    CROSS_ENTROPY_BINARY,
    CROSS_ENTROPY_GREY,
    FULL_POISSON,
    FULL_PREDICTED_VARIANCE,
    NEGATIVE_BINOMIAL,
    POISSON,
    PREDICTED_VARIANCE,
    SQUARE,
    Density,
)
from vaekl.verbs.audit.sigma import PixelScale
from vaekl.verbs.audit.text import one

Reduction = Literal["sum", "mean"]
#: sizes that a loss may need, as they are typed
EXAMPLES = {
    "shape": "shape=[3,64,64]", "latents": "latents=128", "batch_size": "batch_size=64",
    "train_images": "train_images=162770",
}  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """What the user minimises; `vaekl audit --help` lists the words.

    Args:
        reconstruction: mse for squares, l1 for absolute differences, bce for binary cross-entropy,
            gaussian_nll for torch's GaussianNLLLoss, with a predicted variance, poisson for its PoissonNLLLoss, nb for
            the negative binomial of scvi-tools.
        half: whether there is a ½ before the square.
        full: whether gaussian_nll has its ½ ln(2π), and poisson its ln x!.
        reduction: of the reconstruction over an image's values.
        kl_reduction: of the KL over the latents.
        batch_reduction: of the reconstruction over the images.
        kl_batch_reduction: of the KL over the images.
        reconstruction_weight: what the reconstruction is multiplied by.
        kl_weight: what the KL is multiplied by.
        kl_weight_name: the key that the user wrote it under.
        beta: a further factor of the KL (Higgins et al. 2017).
        beta_norm: the same as β·Z/N, instead of beta.
        shape: of one example, such as (C, H, W); N is its product.
        latents: Z.
        batch_size: B.
        train_images: how many the data set has, for M_N.
        range: between which values the data lie.
        data: grey or binary, which decides what a binary cross-entropy is.
        sum_is_typed: whether reduction=sum was typed, and nothing about the batch.

    Raises:
        VaeklError: a number is missing, or does not fit another.
    """

    reconstruction: Literal["mse", "l1", "bce", "gaussian_nll", "poisson", "nb"]
    half: bool = False
    full: bool = False
    reduction: Reduction = "sum"
    kl_reduction: Reduction = "sum"
    batch_reduction: Reduction = "mean"
    kl_batch_reduction: Reduction = "mean"
    reconstruction_weight: float = 1.0
    kl_weight: float | Literal["M_N"] = 1.0
    kl_weight_name: str = "kl_weight"
    beta: float = 1.0
    beta_norm: float | None = None
    shape: tuple[int, ...] | None = None
    latents: int | None = None
    batch_size: int | None = None
    train_images: int | None = None
    range: tuple[float, float] = (0.0, 1.0)
    data: Literal["grey", "binary"] = "grey"
    sum_is_typed: bool = False

    def __post_init__(self) -> None:
        if self.half and self.reconstruction != "mse":
            raise VaeklError(f"half=true is the ½ of a square, and reconstruction={self.reconstruction} has none.")
        if self.full and self.reconstruction not in ("gaussian_nll", "poisson"):
            raise VaeklError(
                f"full=true is the constant of gaussian_nll or poisson, and reconstruction={self.reconstruction} has "
                "none."
            )
        if self.reconstruction == "bce" and self.range != (0.0, 1.0):
            raise VaeklError("reconstruction=bce takes data in [0, 1] alone: leave range away, or audit mse or l1.")
        if self.reduction == "mean":
            self._need("shape", "reduction=mean divides by its size")
        if self.kl_reduction == "mean":
            self._need("latents", "kl_reduction=mean divides by their number")
        if self.batch_reduction != self.kl_batch_reduction:
            self._need("batch_size", "only one of the two terms is averaged over the batch")
        if self.beta_norm is not None:
            for key in ("shape", "latents"):
                self._need(key, "beta_norm is β·Z/N")
        if self.kl_weight == "M_N":
            for key in ("batch_size", "train_images"):
                self._need(key, "M_N is batch_size/train_images")

    def _need(self, key: str, because: str) -> None:
        if getattr(self, key) is None:
            raise VaeklError(f"{key} is missing, and {because}: add {EXAMPLES[key]}.")

    @property
    def values(self) -> int | None:
        """N, the number of values in one example."""
        return prod(self.shape) if self.shape else None

    @property
    def example(self) -> str:
        """What one is called."""
        return "image" if self.shape is None or len(self.shape) == 3 else "example"

    @property
    def density(self) -> Density:
        """The density whose energy the reconstruction is."""
        if self.reconstruction == "bce":
            return CROSS_ENTROPY_BINARY if self.data == "binary" else CROSS_ENTROPY_GREY
        predicted = FULL_PREDICTED_VARIANCE if self.full else PREDICTED_VARIANCE
        counted = FULL_POISSON if self.full else POISSON
        return {
            "mse": SQUARE,
            "l1": ABSOLUTE,
            "gaussian_nll": predicted,
            "poisson": counted,
            "nb": NEGATIVE_BINOMIAL,
        }[self.reconstruction]

    @property
    def scale(self) -> PixelScale:
        """What σ is compared with."""
        return PixelScale.typed(self.range, grey=self.data == "grey")

    def kl_numbers(self) -> list[tuple[str, float]]:
        """What the user multiplies the KL by, and how each number is called."""
        if self.kl_weight == "M_N":
            images, batch = self.train_images or 1, self.batch_size or 1
            numbers = [(f"{self.kl_weight_name} = {batch:,}/{images:,}", batch / images)]
        else:
            numbers = [(self.kl_weight_name, self.kl_weight)]
        if self.beta_norm is not None and self.values and self.latents:
            numbers.append((f"β = {self.beta_norm:g} · N/Z", self.beta_norm * self.values / self.latents))
        elif self.beta != 1:
            numbers.append(("β", self.beta))
        return numbers

    @property
    def kl_factor(self) -> float:
        """v, what an image's KL summed over the latents is multiplied by in the mean over images; see `per_batch`."""
        return (
            prod(number for _, number in self.kl_numbers())
            / (self.latents or 1 if self.kl_reduction == "mean" else 1)
            * (self.batch_size or 1 if self.kl_batch_reduction == "sum" else 1)
        )

    @property
    def energy_factor(self) -> float:
        """a, the same for the image's energy E summed over its values."""
        return (
            self.reconstruction_weight
            * (2 if self.reconstruction == "mse" and not self.half else 1)
            / (self.values or 1 if self.reduction == "mean" else 1)
            * (self.batch_size or 1 if self.batch_reduction == "sum" else 1)
        )

    @property
    def per_batch(self) -> bool:
        """Whether both terms are summed over a batch of unknown size, so that v and a are those of a loss over it."""
        return self.batch_size is None and self.batch_reduction == self.kl_batch_reduction == "sum"

    def phi_factors(self) -> list[tuple[float, str]]:
        """The numbers whose product is φ, with where each comes from; those that are 1 are left out."""
        size, latents, batch = self.values or 1, self.latents or 1, self.batch_size or 1
        factors = [(number, name) for name, number in self.kl_numbers()]
        factors.append((1 / self.reconstruction_weight, "1/reconstruction_weight"))
        if self.reduction == "mean":
            factors.append((size, f"N, since the reconstruction is averaged over the values of {one(self.example)}"))
        if self.kl_reduction == "mean":
            factors.append((1 / latents, "1/Z, since the KL is averaged over the latents"))
        if self.batch_reduction != self.kl_batch_reduction:
            summed = self.batch_reduction == "sum"
            text = "1/B, since the KL alone is averaged" if summed else "B, since the reconstruction alone is averaged"
            factors.append((1 / batch if summed else batch, f"{text} over the batch"))
        if self.reconstruction == "mse" and not self.half:
            factors.append((0.5, "½, since the square has no ½ before it"))
        return [factor for factor in factors if factor[0] != 1]

    @property
    def phi(self) -> float:
        """The KL's weight over the energy's: φ where it is a scale, a variance for squares; else λ, at φ = 1."""
        return self.kl_factor / self.energy_factor

    @property
    def sigma(self) -> float | None:
        """The implied standard deviation on the data's scale; None where each pixel has its own.

        >>> round(Loss("mse", reduction="mean", kl_weight=0.00025, shape=(3, 64, 64)).sigma, 4)  # √(w N/2)
        1.2394
        """
        power = self.density.scale_power
        return None if power is None else float(self.density.unit_sigma * self.phi**power)

    @property
    def width(self) -> float:
        """How wide the data's range is."""
        return self.range[1] - self.range[0]

    @property
    def beta_kl(self) -> float:
        """The effective β_KL on the one axis: φ for data scaled to [0, 1] and E summed over an image."""
        # σ shrinks by the width, and φ is its power: a variance by the square of the width
        power = self.density.scale_power
        return self.phi if power is None else float(self.phi / self.width ** (1 / power))

    @property
    def normalised_beta(self) -> float | None:
        """β_norm = β_KL · Z/N, or None without a shape and latents.

        Source: Higgins et al. 2017, section 4.2.
        """
        return self.beta_kl * self.latents / self.values if self.latents and self.values else None

    @property
    def exact(self) -> bool:
        """Whether the loss is the negative ELBO, up to a number at most, with the KL at the weight 1."""
        # people write 1/784 with a few digits
        return self.density.exact and isclose(self.phi, 1, rel_tol=1e-4)

    @property
    def moves_optimum(self) -> bool:
        """Whether what is dropped depends on the decoder, so that the best decoder is another one."""
        return self.density.scale_power is None and not self.density.exact

    @property
    def log_norm_const(self) -> float | None:
        """ln C of a whole image on the data's scale, nats; None where it depends on the decoder, or N is unknown.

        >>> round(Loss("mse", half=True, shape=(1, 1, 1)).log_norm_const, 6)  # −½ ln(2π)
        -0.918939
        """
        if self.density.lacks:
            return None
        if self.exact:
            constant = self.density.unit_log_norm_const
            return self.values * constant if self.values else None if constant else 0.0
        power = self.density.scale_power
        if self.values is None or power is None:
            return None
        return self.values * (self.density.unit_log_norm_const - power * log(self.phi))
