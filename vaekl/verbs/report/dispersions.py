"""The table of a report that says how noisy each column of a table, or each channel, is."""

from collections.abc import Sequence
from dataclasses import dataclass

from vaekl.verbs.report.groups import Group, Stat

HEADS = ("group", "of", "kind", "dispersion φ", "implied σ, in its own unit")


@dataclass(frozen=True)
class Row:
    """One column of a group's table, or one channel.

    Args:
        group: its name.
        channel: the name of the channel, as `calibration` of eval.json has it.
        kind: of a column.
        dispersion: φ, over the group's runs.
        implied_sigma: in the unit of the user's values.
    """

    group: str
    channel: str
    kind: str
    dispersion: Stat
    implied_sigma: Stat

    @property
    def words(self) -> tuple[str, str, str, str, str]:
        """What stands under `HEADS`."""
        return self.group, self.channel, self.kind, with_error(self.dispersion), with_error(self.implied_sigma)


def rows_of(groups: Sequence[Group]) -> list[Row]:
    """The channels with a φ of their own, group by group; seeds folded as in the first table."""
    rows = []
    for group in groups:
        tables = [run.test.dispersion_by_channel for run in group.counted]
        for name in dict.fromkeys(name for table in tables for name in table):
            own = [table[name] for table in tables if name in table]
            phi, sigma = (Stat.of([getattr(one, key) for one in own]) for key in ("dispersion", "implied_sigma"))
            rows.append(Row(group.name, name, own[0].kind, phi, sigma))
    return rows


def learned(groups: Sequence[Group]) -> list[str]:
    """What each group's family has learned beside φ, in words."""
    lines = []
    for group in groups:
        options = [run.test.learned_options for run in group.counted]
        for name in dict.fromkeys(name for option in options for name in option):
            stat = Stat.of([option[name] for option in options if name in option])
            lines.append(f"{group.name} learned likelihood.{name}: {with_error(stat)}.")
    return lines


def with_error(stat: Stat) -> str:
    """A mean of any size, and ± its standard error."""
    return f"{stat.mean:.5g}" + (f" ± {stat.error:.2g}" if stat.error is not None else "")
