"""The table of every control in figures.md: `python docs/make_strategies_table.py outputs/strategies [data_dir=...]`.

Trains three seeds of each, measures them on the ruler, and prints a row for each with mean ± standard deviation. Typed
again it goes on where it was stopped.
"""

import csv
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
#: column of runs.csv -> its head, and the digits after the point
COLUMNS = {
    "ruler_bits_per_dim": ("bits/dim, fair ruler", 3),
    "elbo_nats": ("test ELBO, nats", 1),
    "rate_nats": ("KL", 1),
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
    sweeps = [str(folder) for folder in sorted(out.glob("sweep_*"))]
    for folder in sweeps:
        vaekl("eval", folder, "eval.k=1", "eval.images=2000", "eval.knn=false", *more)
    vaekl("report", *sweeps, "report.measure=false", "report.pictures=0", f"report.output={out}/report")
    groups = defaultdict(list)
    with (out / "report" / "runs.csv").open(newline="") as file:
        for run in csv.DictReader(file):
            groups[run["group"]].append(run)
    print("| control |", " | ".join(head for head, _ in COLUMNS.values()), "|")
    print("|---|" + "---:|" * len(COLUMNS))
    for name, runs in groups.items():
        cells = [cell([float(run[key]) for run in runs], digits) for key, (_, digits) in COLUMNS.items()]
        print(f"| {name} |", " | ".join(cells), "|")


def cell(values: list[float], digits: int) -> str:
    return f"{fmean(values):,.{digits}f} ± {stdev(values):.{digits}f}".replace("-", "−")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
