"""The tables of image likelihoods in figures.md: `python docs/make_likelihoods_table.py outputs/likelihoods mnist`.

Trains three seeds of each likelihood with the same network and steps, measures them on the fair ruler, and prints a
table for each data set with mean ± standard deviation. Typed again it goes on where it was stopped.
"""

import json
import re
import sys
from pathlib import Path

from make_strategies_table import cell, vaekl

SIGMOID = "likelihood.link=sigmoid"
DECODER = "likelihood.scale=decoder"
LEVELS = "transform=levels"
ROWS = {
    "gaussian, one φ": ["likelihood=gaussian", SIGMOID],
    "gaussian, scale=decoder": ["likelihood=gaussian", SIGMOID, DECODER],
    "laplace, one φ": ["likelihood=laplace", SIGMOID],
    "laplace, scale=decoder": ["likelihood=laplace", SIGMOID, DECODER],
    "logistic, one φ": ["likelihood=logistic", SIGMOID],
    "logistic, scale=decoder": ["likelihood=logistic", SIGMOID, DECODER],
    "student_t, one φ and ν": ["likelihood=student_t", SIGMOID, "likelihood.df=learned"],
    "student_t, scale and ν of the decoder": ["likelihood=student_t", SIGMOID, DECODER, "likelihood.df=decoder"],
    "truncated_gaussian, one φ": ["likelihood=truncated_gaussian"],
    "censored_gaussian, one φ": ["likelihood=censored_gaussian"],
    "logit_normal, one φ": ["likelihood=logit_normal"],
    "cb": ["likelihood=cb"],
    "beta": ["likelihood=beta"],
    "discretized_logistic, one φ": ["likelihood=discretized_logistic", LEVELS],
    "discretized_logistic, scale=decoder": ["likelihood=discretized_logistic", LEVELS, DECODER],
    "logistic_mixture, 5 components": ["likelihood=logistic_mixture", LEVELS],
}
STEPS = {"digits": 600, "mnist": 1100, "fashion_mnist": 1100}
#: the ruler is that of the first 2,000 test images, all 360 of digits
MEASURED = ["eval.k=1", "eval.images=2000", "eval.knn=false"]
HEADS = {
    "ruler": ("bits/dim, fair ruler", 3),
    "bits_per_dim": ("bits/dim from the ELBO", 3),
    "elbo_nats": ("test ELBO, nats", 1),
    "kl_nats": ("KL", 1),
    "rmse": ("RMSE", 4),
    "sigma_over_rmse": ("σ/RMSE", 2),
}


def measured(folder: Path, dataset: str, words: list[str], more: list[str]) -> list[dict[str, float]]:
    """Trains and measures the seeds of one likelihood where they are missing; the test figures of each."""
    runs = [folder / f"seed{seed}" for seed in (0, 1, 2)]
    for seed, run in enumerate(runs):
        if not (run / "results.json").exists():
            steps = f"trainer.steps={STEPS[dataset]}"
            vaekl("train", f"dataset={dataset}", *words, steps, f"seed={seed}", f"hydra.run.dir={run}", *more)
    if left := [str(run) for run in runs if not [*run.glob("eval*.json")]]:
        vaekl("eval", *left, *MEASURED, *more)
    tests = []
    for run in runs:
        (figures,) = run.glob("eval*.json")
        test = json.loads((run / "results.json").read_text())["test"]
        test["sigma_over_rmse"] = test["implied_sigma"] / test["rmse"]
        test["ruler"] = json.loads(figures.read_text())["ruler"]["bits_per_dim"]
        tests.append(test)
    return tests


def main(out: Path, words: list[str]) -> None:
    datasets = [word for word in words if "=" not in word]
    more = [word for word in words if "=" in word]
    for dataset in datasets:
        table = []
        for name, row in ROWS.items():
            folder = out / dataset / re.sub(r"\W+", "_", name, flags=re.ASCII)
            tests = measured(folder, dataset, row, more)
            cells = [cell([test.get(key) for test in tests], digits) for key, (_, digits) in HEADS.items()]
            table.append((sum(test["ruler"] for test in tests), f"| {name} | " + " | ".join(cells) + " |"))
        print(f"\n{dataset}, {STEPS[dataset]:,} steps\n")
        print("| likelihood | " + " | ".join(head for head, _ in HEADS.values()) + " |")
        print("|---|" + "---:|" * len(HEADS))
        print("\n".join(line for _, line in sorted(table)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
