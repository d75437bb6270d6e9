"""Some further steps of training with one setting changed: what they change says whether it was the right one."""

from collections.abc import Callable
from copy import deepcopy
from math import inf, isfinite

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from vaekl.data import Split, batches_of, generator
from vaekl.measures.elbo import batch_limit
from vaekl.model.ledger import ElboTerms
from vaekl.model.vae import VAE
from vaekl.verbs.diagnose.evidence import Trial

#: what the learning rate is multiplied by
_FACTORS = (0.1, 1.0, 10.0, 100.0)
#: examples on which the ELBO is compared before and after, and which are trained on
_JUDGED, _TRAINED = 500, 5000


def trial(
    model: VAE,
    train: Split,
    valid: Split | None,
    optimizer: Callable[[VAE], torch.optim.Optimizer],
    batch_size: int,
    clip_norm: float | None,
    steps: int,
    seed: int,
) -> Trial:
    """Train on copies of the model for some steps.

    Args:
        model: on the device of the splits; it is left as it is.
        train: examples that are trained on.
        valid: those by which it is judged; None for the training examples.
        optimizer: makes one for the parameters of a model, as it was in the run, at its full learning rate.
        batch_size: examples in a step.
        clip_norm: the largest norm of the gradient, or None.
        steps: how many.
        seed: of all noise.
    """
    held = train if valid is None else valid
    judged, some = held.first(min(_JUDGED, len(held), batch_limit(model))), train.first(min(_TRAINED, len(train)))

    def change(factor: float, loss: Callable[[VAE, ElboTerms], Tensor]) -> float:
        copy = deepcopy(model)
        before = _elbo(copy, judged, seed)
        copy.train()
        rates = optimizer(copy)
        for group in rates.param_groups:
            group["lr"] *= factor
        noise = generator("diagnose trial", seed, next(copy.parameters()).device)
        for index in batches_of(some, min(batch_size, len(some)), seed, range(steps)):
            x = some.batch(index, noise)
            terms, _ = copy.terms(x, copy.training_noise(len(x), noise))
            value = loss(copy, terms)
            rates.zero_grad()
            if not value.isfinite():
                return -inf
            value.backward()
            if clip_norm is not None:
                clip_grad_norm_(copy.parameters(), clip_norm)
            rates.step()
        after = _elbo(copy.eval(), judged, seed)
        return after - before if isfinite(after) else -inf

    by_rate = {factor: change(factor, lambda copy, terms: copy.loss(terms, 1.0)) for factor in _FACTORS}
    weighed = abs(model.information_weight(1.0) - 1) > 1e-6
    without = change(1.0, lambda copy, terms: -terms.elbo.mean()) if weighed else None
    return Trial(steps, by_rate, without, "train" if valid is None else "valid")


@torch.no_grad()
def _elbo(model: VAE, split: Split, seed: int) -> float:
    noise = generator("diagnose judge", seed, next(model.parameters()).device)
    x = split.batch(slice(0, len(split)), noise)
    was = model.training
    model.eval()
    value = float(model(x, model.noise(len(x), noise)).elbo.double().mean())
    model.train(was)
    return value
