"""The picture of a file of results: ratios to the limit, with quartiles; and time per epoch as things grow."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def draw(figures: dict[str, Any], path: Path) -> None:
    """Bars a workload; nothing where speed was not measured."""
    speed = figures.get("speed", {})
    if isinstance(speed, dict) and speed:
        figure, axes = plt.subplots(1, len(speed), figsize=(6.5 * len(speed), 4.5), squeeze=False, layout="constrained")
        for axis, (workload, rows) in zip(axes[0], speed.items(), strict=True):
            shown = [row for row in rows if "ratio" in row][::-1]
            medians = [row["ratio"]["median"] for row in shown]
            spread = [
                [m - row["ratio"]["low"] for m, row in zip(medians, shown, strict=True)],
                [row["ratio"]["high"] - m for m, row in zip(medians, shown, strict=True)],
            ]
            colours = ["#c44e52" if row["name"].startswith("vaekl") else "#8c8c8c" for row in shown]
            axis.barh([row["name"] for row in shown], medians, xerr=spread, color=colours, capsize=2)
            axis.axvline(1, color="black", linewidth=0.8)
            axis.set_title(workload)
            axis.set_xlabel("images per second over those of the limit in the same round")
        figure.savefig(path, dpi=120)
        plt.close(figure)
    if isinstance(figures.get("growth"), list) and figures["growth"]:
        _growth(figures["growth"], path.with_name(f"{path.stem}-growth.png"))


def _growth(rows: list[dict[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
    for axis, what in zip(axes.flat, dict.fromkeys(row["what"] for row in rows), strict=False):
        points = [row for row in rows if row["what"] == what]
        axis.plot([row["value"] for row in points], [row["seconds per epoch"] for row in points], "o-")
        axis.set_xscale("log", base=2)
        axis.set_ylim(bottom=0)
        axis.set_xlabel(what)
        axis.set_ylabel("seconds per epoch")
    figure.savefig(path, dpi=120)
    plt.close(figure)
