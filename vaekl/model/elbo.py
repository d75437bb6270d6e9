"""The ledger of a batch in a loop of one's own: three lines of a training step."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaekl.model.ledger import ElboTerms, PosteriorSample, gaussian_kl
from vaekl.system.errors import InputError

if TYPE_CHECKING:
    from vaekl.model.likelihoods import Likelihood
    from vaekl.model.weighting import Weighting


@dataclass
class StepTerms(ElboTerms):
    """The parts of a batch's ELBO, and what is minimised.

    Args:
        loss: averaged over the batch, a scalar, []; lower is better, and not comparable between weightings.
    """

    loss: Tensor

    def figures(self) -> dict[str, Tensor]:
        """The batch's means, under the names that vaekl logs: scalars, detached."""
        parts = {
            "elbo_nats": self.elbo,
            "energy_nats": self.energy_nats,
            "log_norm_const_nats": self.log_norm_const,
            "kl_nats": self.total_kl,
            "loss": self.loss,
            "dispersion": self.dispersion.log(),
        }
        means = {name: part.detach().mean() for name, part in parts.items()}
        return means | {"dispersion": means["dispersion"].exp()}


def ledger_of(
    likelihood: "Likelihood", weighting: "Weighting", eta: Tensor, x: Tensor, posterior: PosteriorSample
) -> ElboTerms:
    """The parts of a batch's ELBO; in training a weighting that solves φ sees the batch first.

    Args:
        likelihood: the family of p(x|z).
        weighting: its φ.
        eta: η of a sample of each posterior, [B, P, *S].
        x: [B, *S], as the likelihood sees them.
        posterior: q(z|x).
    """
    if weighting.training and weighting.observes:
        with torch.no_grad():
            weighting.observe(eta, x)
    dispersion = weighting.dispersion
    energy, log_norm_const = likelihood.parts(eta, x, dispersion, weighting.tempered)
    return ElboTerms(
        energy=energy,
        log_norm_const=log_norm_const,
        kl=gaussian_kl(posterior.mean, posterior.log_std),
        dispersion=dispersion,
        posterior=posterior,
        tempered=weighting.tempered,
    )


def elbo(
    likelihood: "Likelihood",
    weighting: "Weighting",
    eta: Tensor,
    x: Tensor,
    mean: Tensor,
    log_std: Tensor,
    multiplier: Tensor | float = 1.0,
) -> StepTerms:
    """The ELBO of a batch with all its constants, and the loss that a weighting makes of it.

        weighting = vaekl.auto_weighting(likelihood, shape)  # its parameters, if any, belong into the optimiser
        terms = vaekl.elbo(likelihood, weighting, eta, x, mean, log_std)
        terms.loss.backward()

    Args:
        likelihood: the family of p(x|z).
        weighting: what becomes of φ and ln C; in evaluation mode it only looks.
        eta: the decoder's outputs at z = mean + exp(log_std) · noise, [B, P, *S] with P = likelihood.outputs.
        x: [B, *S], as the likelihood takes them: dequantized, standardized, or as they are. Whether they lie in its
            support is not looked at in every step: `likelihood.check_support(x)` refuses those that do not.
        mean: of q(z|x), [B, Z].
        log_std: the logarithm of its standard deviation, [B, Z].
        multiplier: a number by which the loss multiplies the KL, such as a schedule's or a control's; the ELBO keeps 1.

    Returns:
        The ledger in nats for each example: `elbo`, `energy_nats`, `log_norm_const` and `total_kl`, each [B]; `loss`, a
        scalar; `figures()`, their means for a log. `posterior.z` is NaN, since it is not handed over.

    Raises:
        InputError: the shapes do not go together, or the likelihood does not know its levels.

    >>> from vaekl import FixedDispersion, Gaussian
    >>> x, z = torch.zeros(2, 3), torch.zeros(2, 4)
    >>> terms = elbo(Gaussian(), FixedDispersion(Gaussian(), (3,)), torch.zeros(2, 1, 3), x, z, z)
    >>> round(terms.loss.item(), 4) == round(1.5 * 1.8378771, 4) and terms.elbo.shape == (2,)
    True
    """
    if likelihood.bounds[0] > likelihood.bounds[1]:
        raise InputError(f"{likelihood.name} does not know how many levels x has: make it with levels=K, such as 256.")
    expected = (len(x), likelihood.outputs, *x.shape[1:])
    if tuple(eta.shape) != expected:
        raise InputError(
            f"eta has the shape {list(eta.shape)}, and {likelihood.name} takes {list(expected)} for x of "
            f"{list(x.shape)}: [B, {likelihood.outputs}, *S], as of eta.view(-1, {likelihood.outputs}, *x.shape[1:])."
        )
    if mean.shape != log_std.shape or mean.ndim != 2 or len(mean) != len(x):
        raise InputError(
            f"mean and log_std have the shapes {list(mean.shape)} and {list(log_std.shape)}: both are [{len(x)}, Z]."
        )
    phi, sides = weighting.dispersion.shape, x.shape[1:]
    if len(phi) != len(sides) or any(own not in (1, side) for own, side in zip(phi, sides, strict=True)):
        raise InputError(
            f"the weighting was made for examples of another shape than x of {list(x.shape)}, since its φ has the "
            f"shape {list(phi)}: make it with the shape {tuple(sides)}."
        )
    unknown = torch.full_like(mean, torch.nan)
    terms = ledger_of(likelihood, weighting, eta, x, PosteriorSample(unknown, mean, log_std, unknown))
    loss = weighting.loss(terms, multiplier)
    return StepTerms(terms.energy, terms.log_norm_const, terms.kl, terms.dispersion, terms.posterior, loss)
