"""The README's picture from a run's own files: `python docs/make_picture.py outputs/RUN docs/images/run.png`."""

import csv
import sys
from pathlib import Path

import matplotlib.pyplot as plt

PARTS = {
    "elbo_nats": ("ELBO", "-", 2.5),
    "log_norm_const_nats": ("ln C", "--", 1.5),
    "energy_nats": ("−E/φ", ":", 1.5),
    "kl_nats": ("−KL", "-.", 1.5),
}


def main(run: Path, out: Path) -> None:
    with (run / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "valid"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(1, 1.25), layout="constrained")
    left.imshow(plt.imread(run / "inputs_above_reconstructions.png"))
    left.set_title("inputs, and below each the mean of p(x|z)")
    left.axis("off")
    steps = [int(row["step"]) for row in rows]
    for tag, (label, style, width) in PARTS.items():
        sign = -1 if tag in ("energy_nats", "kl_nats") else 1
        right.plot(steps, [sign * float(row[tag]) for row in rows], style, linewidth=width, label=label)
    right.set(title="the ledger: ELBO = −E/φ + ln C − KL", xlabel="step", ylabel="nats per validation image")
    right.legend()
    right.grid(alpha=0.3)
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
