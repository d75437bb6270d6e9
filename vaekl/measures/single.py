"""Figures of single examples: where their noise is from, and that they are numbers."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vaekl.data import order
from vaekl.data.row_noise import RowNoise
from vaekl.measures.elbo import noise_of_test
from vaekl.model.vae import VAE
from vaekl.system.errors import InputError

#: whether the noise of an example belongs to its own values or, as in `vaekl eval`, to its place among the others
NoiseBy = Literal["rows", "eval"]
NOISE_BY = get_args(NoiseBy)
#: how many numbers of rows a sentence names
_MOST_NAMED = 5


def noise_by(how: NoiseBy, model: VAE, seed: int) -> torch.Generator:
    """The random numbers of figures of single examples.

    Args:
        how: rows: each example's own, whatever is beside it; eval: those of the test, one example after the other.
        model: on the device where they are drawn.
        seed: of the numbers.
    """
    if how == "eval":
        return noise_of_test(model, seed)
    return RowNoise(order.seed_of("rows", seed), next(model.parameters()).device)


def finite(figures: Tensor, what: str, model: VAE, rows: Any = None) -> Tensor:
    """The same figures, if all are numbers.

    Args:
        figures: [N] or [N, K].
        what: they are.
        model: that gave them.
        rows: [N], the number of each example in its file; None where they are numbered from 0.

    Raises:
        InputError: names those for which there is no finite number.
    """
    strange = (~figures.isfinite()).view(len(figures), -1).any(1).nonzero().flatten().tolist()
    if not strange:
        return figures
    named = ", ".join(f"{index if rows is None else int(rows[index]):,}" for index in strange[:_MOST_NAMED])
    more = ", ..." if len(strange) > _MOST_NAMED else ""
    raise InputError(
        f"{what} is no finite number for {len(strange):,} of {len(figures):,} {model.spec.example}s "
        f"(numbers {named}{more}, from 0): leave out those whose values are far beyond the run's."
    )
