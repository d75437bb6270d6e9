"""`sample.what=latents`: where the posterior means of a split lie in a plane of two latents, coloured by label."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from vaekl.data import batch_slices
from vaekl.measures.elbo import batch_limit
from vaekl.run.load import TrainedRun
from vaekl.system.files import replacing
from vaekl.verbs.report.style import GREY, LIGHT, PALETTE, STYLE
from vaekl.verbs.sample.options import SampleOptions
from vaekl.verbs.sample.plates import stream, two_latents

#: points of one picture
MOST_POINTS = 10_000


@dataclass(frozen=True)
class Scatter:
    """Points of a plane.

    Args:
        mean: [N, Z], of q(z|x).
        labels: int64 [N], or None.
        latents: the two that are drawn, to the right and upwards.
        words: what they are.
    """

    mean: torch.Tensor
    labels: torch.Tensor | None
    latents: tuple[int, int]
    words: str

    @property
    def arrays(self) -> dict[str, Any]:
        """What an npz holds."""
        labels = {} if self.labels is None else {"labels": self.labels}
        return {"posterior_mean": self.mean, "latents": np.array(self.latents), **labels}


def scatter_of(run: TrainedRun, options: SampleOptions) -> Scatter:
    """The means of a split's first images in the plane of the chosen two latents, or of those with most KL.

    Raises:
        VaeklError: there is one latent, or no such one.
    """
    (first, second), why = two_latents(run, options)
    split = run.split(options.split).first(MOST_POINTS)
    noise, means = stream(run, options, "inputs"), []
    for part in batch_slices(len(split), batch_limit(run.model), drop_last=False):
        means.append(run.model.encode(split.batch(part, noise))[0].float().cpu())
    labels = None if split.labels is None else split.labels.cpu()
    coloured = "" if labels is None else ", coloured by label"
    inputs = f"{len(split):,} {options.split} {run.model.spec.example}s"
    words = f"posterior means of {inputs}, latents {first} and {second}{why}{coloured}"
    return Scatter(torch.cat(means), labels, (first, second), words)


def save_png(path: Path, scatter: Scatter, caption: str) -> None:
    """Write the points as a PNG, whole or not at all."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 6.4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        draw(axes, scatter)
        figure.suptitle(caption, fontsize=8, wrap=True)
        with replacing(path, "picture") as partial:
            metadata = {"Software": "vaekl", "Description": caption}
            figure.savefig(partial, format="png", dpi=160, metadata=metadata, facecolor="white")


def draw(axes: Axes, scatter: Scatter) -> None:
    """The points, with circles at one and two standard deviations of the prior."""
    right, up = scatter.mean[:, list(scatter.latents)].T.numpy()
    for radius in (1, 2):
        axes.add_patch(Circle((0, 0), radius, fill=False, color=LIGHT, linewidth=0.8))
    classes = [] if scatter.labels is None else scatter.labels.unique().tolist()
    if scatter.labels is None or len(classes) > len(PALETTE) * 3:
        colours = GREY if scatter.labels is None else scatter.labels.numpy()
        axes.scatter(right, up, s=6, c=colours, cmap="viridis", linewidths=0, rasterized=True)
    else:
        for place, label in enumerate(classes):
            chosen = (scatter.labels == label).numpy()
            marker = "o^s"[place // len(PALETTE)]
            colour = PALETTE[place % len(PALETTE)]
            axes.scatter(
                right[chosen], up[chosen], s=9, c=colour, marker=marker, linewidths=0, label=str(label), rasterized=True
            )
        axes.legend(title="label", markerscale=2, fontsize=8, ncols=1 + len(classes) // 12)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"z{scatter.latents[0]}")
    axes.set_ylabel(f"z{scatter.latents[1]}")
