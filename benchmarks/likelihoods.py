"""What each family costs in training, against plain binary cross-entropy; all interleaved in one process.

    python -m benchmarks.likelihoods [ROUNDS]

Timed is the summed negative log-likelihood of (100, 784) values, forward and backward to the decoder's output, its
energy and its constant kept apart as the ledger keeps them. Eager is compared with eager, compiled with compiled.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch._dynamo
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from vaekl.model.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    CensoredGaussian,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    Likelihood,
    Logistic,
    LogisticMixture,
    LogitNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    TruncatedGaussian,
    ZeroInflatedNegativeBinomial,
)

BATCH, SHAPE = 100, (1, 28, 28)
ROUNDS = 20
REPEATS = 5
#: the largest of counts
MOST = 100
BCE = "binary_cross_entropy_with_logits"
FAMILIES = [
    *[Gaussian(), Laplace(), Logistic(), StudentT(), Bernoulli(), ContinuousBernoulli(), Beta()],
    *[Categorical(256), DiscretizedLogistic(levels=256), LogisticMixture(levels=256)],
    *[Poisson(), NegativeBinomial(), ZeroInflatedNegativeBinomial()],
    *[TruncatedGaussian(), CensoredGaussian(), LogitNormal()],
]

Loss = Callable[[Tensor, Tensor], Tensor]


def plain(eta: Tensor, x: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(eta[:, 0], x, reduction="sum")


def by_torch(eta: Tensor, x: Tensor) -> Tensor:
    return -torch.distributions.ContinuousBernoulli(logits=eta[:, 0], validate_args=False).log_prob(x).sum()


def by_vaekl(likelihood: Likelihood) -> Loss:
    """Minus the sum of both parts at φ = 1; a φ that is learned takes a gradient."""
    learned = likelihood.scale_power is not None or likelihood.weighting == "learned_precision"
    phi = torch.ones(1, 1, 1, requires_grad=learned)

    def loss(eta: Tensor, x: Tensor) -> Tensor:
        energy, log_norm_const = likelihood.parts(eta, x, phi, learned)
        return ((energy / phi).flatten(1).sum(1) - log_norm_const).sum()

    return loss


def dropped(eta: Tensor, x: Tensor) -> Tensor:
    """The continuous Bernoulli's energy alone, as under weighting=fixed_beta: its constant is seen, not followed."""
    energy, log_norm_const = ContinuousBernoulli().parts(eta, x, torch.ones(1, 1, 1), tempered=False)
    return energy.sum() + 0 * log_norm_const.detach().sum()


def batch(likelihood: Likelihood) -> tuple[Tensor, Tensor]:
    """Decoder outputs, spread as those of a net in training, and data that the family takes."""
    generator = torch.Generator().manual_seed(0)
    eta = 4 * torch.randn(BATCH, likelihood.outputs, *SHAPE, generator=generator)
    x = torch.rand(BATCH, *SHAPE, generator=generator)
    if likelihood.discrete:
        x = (x * min(likelihood.bounds[1], MOST)).round()
    return eta.requires_grad_(), x


def subjects() -> dict[str, tuple[Loss, Tensor, Tensor]]:
    """Everything that is timed, under the name in the table."""
    grey = batch(ContinuousBernoulli())
    named = {BCE: (plain, *grey)}
    named |= {likelihood.name: (by_vaekl(likelihood), *batch(likelihood)) for likelihood in FAMILIES}
    named["cb, constant dropped"] = (dropped, *grey)
    named["cb by torch.distributions"] = (by_torch, *grey)
    return named


def seconds(loss: Loss, eta: Tensor, x: Tensor) -> float:
    """The quickest of a few passes: what the pass costs when nobody else has the core."""
    taken = []
    for _ in range(REPEATS):
        eta.grad = None
        start = time.perf_counter()
        loss(eta, x).backward()
        taken.append(time.perf_counter() - start)
    return min(taken)


def measure(rounds: int = ROUNDS) -> list[dict[str, object]]:
    """Time every family eager and compiled.

    Args:
        rounds: how often each is timed; within a round all take turns.

    Returns:
        A row for each family and mode: `family`, `mode`, `microseconds` (median) and the ratio to binary
        cross-entropy in the same mode and round, `ratio` (median), `low` and `high` (quartiles).
    """
    # all families share the code of one loss, of which torch compiles eight variants and leaves the rest eager
    torch._dynamo.config.recompile_limit = 100
    work = {
        (name, mode): (torch.compile(loss) if mode == "compiled" else loss, eta, x)
        for mode in ("eager", "compiled")
        for name, (loss, eta, x) in subjects().items()
    }
    for what in work.values():
        seconds(*what)
    taken = [{key: seconds(*what) for key, what in work.items()} for _ in range(rounds)]
    rows: list[dict[str, object]] = []
    for name, mode in work:
        ratios = [one[name, mode] / one[BCE, mode] for one in taken]
        low, middle, high = statistics.quantiles(ratios, n=4)
        median = statistics.median(one[name, mode] for one in taken)
        rows.append(
            {"family": name, "mode": mode, "microseconds": 1e6 * median, "ratio": middle, "low": low, "high": high}
        )
    return rows


def main(rounds: str = str(ROUNDS)) -> None:
    print(f"({BATCH}, 784), {torch.get_num_threads()} threads, torch {torch.__version__}, {rounds} rounds")
    print(f"{'family':34}{'mode':10}{'µs':>10}{'ratio':>9}   quartiles")
    for row in measure(int(rounds)):
        print(
            f"{row['family']:34}{row['mode']:10}{row['microseconds']:10.0f}{row['ratio']:9.2f}"
            f"   {row['low']:.2f} to {row['high']:.2f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
