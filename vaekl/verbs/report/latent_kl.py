"""The figure of how much each latent says."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import matplotlib.ticker
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vaekl.verbs.report.figures import beta_of, legend_of
from vaekl.verbs.report.groups import Group, example_of
from vaekl.verbs.report.style import Colours, hover, legend, panel

#: groups from which on strategies are named, and not groups
_MOST_NAMED = 8


def kl_spectrum(groups: Sequence[Group], colours: Colours, width: float) -> Figure | None:
    """KL of each latent, largest first; the mean over seeds of the sorted ones."""
    spectra = [(group, spectrum) for group in groups if (spectrum := mean_spectrum(group))]
    if not spectra or max(len(spectrum) for _, spectrum in spectra) < 2:
        return None
    figure, axes = panel(width)
    members = {group.strategy: 0 for group, _ in spectra}
    total = {name: sum(group.strategy == name for group, _ in spectra) for name in members}
    handles = []
    for group, spectrum in sorted(spectra, key=lambda pair: beta_of(pair[0])):
        # groups of one strategy grow paler as β_KL rises
        place, members[group.strategy] = members[group.strategy], members[group.strategy] + 1
        share = 1 - 0.65 * place / max(1, total[group.strategy] - 1)
        look = colours.mark(group) | {"ms": 2.6, "mew": 0.7, "alpha": share}
        handles += axes.plot(range(1, len(spectrum) + 1), spectrum, linewidth=1, label=group.label, **look)
        most = f"{sum(value > 0.1 for value in spectrum)} latents above 0.1 nats, the largest {spectrum[0]:.3g}"
        hover(handles[-1], f"{group.name}: {most}")
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(bottom=0)
    axes.set(xlabel="latent, sorted by its KL", ylabel=f"KL, nats per {example_of(groups)}")
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, integer=True))
    axes.grid(axis="y")
    if len(spectra) <= _MOST_NAMED:
        legend(figure, [Line2D([], [], label=one.get_label(), **_seen(one)) for one in handles])
    else:
        legend_of(figure, [group for group, _ in spectra], colours)
    return figure


def _seen(line: Line2D) -> dict[str, Any]:
    keys = ("color", "marker", "markersize", "markerfacecolor", "markeredgecolor", "alpha", "linewidth")
    return {key: getattr(line, f"get_{key}")() for key in keys}


def mean_spectrum(group: Group) -> list[float]:
    """Sorted per-latent KL, nats, averaged over seeds."""
    spectra = []
    for run in group.counted:
        if values := run.test.kl_per_latent_nats:
            spectra.append(sorted(values, reverse=True))
    if not spectra or len({len(spectrum) for spectrum in spectra}) > 1:
        return []
    mean: list[float] = np.mean(spectra, 0).tolist()
    return mean
