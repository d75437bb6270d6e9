"""`sample.what=latents`: where the posterior means of a split lie in a plane of two latents, coloured by label."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vaekl.measures.latents import posterior
from vaekl.run.load import TrainedRun
from vaekl.system.files import replacing
from vaekl.verbs.report.images import draw_points
from vaekl.verbs.report.style import STYLE
from vaekl.verbs.sample.options import SampleOptions
from vaekl.verbs.sample.plates import KlPerLatent, stream, two_latents

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


def scatter_of(run: TrainedRun, options: SampleOptions, kl: KlPerLatent) -> Scatter:
    """The means of a split's first images in the plane of the chosen two latents, or of those with most KL.

    Raises:
        VaeklError: there is one latent, or no such one.
    """
    (first, second), why = two_latents(run, options, kl)
    split = run.split(options.split).first(MOST_POINTS)
    mean = posterior(run.model, split, stream(run, options, "inputs")).mean.float()
    labels = None if split.labels is None else split.labels.cpu()
    coloured = "" if labels is None else ", coloured by label"
    inputs = f"{len(split):,} {options.split} {run.model.spec.example}s"
    words = f"posterior means of {inputs}, latents {first} and {second}{why}{coloured}"
    return Scatter(mean, labels, (first, second), words)


def save_png(path: Path, scatter: Scatter, caption: str) -> None:
    """Write the points as a PNG, whole or not at all."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 6.4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        points = scatter.mean[:, list(scatter.latents)].numpy()
        draw_points(axes, points, None if scatter.labels is None else scatter.labels.numpy(), scatter.latents)
        figure.suptitle(caption, fontsize=8, wrap=True)
        with replacing(path, "picture") as partial:
            metadata = {"Software": "vaekl", "Description": caption}
            figure.savefig(partial, format="png", dpi=160, metadata=metadata, facecolor="white")
