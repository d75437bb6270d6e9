"""A likelihood is a density with an energy, a dispersion φ and a normalising constant.

    ln p(x | z) = −E(x, η, φ)/φ + ln C(η, φ)             (summed over the D values of x, in nats)

`E` is what is usually called the reconstruction loss; of most families it does not depend on φ. `C` makes the density
integrate to 1; a loss may drop it only where it does not depend on η.
"""

from abc import ABC, abstractmethod
from math import sqrt
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vaekl.model.likelihoods.choices import FAMILIES
from vaekl.model.likelihoods.support import Supported
from vaekl.system.errors import VaeklError


class Likelihood(Supported, nn.Module, ABC):
    """Base class of the families; a subclass writes the methods for each value of x, and this class sums them.

    Every method returns [B, *S] on the scale of x, log-probabilities in nats, where it does not say otherwise.

    Shapes:
        - `eta`: η, the decoder's output, [B, P, *S] with P = `outputs` and S the shape of one example, as (C, H, W).
        - `x`: [B, *S].
        - `dispersion`: φ, with the axes of S; broadcasts against x: one for all, one per channel [C, 1, ...], or S.
    """

    #: decoder outputs P for each value of x
    outputs: int = 1
    #: s in ln C = −s ln φ + const where φ is a scale, which can be learned or solved; None where another φ is the same
    #: as another η, which the decoder can give by itself
    scale_power: float | None = None
    #: whether φ weighs E against the KL; not where it is a shape of the density, such as the overdispersion of counts,
    #: which is learned, and at which E is −φ ln p
    weighs_energy: bool = True
    #: whether E depends on φ, so that the best φ is no closed form of E
    energy_depends_on_dispersion: bool = False
    #: whether a loss without ln C has no least value: ln C depends on parameters of the family's own, or is all that
    #: keeps a scale that the decoder gives from growing without end
    needs_constant: bool = False
    #: the learning rate of the family's own parameters, over that of the networks
    lr_factor: float = 10.0
    #: the smallest φ for which every η still gives a density
    min_dispersion: ClassVar[float] = 0.0
    #: E and ln C at φ = 1, or at any φ that is a scale, as equations; ln C is "0" where nothing is added to −E at φ = 1
    energy_text: str
    log_norm_const_text: str
    #: the weighting that `weighting=auto` takes; None: learned_precision where φ is a scale, else fixed_dispersion
    weighting: str | None = None
    #: what to know of pictures of the mean, in words
    mean_note: ClassVar[str] = ""
    #: whether ln p of a value is given others of its example, as the chain rule has it, and not of the value by itself
    coupled: bool = False
    #: whether it is known to be a density: vaekl's own are, and a user's own is tried before its first step
    checked: bool = True
    #: how many φ a weighting that fits them gives it: "scalar", "channel" or "value"
    dispersion_per: str = "scalar"
    chosen_because: str = ""  # by `likelihood=auto`
    #: what φ is
    dispersion_text: str = "the dispersion"

    def __new__(cls, *options: Any, **named: Any) -> "Likelihood":
        likelihood: Likelihood = super().__new__(cls)
        nn.Module.__init__(likelihood)  # here, so that a subclass need not
        return likelihood

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" not in vars(cls):
            cls.name = cls.__name__
        elif cls.__module__.startswith(f"{__package__}.") and not cls.__name__.startswith("_"):
            FAMILIES.append(cls)

    def facts(self) -> dict[str, Any]:
        """What is true of this family, as values of JSON: a run's folder holds it for those who have not the class.

        Returns:
            `name`; `energy` and `log_norm_const`, as text; `discrete`; `accepts`, the supports of data that it fits;
            `support`, its own in words; `dispersion`, what φ is; `protocol`, any clip; `scale_power`, s in
            ln C = −s ln φ + const, or None; `unit_sigma`, the standard deviation at φ = 1, so that
            σ = unit_sigma · φ^scale_power, or None where φ is no scale, or σ depends on η.
        """
        return {
            "name": self.name,
            "energy": self.energy_text,
            "log_norm_const": self.log_norm_const_text,
            "discrete": self.discrete,
            "accepts": list(self.accepts),
            "support": self.support_text,
            "dispersion": self.dispersion_text,
            "protocol": self.full_protocol,
            "scale_power": self.scale_power,
            "unit_sigma": self.unit_sigma,
        }

    def shifted(self, eta: Tensor, offset: Tensor | None) -> Tensor:
        """η [B, P, *S] of rates exp(offset) times as large, of a family that `takes_offset`; None leaves them.

        Args:
            eta: [B, P, *S].
            offset: broadcasts against [B, *S].
        """
        return eta if offset is None else torch.cat([eta[:, :1] + offset.unsqueeze(1), eta[:, 1:]], 1)

    @property
    def learned_options(self) -> dict[str, float]:
        """What the family has learned beside φ and the decoder, by the options that say `learned`."""
        return {}

    @property
    def has_dispersion(self) -> Tensor | None:
        """Which values of x have a φ, bool of the shape S; None where all have one."""
        return None

    @property
    def has_constant(self) -> bool:
        """Whether ln C at φ = 1 may be another number than 0, as its equation says."""
        return self.log_norm_const_text != "0"

    @property
    def unit_sigma(self) -> float | None:
        """The standard deviation at φ = 1 of a family whose φ is a scale; None where φ is no scale, or σ depends on η.

        For a scale, ln C = −s ln φ + const means that widths grow as φ^s, so that σ = unit_sigma · φ^s.
        """
        if self.scale_power is None:
            return None
        # other numbers in each output, for the components of a mixture may lie apart
        eta = torch.randn(3, self.outputs, 1, 1, 1, generator=torch.Generator().manual_seed(0))
        variances = self.variance(eta, torch.ones(1, 1, 1)).flatten().tolist()
        return sqrt(variances[0]) if len(set(variances)) == 1 else None

    def eta_of_mean(self, mean: Tensor) -> Tensor | None:
        """η of the best constant decoder, or near it, for data of this mean; None for a family that names none.

        Args:
            mean: of x, of any shape [...].

        Returns:
            [P, ...].
        """
        return None

    def first_eta(self, mean: Tensor, variance: float) -> Tensor | None:
        """η at which the decoder's last bias begins; None to leave it as the network has it.

        Args:
            mean: of x, of any shape [...].
            variance: the average variance of a value of x.

        Returns:
            [P, ...].
        """
        return None

    def first_dispersion(self, variance: float) -> float | None:
        """A φ at which learning may begin, for a φ that is learned and no scale; None to begin at 1.

        Args:
            variance: the average variance of a value of x.
        """
        return None

    def energy_at_rmse(self, rmse: float) -> float | None:
        """The mean energy of values whose root mean square error is `rmse`; None where it does not follow from that."""
        return None

    @property
    def protocol(self) -> str:
        """What is clipped, in words: every figure under this likelihood depends on it."""
        return "nothing clipped"

    @property
    def full_protocol(self) -> str:
        """The same, and that nobody has tried whether it is a density."""
        return self.protocol + ("" if self.checked else "; not tried to be a density (likelihood.check=off)")

    @abstractmethod
    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        """E(x, η, φ), the part of −φ ln p that depends on x; [B, *S]."""

    def energy_slope(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        """−φ² d(E/φ)/dφ, [B, *S]: its mean is s·φ at the φ that is best for x; E itself where E has no φ in it."""
        if not self.energy_depends_on_dispersion:
            return self.energy(eta, x, dispersion)
        with torch.enable_grad():
            phi = dispersion.detach().expand(x.shape).clone().requires_grad_()
            (slope,) = torch.autograd.grad((self.energy(eta.detach(), x, phi) / phi).sum(), phi)
        return -phi.detach().square() * slope

    @abstractmethod
    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        """ln C(η, φ), nats; [B, *S]."""

    @abstractmethod
    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        """E[x] under the density, its constant included; [B, *S]."""

    @abstractmethod
    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        """Var[x] under the density, [B, *S]; the root of its average is the implied σ."""

    def moments(self, eta: Tensor, dispersion: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each [B, *S]."""
        return self.mean(eta, dispersion), self.variance(eta, dispersion)

    @abstractmethod
    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of x, [B, *S], from the generator or from torch's own."""

    def log_prob(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        """ln p(x | η) = −E/φ + ln C of each value of x, nats; [B, *S]."""
        return self.log_norm_const(eta, dispersion) - self.energy(eta, x, dispersion) / dispersion

    def parts(self, eta: Tensor, x: Tensor, dispersion: Tensor, tempered: bool = True) -> tuple[Tensor, Tensor]:
        """Energy and constant summed as the ledger holds them; a family may fuse them into one pass.

        Args:
            eta: [B, P, *S].
            x: [B, *S].
            dispersion: φ, with the axes of S, so that it broadcasts against x.
            tempered: whether φ may differ from 1.

        Returns:
            E summed over every axis along which φ is constant, [B, *dispersion.shape], and ln C summed over the image,
            [B], nats.
        """
        energy = self.energy(eta, x, dispersion).sum_to_size((len(x), *dispersion.shape))
        if not (self.has_constant or tempered):
            return energy, eta.new_zeros(len(x))
        # the constant of a scale does not depend on η: one image's is every image's
        some_eta = eta if self.scale_power is None else eta[:1]
        return energy, self.log_norm_const(some_eta, dispersion).sum(tuple(range(1, x.ndim))).expand(len(x))

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        """ln P(lower < X ≤ upper | η), in nats for each value of x: what a density gives to the bin of an integer.

        Optional; `has_log_mass` says whether a family has it.

        Args:
            eta: [B, P, *S].
            lower: the bin's beginning, float64, broadcasts against x; −inf takes the whole tail.
            upper: the bin's end, above `lower`, likewise [B, *S]; edges outside `bounds` are moved there.
            dispersion: φ, broadcasts against x.

        Returns:
            [B, *S], computed in float64 and in logarithms, so that it is finite far in the tails; in the type
            of η, float32 at least.
        """
        raise NotImplementedError(f"likelihood={self.name} has no log_mass.")

    @property
    def has_log_mass(self) -> bool:
        """Whether this family has a `log_mass`: whether its class has overridden it."""
        return type(self).log_mass is not Likelihood.log_mass

    def check_dispersion(self, dispersion: float) -> None:
        """Refuse a fixed φ under which some η give no density.

        Raises:
            VaeklError: one sentence with the smallest φ.
        """
        if not dispersion > 0 or dispersion < self.min_dispersion or dispersion == float("inf"):
            bound = f"at least {self.min_dispersion:g}" if self.min_dispersion else "positive"
            raise VaeklError(
                f"the dispersion of likelihood={self.name} must be {bound} and finite, not {dispersion:g}: otherwise "
                "exp(−E/φ) cannot be normalised, so change weighting.beta or weighting.dispersion."
            )

    def refuse_dispersion(self, dispersion: float, why: str, other: str) -> None:
        """Refuse a φ other than 1.

        Args:
            dispersion: φ.
            why: it can only be 1, after "since".
            other: what to use for another.

        Raises:
            VaeklError: one sentence with all of that.
        """
        if dispersion != 1:
            raise VaeklError(
                f"the dispersion of likelihood={self.name} must be 1, not {dispersion:g}, since {why}: leave "
                f"weighting.dispersion at 1, or use {other}."
            )
