"""What could be reached: by a linear model of as many latents, and by a posterior that is fitted to each image."""

from math import log, pi

import torch
from torch import Tensor

from vaekl.data import Split, batch_slices
from vaekl.measures.elbo import batch_limit
from vaekl.model.ledger import gaussian_kl
from vaekl.model.likelihoods import Gaussian
from vaekl.model.vae import VAE
from vaekl.verbs.diagnose.evidence import Linear

#: images whose posterior is fitted, by so many steps of Adam, each of the ELBO's mean over so many samples
_FITTED, _STEPS, _SAMPLES = 100, 100, 4
_RATE = 0.05
#: posterior samples by which the fit is judged
_JUDGED = 16


def linear(model: VAE, train: Split, test: Split, noise: torch.Generator) -> Linear | None:
    """The ELBO of test images under the best linear VAE of as many latents, beside the model's.

    Its optimum is probabilistic PCA, in closed form, whose posterior is exact, so that its ELBO is ln p(x).

    Args:
        model: in evaluation mode.
        train: images that the linear model is fitted to.
        test: images that both are judged by.
        noise: of the transform and the posterior.

    Returns:
        None where the model's density is no Gaussian whose φ is fitted, or a value is missing.

    Source: Tipping, Bishop 1999, equations 4, 7 and 8; Lucas et al. 2019, section 4.1, for the linear VAE.
    """
    if not isinstance(model.likelihood, Gaussian) or not model.weighting.fits_dispersion or model.spec.has_missing:
        return None
    x, _ = _elbos(model, train, noise)
    others, elbos = _elbos(model, test, noise)
    rows, dims = x.shape
    latents = min(model.latents, dims - 1, rows - 2)
    if latents < 1 or len(others) < 2:
        return None
    center = x.mean(0)
    values, directions = principal(x - center)
    kept, directions = values[:latents], directions[:, :latents]
    rest = (values.sum() - kept.sum()) / (dims - latents)
    if not rest > 0 or not kept[-1] > 0:
        return None
    along = ((others - center) @ directions).square()
    beside = (others - center).square().sum(1) - along.sum(1)
    log_det = kept.log().sum() + (dims - latents) * rest.log()
    log_p = -0.5 * ((along / kept).sum(1) + beside / rest + log_det + dims * log(2 * pi)) - model.spec.log_volume
    ahead = log_p - elbos
    return Linear(float(log_p.mean()), float(ahead.mean()), float(ahead.std() / len(ahead) ** 0.5))


@torch.inference_mode()
def _elbos(model: VAE, split: Split, noise: torch.Generator) -> tuple[Tensor, Tensor]:
    """x as the likelihood sees it, [N, D], and the ELBO of each, [N]."""
    parts = []
    for part in batch_slices(len(split), batch_limit(model), drop_last=False):
        x = split.batch(part, noise)
        parts.append((x.flatten(1).double().cpu(), model(x, model.noise(len(x), noise)).elbo.double().cpu()))
    x, elbos = (torch.cat(column) for column in zip(*parts, strict=True))
    return x, elbos


def principal(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues of the covariance of centred rows [N, D], the largest first, and their directions.

    Returns:
        [K] and [D, K] with K = min(N, D).
    """
    if len(rows) >= rows.shape[1]:
        values, directions = torch.linalg.eigh(rows.T @ rows / len(rows))
        return values.flip(0).clamp(min=0), directions.flip(1)
    values, own = torch.linalg.eigh(rows @ rows.T / len(rows))
    values, own = values.flip(0).clamp(min=0), own.flip(1)
    return values, rows.T @ own / (len(rows) * values).sqrt().clamp(min=1e-30)


def fitted_posterior_gain(model: VAE, split: Split, noise: torch.Generator) -> float:
    """By how much the ELBO of some images rises if mean and σ of q(z|x) are fitted to each of them, nats.

    It is what the encoder alone loses: no other encoder of normal posteriors gives this decoder more.

    Args:
        model: in evaluation mode; it is left as it is.
        split: of whose images the first are taken.
        noise: of the transform and all samples.

    Source: Cremer et al. 2018, equation 8: the amortization gap.
    """
    some = split.first(min(_FITTED, batch_limit(model)))
    x = some.batch(slice(0, len(some)), noise)
    with torch.no_grad():
        own = model.encode(x)

    def elbo(mean: Tensor, log_std: Tensor, sample: Tensor) -> Tensor:
        z = mean + log_std.exp() * sample
        return model.log_prob(model.decode(z, x), x) - gaussian_kl(mean, log_std).sum(1)

    @torch.no_grad()
    def judged(mean: Tensor, log_std: Tensor) -> float:
        return float(torch.stack([elbo(mean, log_std, sample) for sample in samples]).double().mean())

    samples = [model.noise(len(x), noise) for _ in range(_JUDGED)]
    mean, log_std = (part.detach().clone().requires_grad_() for part in own)
    steps = torch.optim.Adam([mean, log_std], lr=_RATE)
    rates = torch.optim.lr_scheduler.LinearLR(steps, 1.0, 0.0, _STEPS)
    for _ in range(_STEPS):
        several = [elbo(mean, log_std, model.noise(len(x), noise)).sum() for _ in range(_SAMPLES)]
        loss = -torch.stack(several).sum() / _SAMPLES
        mean.grad, log_std.grad = torch.autograd.grad(loss, (mean, log_std))
        steps.step()
        rates.step()
    return judged(mean, log_std) - judged(*own)
