"""The picture of held targets: `python docs/make_targets_picture.py docs/images/targets.png outputs/RUN ...`.

Above the KL of each run over the steps with its target, or the RMSE of a run that holds one; below λ.
"""

import csv
import sys
from math import sqrt
from pathlib import Path

import matplotlib.pyplot as plt
import yaml

COLORS = ("#0072B2", "#D55E00", "#009E73")


def main(out: Path, runs: list[Path]) -> None:
    configs = {run: yaml.safe_load((run / "config.yaml").read_text()) for run in runs}
    names = {run: configs[run]["control"]["_target_"].split(".")[-1] for run in runs}
    columns = list(dict.fromkeys(names.values()))
    figure, axes = plt.subplots(2, len(columns), figsize=(4 * len(columns), 5), sharex=True, layout="constrained")
    for number, name in enumerate(columns):
        above, below = axes[:, number]
        for run, color in zip((run for run in runs if names[run] == name), COLORS, strict=False):
            with (run / "metrics.csv").open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
            steps = [int(row["step"]) for row in rows]
            target = configs[run]["control"].get("target") or configs[run]["control"]["rmse"]
            if name == "Geco":  # the energy is half the squared error, a sum over the 784 pixels
                held = [sqrt(2 * float(row["energy"]) / 784) for row in rows]
            else:
                held = [float(row["kl_nats"]) for row in rows]
            above.plot(steps, held, color=color, linewidth=1, label=f"{target:g}")
            above.axhline(target, color=color, linestyle="--", linewidth=0.8)
            below.plot(steps, [float(row["information_weight"]) for row in rows], color=color, linewidth=1)
        rmse = name == "Geco"
        above.set(title=f"{name.lower()}: {'RMSE' if rmse else 'KL, nats'}", ylim=(0.1, 0.25) if rmse else (0, 45))
        above.legend(loc="upper right", fontsize=8)
        below.set(title="λ", xlabel="step", yscale="log", ylim=(0.05, 40))
        for axis in (above, below):
            axis.grid(alpha=0.3)
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(run) for run in sys.argv[2:]])
