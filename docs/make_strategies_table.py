"""The table of every control in figures.md: `python docs/make_strategies_table.py outputs/strategies [data_dir=...]`.

Trains three seeds of each, measures them on the ruler, and prints a row for each with mean ± standard deviation. Typed
again it goes on where it was stopped.
"""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev

SWEEPS = (
    ["sweep=strategies"],
    ["-m", "likelihood=gaussian", "control=information_weight", "control.weight=4"],
    ["-m", "likelihood=gaussian", "control=geco", "control.rmse=0.14"],
    ["-m", "likelihood=gaussian", "weighting=fixed_beta", "weighting.beta_norm=0.001"],
)
SETTINGS = ["dataset=mnist", "trainer.epochs=2", "seed=0,1,2"]
#: the ruler is that of the first 2,000 test images; such figures are in a file of their own, eval_*.json
MEASURED = ["eval.k=1", "eval.images=2000", "eval.knn=false"]
HEADS = {
    "ruler": ("bits/dim, fair ruler", 3),
    "elbo_nats": ("test ELBO, nats", 1),
    "kl_nats": ("KL", 1),
    "rmse": ("RMSE", 4),
    "dispersion": ("φ", 4),
    "effective_beta_kl": ("effective β_KL", 4),
    "sigma_over_rmse": ("σ/RMSE", 2),
}


def vaekl(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "vaekl", *words], check=True)


def main(out: Path, more: list[str]) -> None:
    for sweep in SWEEPS:
        vaekl("train", *sweep, *SETTINGS, f"output_dir={out}", *more)
    runs = sorted(file.parent for file in out.glob("sweep_*/*/results.json"))
    if left := [str(run) for run in runs if not any(run.glob("eval_*.json"))]:
        vaekl("eval", *left, *MEASURED, *more)
    groups = defaultdict(list)
    for run in runs:
        results = json.loads((run / "results.json").read_text())
        (measured,) = run.glob("eval_*.json")
        test = results["test"]
        test["sigma_over_rmse"] = test["implied_sigma"] / test["rmse"]
        test["ruler"] = json.loads(measured.read_text())["ruler"]["bits_per_dim"]
        control = results["choices"]["control"]
        groups[f"`{control}`" if control != "none" else f"none: `{results['weighting']}`"].append(test)
    print("| control |", " | ".join(head for head, _ in HEADS.values()), "|")
    print("|---|" + "---:|" * len(HEADS))
    for name, tests in sorted(groups.items()):
        cells = [cell([test[key] for test in tests], digits) for key, (_, digits) in HEADS.items()]
        print(f"| {name} |", " | ".join(cells), "|")


def cell(values: list[float | None], digits: int) -> str:
    """Mean ± standard deviation; a dash where there is no such figure."""
    values = [value for value in values if value is not None]
    if len(values) < 2:
        return "–"
    return f"{fmean(values):,.{digits}f} ± {stdev(values):.{digits}f}".replace("-", "−")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
