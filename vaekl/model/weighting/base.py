"""A weighting decides what is done with the dispersion φ and the constant ln C.

    loss = w_E · E − (ln C or nothing) + w_KL · λ · KL,     effective β_KL = w_KL · λ / w_E = φ · λ

λ is 1, a schedule's multiplier or what a control makes of it.

It changes the loss and never what is reported, which is the ELBO of the density at its φ.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from vaekl.data.spec import Shape
from vaekl.model.ledger import ElboTerms
from vaekl.model.likelihoods import Likelihood
from vaekl.system.checks import one_of
from vaekl.system.errors import VaeklError

#: auto: as the likelihood says; pixel: value, as runs of images may have it in their config
Per = Literal["auto", "scalar", "channel", "value", "pixel"]


class Weighting(nn.Module):
    """Base class: the negative ELBO at whatever φ the subclass gives.

    Args:
        likelihood: says what its dispersion may be; the loss itself sees an `ElboTerms` only.
        shape: S, the shape of one example.
    """

    #: what the weighting is called; a class that sets no name of its own is called as the class
    name: ClassVar[str]
    #: the family of p(x|z)
    likelihood: Likelihood
    #: whether its loss lacks ln C
    drops_constant: bool = False
    #: the KL's coefficient in the loss, before the schedule
    beta_kl: float = 1.0
    #: what of that coefficient is no φ: an information weight λ, beside a control's
    information_weight: float = 1.0
    #: the learning rate of the weighting's own parameters, over that of the networks
    lr_factor: float = 1.0
    #: whether φ may differ from 1
    tempered: bool = True
    #: whether `draw` takes another φ or λ for each step, so that the figures of training are of many of them
    draws: ClassVar[bool] = False
    #: whether `observe` must see a training batch's energies before φ is read
    observes: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" not in vars(cls):
            cls.name = cls.__name__

    def __init__(self, likelihood: Likelihood, shape: Shape) -> None:
        super().__init__()
        if type(self).dispersion is Weighting.dispersion:
            raise VaeklError(f"{type(self).__module__}.{type(self).__name__} gives no dispersion: write that property.")
        # no part of this module: the parameters that it may have are the family's
        self.__dict__["likelihood"] = likelihood

    @property
    def dispersion(self) -> Tensor:
        """φ of the implied density, with as many axes as S: all of length 1, [C, 1, ...], or S."""
        raise NotImplementedError

    @property
    def own_places(self) -> Tensor:
        """Where φ, flattened, is the family's, [n]: all of it where one φ is that of several values, or of none."""
        phi, has = self.dispersion, self.likelihood.has_dispersion
        if has is None or has.shape != phi.shape or not has.any():
            return torch.arange(phi.numel(), device=phi.device)
        return has.flatten().nonzero().squeeze(1)

    @property
    def own_dispersions(self) -> Tensor:
        """φ of the values that have one, [n]."""
        return self.dispersion.flatten()[self.own_places]

    def draw(self) -> None:
        """Called before each step of training; for those whose φ or λ is another one in each."""

    def observe(self, eta: Tensor, x: Tensor) -> None:
        """Called with a training batch before φ is read; for those that solve φ.

        Args:
            eta: the decoder's output η, [B, P, *S].
            x: [B, *S].
        """

    def begin(self, eta: Tensor, x: Tensor) -> None:
        """Called before training; for a first φ.

        Args:
            eta: η of the best constant decoder, [B, P, *S].
            x: [B, *S].
        """

    def loss(self, terms: ElboTerms, multiplier: Tensor | float, penalty: Tensor | None = None) -> Tensor:
        """What is minimised, averaged over the batch, a scalar; not comparable between weightings.

        Args:
            terms: the parts of the batch's ELBO.
            multiplier: of the penalty, a number or [].
            penalty: what a control puts in the KL's place, [B], nats; None for the KL.
        """
        penalty = terms.total_kl if penalty is None else penalty
        return plus(terms.energy_nats - terms.log_norm_const, self.beta_kl * multiplier, penalty).mean()

    def effective_beta_kl(self, dispersion: Tensor, multiplier: float) -> Tensor:
        """The KL's weight over the energy's, on which all strategies are comparable; of the shape of `dispersion`.

        Args:
            dispersion: φ: as many axes as S, all of length 1, [C, 1, ...], or S.
            multiplier: of the KL in the loss, beside φ.
        """
        if not self.likelihood.weighs_energy:
            return torch.full_like(dispersion, multiplier)
        return dispersion * multiplier

    @property
    def fits_dispersion(self) -> bool:
        """Whether it finds φ itself: it has parameters to learn, or sees the energies to solve for φ."""
        return self.observes or any(True for _ in self.parameters())

    def facts(self) -> dict[str, Any]:
        """What is true of this weighting, as values of JSON: a run's folder holds it for those who have not the class.

        Returns:
            `name`; `loss`, the equation; `fits_dispersion`, whether it finds φ itself; `dispersion`, φ where it is one
            fixed number, else None; `implied_beta_kl`, the KL's weight over the energy's at λ = 1, likewise;
            `drops_constant`, whether the loss lacks ln C; `dispersions`, how many φ there are; `draws`, whether φ or λ
            is another one in each step of training.
        """
        fixed = not self.fits_dispersion and self.dispersion.numel() == 1
        return {
            "name": self.name,
            "loss": self.equation(),
            "fits_dispersion": self.fits_dispersion,
            "dispersion": self.dispersion.item() if fixed else None,
            "implied_beta_kl": self.effective_beta_kl(self.dispersion, 1.0).item() if fixed else None,
            "drops_constant": self.drops_constant,
            "dispersions": self.own_dispersions.numel(),
            "draws": self.draws,
        }

    def equation(self, penalty: str = "KL") -> str:
        """The loss as text, with a control's penalty in the KL's place."""
        likelihood = self.likelihood
        energy = f"[{likelihood.energy_text}]/φ" if likelihood.weighs_energy else likelihood.energy_text
        return negative_elbo(energy, likelihood.log_norm_const_text, penalty)

    def explanation(self) -> str:
        """What this weighting does with φ and ln C, in one line."""
        return "the negative ELBO at its φ"


def negative_elbo(energy: str, constant: str, penalty: str = "KL") -> str:
    """The negative ELBO as text, with a control's penalty in the KL's place.

    >>> negative_elbo("[|x − μ|]/φ", "−ln(2φ)")
    '[|x − μ|]/φ − [−ln(2φ)] + KL'
    """
    return " ".join([energy, *([] if constant == "0" else [f"− [{constant}]"]), f"+ {penalty}"])


def plus(rest: Tensor, weight: Tensor | float, kl: Tensor) -> Tensor:
    """rest + weight · kl in one kernel; rest and kl [B]. A weight that changes must be a tensor to torch.compile."""
    return torch.addcmul(rest, kl, weight) if isinstance(weight, Tensor) else torch.add(rest, kl, alpha=weight)


def check_scale(
    likelihood: Likelihood, weighting: str, learns: Callable[[type[Likelihood]], bool] = lambda family: False
) -> None:
    """Refuse a family whose φ is no scale, for a weighting that learns or solves it.

    Args:
        likelihood: the family.
        weighting: the name of the weighting.
        learns: which families it takes beside those whose φ is a scale.

    Raises:
        VaeklError: one sentence that names the families which it takes, on the same data.
    """
    if likelihood.scale_power is None:
        if not type(likelihood).__module__.startswith("vaekl."):
            raise VaeklError(
                f"weighting={weighting} does not fit likelihood={likelihood.name}, whose class has no scale_power: "
                "give it one if ln C = −scale_power · ln φ + const for any η, or use weighting=auto."
            )
        why = "is no scale"
        if likelihood.weighs_energy and likelihood.weighting != "learned_precision":
            why = "cannot be told apart from the decoder's output scale" if _takes(likelihood, 2.0) else "can only be 1"
        others = likelihood.others_that(lambda family: family.scale_power is not None or learns(family))
        raise VaeklError(
            f"weighting={weighting} does not fit likelihood={likelihood.name}, whose dispersion {why}: use "
            f"weighting=auto{others and f', or {others}'}."
        )


def _takes(likelihood: Likelihood, dispersion: float) -> bool:
    try:
        likelihood.check_dispersion(dispersion)
    except VaeklError:
        return False
    return True


def dispersion_shape(per: Per, shape: Shape, auto: str = "scalar") -> Shape:
    """The shape of φ when there is one for all values, per channel (which is a column of vectors) or per value.

    Args:
        per: which of them.
        shape: S.
        auto: what "auto" stands for.

    >>> dispersion_shape("channel", (3, 32, 32))
    (3, 1, 1)
    """
    ones = (1,) * len(shape)
    shapes: dict[str, Shape] = {"scalar": ones, "channel": (shape[0], *ones[1:]), "value": shape}
    word = {"auto": auto, "pixel": "value"}.get(per, per)
    return shapes[one_of(word, "weighting.per", tuple(shapes))]
