"""Some further steps of training with one setting changed: what they change says whether it was the right one."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from math import inf

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from vaekl.data import Split, batches_of, generator
from vaekl.measures.elbo import batch_limit
from vaekl.model.ledger import ElboTerms
from vaekl.model.vae import VAE
from vaekl.verbs.diagnose.evidence import Trial

#: what the learning rate is multiplied by, where it stays below 1
FACTORS = (0.1, 1.0, 10.0, 100.0, 1000.0)
#: examples on which the ELBO is compared before and after, and which are trained on
_JUDGED, _TRAINED = 500, 5000


def trial(
    model: VAE,
    train: Split,
    valid: Split | None,
    optimizer: Callable[[VAE], torch.optim.Optimizer],
    factors: Sequence[float],
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
        factors: what the learning rate is multiplied by.
        batch_size: examples in a step.
        clip_norm: the largest norm of the gradient, or None.
        steps: how many.
        seed: of all noise.
    """
    held = train if valid is None else valid
    judged, some = held.first(min(_JUDGED, len(held), batch_limit(model))), train.first(min(_TRAINED, len(train)))

    before = _elbos(model, judged, seed)

    def change(factor: float, loss: Callable[[VAE, ElboTerms], Tensor]) -> tuple[float, float]:
        copy = deepcopy(model)
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
                return -inf, 0.0
            value.backward()
            if clip_norm is not None:
                clip_grad_norm_(copy.parameters(), clip_norm)
            rates.step()
        changes = _elbos(copy.eval(), judged, seed) - before
        error = float(changes.std() / len(changes) ** 0.5) if len(changes) > 1 else inf
        return (float(changes.mean()), error) if changes.isfinite().all() else (-inf, 0.0)

    by_rate = {factor: change(factor, lambda copy, terms: copy.loss(terms, 1.0)) for factor in factors}
    weighed = abs(model.information_weight(1.0) - 1) > 1e-6
    without = change(1.0, lambda copy, terms: -terms.elbo.mean())[0] if weighed else None
    changes, errors = ({factor: each[i] for factor, each in by_rate.items()} for i in (0, 1))
    return Trial(steps, changes, without, errors, "train" if valid is None else "valid")


@torch.no_grad()
def _elbos(model: VAE, split: Split, seed: int) -> Tensor:
    """Of each example, [N]."""
    noise = generator("diagnose judge", seed, next(model.parameters()).device)
    x = split.batch(slice(0, len(split)), noise)
    was = model.training
    model.eval()
    elbos: Tensor = model(x, model.noise(len(x), noise)).elbo.double()
    model.train(was)
    return elbos
