"""The VAE: q(z|x), p(x|z), and the parts of one batch's ELBO."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from vaekl.data.row_noise import normal
from vaekl.data.spec import DataSpec
from vaekl.model.control import Control, InformationWeight
from vaekl.model.elbo import ledger_of
from vaekl.model.ledger import ElboTerms, PosteriorSample
from vaekl.model.likelihoods import Likelihood
from vaekl.model.nets import Nets
from vaekl.model.objective import Elbo, Objective
from vaekl.model.weighting import Weighting


class VAE(nn.Module):
    """A Gaussian encoder, a decoder to a likelihood's parameters η, and the weighting that gives φ.

    Args:
        spec: the data as the likelihood sees them.
        nets: encoder x [B, *S] -> (mean, log_std) [B, Z]; decoder z [B, Z] -> η [B, P, *S].
        likelihood: the family of p(x|z).
        weighting: its dispersion, and the loss.
        latents: Z.
        autocast: the half precision in which the networks run, but not the likelihood; None for float32.
        control: what stands for the KL in the loss; None for the KL itself.
        objective: the bound that is maximised; None for the ELBO.

    Source: Kingma, Welling 2014.
    """

    def __init__(
        self,
        spec: DataSpec,
        nets: Nets,
        likelihood: Likelihood,
        weighting: Weighting,
        latents: int,
        autocast: torch.dtype | None = None,
        control: Control | None = None,
        objective: Objective | None = None,
    ) -> None:
        super().__init__()
        self.report_as(spec)
        self.encoder, self.decoder = nets
        self.likelihood = likelihood
        self.weighting = weighting
        self.control = InformationWeight(likelihood, spec, 0) if control is None else control
        self.objective = Elbo() if objective is None else objective
        self.latents = latents
        if spec.scaling is not None:  # whoever reads the run back gives other data the same scale
            self.register_buffer("center", spec.scaling.center)
            self.register_buffer("spread", spec.scaling.spread)
        if spec.mean_total is not None:
            self.register_buffer("mean_total", torch.tensor(spec.mean_total))
        self.autocast = autocast

    def report_as(self, spec: DataSpec) -> None:
        """Take the data for these: their scaling is what densities and moments are brought back by."""
        self.spec = spec
        # a number that the step need not compute
        self.log_volume = spec.log_volume

    def forward(self, x: Tensor, noise: Tensor) -> ElboTerms:
        """The parts of the ELBO, of B·K samples where each image has K, which follow one another.

        Args:
            x: [B, *S].
            noise: standard normal [B, Z] or [B, K, Z]; z = mean + exp(log_std) · noise.
        """
        return self.terms(x, noise)[0]

    def terms(self, x: Tensor, noise: Tensor) -> tuple[ElboTerms, Tensor]:
        """As `forward`, and also η [B·K, P, *S].

        Args:
            x: [B, *S].
            noise: standard normal [B, Z] or [B, K, Z].
        """
        posterior = self._reparameterised(x, noise)
        if noise.dim() == 3:
            x = x.repeat_interleave(noise.shape[1], 0)
        eta = self.decode(posterior.z, x)
        terms = ledger_of(self.likelihood, self.weighting, eta, x, posterior)
        if self.spec.scaling is not None:
            terms.log_norm_const = terms.log_norm_const - self._log_volume(x)
        return terms, eta

    def loss(self, terms: ElboTerms, schedule: Tensor | float) -> Tensor:
        """What is minimised, averaged over the batch, a scalar; in training the control sees the batch first.

        Args:
            terms: the parts of the batch's ELBO.
            schedule: the KL's multiplier, a number or [].
        """
        if self.training:
            with torch.no_grad():
                self.control.observe(terms, schedule)
        return self.objective.loss(terms, schedule, self.weighting, self.control)

    def equation(self) -> str:
        """The loss as text."""
        return self.objective.equation(self.weighting, self.control)

    def information_weight(self, schedule: float) -> float:
        """λ of the implied density's KL, the schedule in it: what a control makes of it, and any that is no φ."""
        return self.weighting.information_weight * self.control.multiplier(schedule)

    def effective_beta_kl(self, dispersion: Tensor, schedule: float) -> Tensor:
        """The KL's weight over the energy's, φ · λ · schedule, of the shape of `dispersion`.

        Args:
            dispersion: φ: as many axes as S, all of length 1, [C, 1, ...], or S.
            schedule: the KL's multiplier.
        """
        return self.weighting.effective_beta_kl(dispersion, self.control.multiplier(schedule))

    def noise(self, images: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise for as many images, [images, Z], on the device of the generator."""
        return normal(torch.Size((images, self.latents)), generator)

    def training_noise(self, images: int, generator: torch.Generator) -> Tensor:
        """The same for a step of training: [images, K, Z] where the objective takes K > 1 samples of each image.

        A weighting that draws its φ or λ draws it here too.
        """
        self.weighting.draw()
        if self.objective.samples == 1:
            return self.noise(images, generator)
        return torch.stack([self.noise(images, generator) for _ in range(self.objective.samples)], 1)

    def sample_posterior(self, x: Tensor, generator: torch.Generator) -> PosteriorSample:
        """One sample of q(z|x) for each image.

        Args:
            x: [B, *S].
            generator: of the noise, on the device of x.
        """
        return self._reparameterised(x, self.noise(len(x), generator))

    def _reparameterised(self, x: Tensor, noise: Tensor) -> PosteriorSample:
        mean, log_std = self.encode(x)
        if noise.dim() == 3:
            mean, log_std = (part.repeat_interleave(noise.shape[1], 0) for part in (mean, log_std))
            noise = noise.flatten(0, 1)
        return PosteriorSample(mean + log_std.exp() * noise, mean, log_std, noise)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of q(z|x), each [B, Z], float32.

        Args:
            x: [B, *S], as the likelihood sees them.
        """
        with self._precision(x):
            mean, log_std = self.encoder(self.spec.to_encoder(x))
        return mean.float(), log_std.float()

    def decode(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """η of p(x|z), [B, P, *S], float32.

        Args:
            z: [B, Z].
            x: the rows [B, *S] whose totals the rates are in proportion to, of data with dataset.offset=total; None for
                rows of the mean total. Of other data it changes nothing.
        """
        with self._precision(z):
            eta: Tensor = self.decoder(z)
        return eta.float() if x is None else self.likelihood.shifted(eta.float(), self.spec.offset(x))

    def moments(self, eta: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of p(x|z), each [B, *S], on the scale of pictures, where levels are k/(levels−1).

        Args:
            eta: [B, P, *S].
        """
        dispersion = self.weighting.dispersion
        mean, variance = self.likelihood.moments(eta, dispersion)
        return self.spec.to_data(mean), self.spec.data_variance(variance)

    def log_prob(self, eta: Tensor, x: Tensor) -> Tensor:
        """ln p(x|z) of the user's values, [B], nats.

        Args:
            eta: [B, P, *S].
            x: [B, *S], as the likelihood sees them.
        """
        density = self.likelihood.log_prob(eta, x, self.weighting.dispersion).flatten(1).sum(1)
        return density - self._log_volume(x)

    def _log_volume(self, x: Tensor) -> Tensor | float:
        if self.spec.has_missing and self.spec.scaling is not None:
            return self.spec.scaling.log_volume_present(x)
        return self.log_volume

    def _precision(self, x: Tensor) -> AbstractContextManager[Any]:
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(x.device.type, dtype=self.autocast)


#: the figures of a training step, averaged over its batch
LEDGER = ("energy_nats", "energy", "log_norm_const_nats", "kl_nats", "loss")


def ledger_means(rows: Tensor) -> dict[str, float]:
    """Means over some steps, with the ELBO.

    Args:
        rows: the values of `LEDGER` of each step, [S, 5].
    """
    means = dict(zip(LEDGER, rows.mean(0).tolist(), strict=True))
    return means | {"elbo_nats": means["log_norm_const_nats"] - means["energy_nats"] - means["kl_nats"]}


class LossAndLedger(nn.Module):
    """x [B, *S], noise [B, Z] or [B, K, Z], the KL's multiplier -> the loss, and the batch's means of `LEDGER`, [5]."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, noise: Tensor, schedule: Tensor | float) -> tuple[Tensor, Tensor]:
        terms: ElboTerms = self.model(x, noise)
        loss = self.model.loss(terms, schedule)
        with torch.no_grad():
            parts = [terms.energy_nats, terms.total_energy, terms.log_norm_const, terms.total_kl]
            return loss, torch.cat([torch.stack(parts).mean(1), loss.detach().view(1)])
