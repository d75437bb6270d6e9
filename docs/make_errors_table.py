"""The table of each density's worst errors in figures.md: `python docs/make_errors_table.py`.

Every case of tests/model/likelihoods/likelihood_cases.py (η and φ of a family) in float64 against SciPy, or against
mpmath in 60 digits.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/model/likelihoods"))

from likelihood_cases import CASES, Case, p_value

HEADS = ("cases", "total probability − 1", "ln p, nats", "mean", "variance", "draws: smallest p")


def errors(case: Case) -> tuple[float, ...]:
    """What `HEADS` names but for their number: absolute of probability and ln p, relative of the moments."""
    x, weight = case.measure()
    points, (eta, phi), likelihood = case.points(), case.tensors(1), case.likelihood

    def log_prob(values: torch.Tensor) -> np.ndarray:
        eta, phi = case.tensors(len(values))
        return likelihood.log_prob(eta, values.view(-1, 1, 1, 1), phi).flatten().detach().numpy()

    total = (weight.numpy() * np.exp(log_prob(x))).sum()
    off = np.abs(log_prob(points) - case.exact.logpdf(points.numpy()))
    mean, variance = likelihood.mean(eta, phi).item(), likelihood.variance(eta, phi).item()
    draws = likelihood.sample(*case.tensors(20_000), torch.Generator().manual_seed(0)).detach()
    return (
        abs(total - 1),
        off.max(),
        relative(mean, case.exact.mean()),
        relative(variance, case.exact.var()),
        p_value(case.exact, draws),
    )


def relative(value: float, exact: float) -> float:
    return abs(value - exact) / max(abs(exact), 1e-300)


def main() -> None:
    families = defaultdict(list)
    for case in CASES:
        families[case.family].append(errors(case))
    print("| density | " + " | ".join(HEADS) + " |")
    print("|---|" + "---:|" * len(HEADS))
    for family, rows in families.items():
        *worst, _ = (max(column) for column in zip(*rows, strict=True))
        cells = [str(len(rows)), *(f"{value:.0e}" for value in worst), f"{min(row[-1] for row in rows):.3f}"]
        print(f"| {family} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
