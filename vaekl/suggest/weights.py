"""What a noise level φ is as the weight of the KL in the losses that people write."""

from dataclasses import dataclass
from math import prod

from vaekl.store.schema import Facts
from vaekl.verbs.audit.densities import ABSOLUTE, SQUARE
from vaekl.verbs.audit.text import number

#: the energies that have a loss of their own in every library, by the option of `likelihood`
_LOSSES = {density.likelihood: density for density in (SQUARE, ABSOLUTE)}


@dataclass(frozen=True)
class Weight:
    """The KL's weight in one form of a loss.

    Args:
        loss: the reconstruction's part in words.
        beta: the weight of the KL, summed over the latents and averaged over the batch as the reconstruction is.
    """

    loss: str
    beta: float


def weights(facts: Facts, dispersion: float, latents: int) -> list[Weight]:
    """The same φ as the weight of the KL in several forms of the loss; none where E says nothing of φ.

    With E = Σ e over the D values, E/φ + KL is minimised where E + φ · KL is. A loss that takes the square without its
    ½ has twice the weight, one that takes the mean over the values a D-th of it, and one that takes the mean of the KL
    over the Z latents Z times it.

    Args:
        facts: of the run, with the likelihood and the shape of the data.
        dispersion: φ.
        latents: Z.
    """
    likelihood, values = facts.likelihood, prod(facts.data.shape)
    if likelihood.scale_power is None:
        return []
    loss = _LOSSES.get(likelihood.name)
    term, twice = (likelihood.energy, 1.0) if loss is None else (loss.error, 2.0 if loss is SQUARE else 1.0)
    beta = twice * dispersion
    return [
        Weight(f"Σ {term}", beta),
        Weight(f"the mean of {term} over the {values:,} values", beta / values),
        Weight(f"the mean of {term}, with the mean of the KL over the {latents} latents", beta * latents / values),
    ]


def sentence(forms: list[Weight]) -> str:
    """The weights in one line."""
    return "; ".join(f"β_KL = {number(form.beta)} beside {form.loss}" for form in forms)
