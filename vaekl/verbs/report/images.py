"""The pictures of a report: what a model of each group draws, and its latents."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from vaekl.verbs.audit.spectrum import Vector
from vaekl.verbs.report.measure import Row
from vaekl.verbs.report.style import GREY, LIGHT, MOST_PANELS, PALETTE, shortened, wrapped

#: inches of a name above its pictures, and of a picture at most
_NAME, _LARGEST = 0.17, 0.5
#: pixels of a picture at least, so that no viewer blurs small ones
_FINE = 48


def pictures(rows: Sequence[Row], what: str, width: float) -> Figure | None:
    """A row of images a group below its name; reconstructions begin with a row of inputs for each data set."""
    rows = rows[:MOST_PANELS]
    lines: list[tuple[str, Any]] = []
    for data in dict.fromkeys(row.data for row in rows):
        members = [row for row in rows if row.data == data]
        if what == "reconstructions":
            lines.append((f"test {members[0].example}s of {data}", members[0].inputs))
        lines += [(row.group, getattr(row, what)) for row in members]
    if not lines:
        return None
    strips = [_strip(images) for _, images in lines]
    each = min(_LARGEST if width < 5 else 0.8, width / max(len(images) for _, images in lines))
    heights = [each * images.shape[1] / max(images.shape[1:3]) for _, images in lines]
    names = [wrapped(name, int(width * 17)).split("\n")[0] for name, _ in lines]
    total = sum(heights) + (_NAME + 0.04) * len(lines)
    figure = Figure(figsize=(width, total))
    FigureCanvasAgg(figure)
    top = total
    for name, strip, height in zip(names, strips, heights, strict=True):
        figure.text(0, (top - _NAME / 2) / total, name, va="center", fontsize=7)
        wide = height * strip.shape[1] / strip.shape[0]
        axes = figure.add_axes((0, (top - _NAME - height) / total, wide / width, height / total))
        axes.imshow(strip, interpolation="none", aspect="auto")
        axes.set_axis_off()
        top -= height + _NAME + 0.04
    return figure


def _strip(images: Vector) -> Vector:
    """Images [N, H, W, C] beside each other, as red, green, blue and opacity, 0 between them."""
    count, height, width, channels = images.shape
    fine = -(-_FINE // max(height, width))
    coloured = np.broadcast_to(images, (count, height, width, 3)) if channels == 1 else images
    solid = np.concatenate([coloured, np.ones((count, height, width, 1))], 3).repeat(fine, 1).repeat(fine, 2)
    gap = np.zeros((count, height * fine, max(1, round(0.05 * width * fine)), 4))
    strip: Vector = np.concatenate(np.concatenate([solid, gap], 2), 1)[:, : -gap.shape[2]]
    return (255 * strip.clip(0, 1)).round().astype(np.uint8)


def planes(rows: Sequence[Row], width: float) -> Figure | None:
    """For each group where the test examples lie in a plane of two latents, beside what is decoded from it."""
    shown = [(row.group, row.plane) for row in rows[:MOST_PANELS] if row.plane is not None]
    if not shown:
        return None
    lines, side = -(-len(shown) // 2), width / 4
    figure = Figure(figsize=(width, (side + _NAME) * lines), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(lines, 4, squeeze=False).flat)
    for place, (name, plane) in enumerate(shown):
        points, decoded = panels[2 * place : 2 * place + 2]
        draw_points(points, plane.points, plane.labels, plane.latents, size=1.5, named=False)
        points.set_box_aspect(1)
        points.set(xticks=[], yticks=[], xlabel="", ylabel="")
        decoded.imshow(plane.decoded, cmap="gray", vmin=0, vmax=1, interpolation="none")
        # the name may be as wide as the two panels
        latents = f"z{plane.latents[0]}, z{plane.latents[1]}"
        points.set_title(f"{shortened(name, int(width * 8) - 10)}: {latents}", fontsize=6)
        decoded.set_axis_off()
    for axes in panels[2 * len(shown) :]:
        axes.remove()
    return figure


def draw_points(
    axes: Axes, points: Vector, labels: Vector | None, latents: tuple[int, int], size: float = 9, named: bool = True
) -> None:
    """Points [N, 2] in a plane of two latents, by label, with circles at 1 and 2 standard deviations of the prior."""
    for radius in (1, 2):
        axes.add_patch(Circle((0, 0), radius, fill=False, color=LIGHT, linewidth=0.8))
    classes = [] if labels is None else np.unique(labels).tolist()
    if not classes or len(classes) > 3 * len(PALETTE):
        colour = GREY if labels is None else labels
        axes.scatter(points[:, 0], points[:, 1], s=size, c=colour, cmap="viridis", linewidths=0, rasterized=True)
    for place, label in enumerate(classes if len(classes) <= 3 * len(PALETTE) else []):
        marker, colour = "o^s"[place // len(PALETTE)], PALETTE[place % len(PALETTE)]
        of_class = points[labels == label]
        right, up = of_class.T
        axes.scatter(right, up, s=size, c=colour, marker=marker, linewidths=0, label=str(label), rasterized=True)
    if classes and axes.get_legend_handles_labels()[0] and named:
        axes.legend(title="label", markerscale=2, ncols=1 + len(classes) // 12)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"z{latents[0]}")
    axes.set_ylabel(f"z{latents[1]}")
