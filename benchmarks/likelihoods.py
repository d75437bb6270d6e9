"""What each family costs in training, against plain binary cross-entropy; all interleaved in one process.

    python -m benchmarks.likelihoods [ROUNDS [eager]]

Timed is the summed negative log-likelihood of (100, 784) values, forward and backward to the decoder's output, its
energy and its constant kept apart as the ledger keeps them. Eager is compared with eager, compiled with compiled.

Families that cannot do without costly special functions have a floor: these functions of PyTorch alone (of a mixture
its components), each once for each value, with their derivatives, where the law is not computed at all.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch
import torch._dynamo
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, softplus

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
from vaekl.system.devices import prepare

BATCH, SHAPE = 100, (1, 28, 28)
ROUNDS = 20
MODES = ("eager", "compiled")
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
#: a loss, the decoder's outputs and the data
Subject = tuple[Loss, Tensor, Tensor]
FLOOR = "floor of "
BY_DECODER = "student_t, all by decoder"


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


def gammas(count: int, dtype: torch.dtype) -> Subject:
    """ln Γ of so many numbers for each value, and ψ for the gradient."""
    numbers = 0.1 + 5 * torch.rand(BATCH, count, *SHAPE, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return lambda eta, x: torch.lgamma(eta).sum(), numbers.requires_grad_(), numbers.detach()


def counted(zeros: bool) -> Subject:
    """The law as it is written, in float32, with a learned φ; with more zeros also what mixes them in."""
    log_phi, (eta, x) = torch.zeros(1, requires_grad=True), batch(ZeroInflatedNegativeBinomial())

    def loss(eta: Tensor, x: Tensor) -> Tensor:
        r, odds = (-log_phi).exp(), eta[:, 0] + log_phi
        nats = torch.lgamma(x + r) - torch.lgamma(r) - torch.lgamma(x + 1) + x * odds - (x + r) * softplus(odds)
        return (torch.logaddexp(eta[:, 1], nats) + logsigmoid(eta[:, 1])).sum() if zeros else nats.sum()

    return loss, eta, x


def normal() -> Subject:
    """ln Φ of both ends."""
    ends = 4 * torch.randn(BATCH, 2, *SHAPE, generator=torch.Generator().manual_seed(0))
    return lambda eta, x: torch.special.log_ndtr(eta).sum(), ends.requires_grad_(), ends.detach()


def mixed(components: int) -> Subject:
    """As many of vaekl's discretized logistics as there are components, and the logarithms of sums that mix them."""
    one, part = torch.ones(1, 1, 1), DiscretizedLogistic("decoder", levels=256)
    eta, x = (values.repeat_interleave(components, 0).detach() for values in batch(part))
    logits = torch.randn(BATCH, components, *SHAPE, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def loss(eta: Tensor, x: Tensor) -> Tensor:
        logits.grad = None
        mass = part.log_prob(eta, x, one).view_as(logits)
        return (logits.logsumexp(1) - (logits + mass).logsumexp(1)).sum()

    return loss, eta.requires_grad_(), x


def floors() -> dict[str, Subject]:
    """By the family that is never faster than this, unless its functions are better than PyTorch's."""
    return {
        "beta": gammas(3, torch.float32),
        # of float32 the difference of the two keeps no digits
        BY_DECODER: gammas(2, torch.float64),
        "negative_binomial": counted(zeros=False),
        "zinb": counted(zeros=True),
        "truncated_gaussian": normal(),
        "censored_gaussian": normal(),
        "logistic_mixture": mixed(5),
    }


def subjects() -> dict[str, Subject]:
    """Everything that is timed, under the name in the table."""
    grey = batch(ContinuousBernoulli())
    named = {BCE: (plain, *grey)}
    named |= {likelihood.name: (by_vaekl(likelihood), *batch(likelihood)) for likelihood in FAMILIES}
    by_decoder = StudentT(scale="decoder", df="decoder")
    named[BY_DECODER] = (by_vaekl(by_decoder), *batch(by_decoder))
    named |= {FLOOR + name: floor for name, floor in floors().items()}
    named["cb, constant dropped"] = (dropped, *grey)
    named["cb by torch.distributions"] = (by_torch, *grey)
    return named


def seconds(loss: Loss, eta: Tensor, x: Tensor) -> float:
    """The quickest of a few passes; of one thread its own time, in which it may have had to share the core."""
    clock, taken = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter, []
    for _ in range(REPEATS):
        eta.grad = None
        start = clock()
        loss(eta, x).backward()
        taken.append(clock() - start)
    return min(taken)


def measure(rounds: int = ROUNDS, modes: Sequence[str] = MODES) -> list[dict[str, object]]:
    """Time every family eager and compiled.

    Args:
        rounds: how often each is timed; within a round all take turns.
        modes: which of both.

    Returns:
        A row for each family and mode: `family`, `mode`, `microseconds` (median) and the ratio to binary
        cross-entropy in the same mode and round, `ratio` (median), `low` and `high` (quartiles); `over_floor`, the
        median ratio to its floor, or None.
    """
    # all families share the code of one loss, of which torch compiles eight variants and leaves the rest eager
    torch._dynamo.config.recompile_limit = 100
    work = {
        (name, mode): (torch.compile(loss) if mode == "compiled" else loss, eta, x)
        for mode in modes
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
        floor = (FLOOR + name, mode)
        rows[-1]["over_floor"] = (
            statistics.median(one[name, mode] / one[floor] for one in taken) if floor in work else None
        )
    return rows


def main(rounds: str = str(ROUNDS), *modes: str) -> None:
    prepare(torch.device("cpu"))  # as in runs, freed memory is kept
    print(f"({BATCH}, 784), {torch.get_num_threads()} threads, torch {torch.__version__}, {rounds} rounds")
    print(f"{'family':40}{'mode':10}{'µs':>10}{'of BCE':>9}   {'quartiles':18}of its floor")
    for row in measure(int(rounds), modes or MODES):
        quartiles = f"{row['low']:.2f} to {row['high']:.2f}"
        over_floor = "" if row["over_floor"] is None else f"{row['over_floor']:.2f}"
        print(
            f"{row['family']:40}{row['mode']:10}{row['microseconds']:10.0f}{row['ratio']:9.2f}   {quartiles:18}"
            f"{over_floor}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
