"""Runs -> groups that differ in what was swept, seeds folded into mean and standard error."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import fsum, sqrt
from typing import Any

from vaekl.system.checks import is_number
from vaekl.verbs.report.collect import Run

#: keys that do not make runs different: places, how often a run logs, and the seed, over which means are taken
_NO_SETTING = (
    "seed", "run_name", "output_dir", "data_dir", "dataset.root", "trainer.device", "trainer.log_every",
    "trainer.save_minutes", "choices.experiment",
)  # fmt: skip
_ABSENT = ""


@dataclass(frozen=True)
class Stat:
    """Seeds folded into one figure.

    >>> Stat.of([1.0, 3.0])
    Stat(n=2, mean=2.0, error=1.0)
    >>> Stat.of([1.0]).error is None
    True
    """

    n: int
    mean: float
    error: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Stat":
        """Mean and its standard error s/√n, with s² divided by n − 1; no error for a single value."""
        n, mean = len(values), fsum(values) / len(values)
        if n == 1:
            return cls(n, mean, None)
        return cls(n, mean, sqrt(fsum((value - mean) ** 2 for value in values) / (n - 1)) / sqrt(n))


@dataclass(frozen=True)
class Column:
    """One figure of the table.

    Args:
        key: its name in runs.csv.
        title: with the unit.
        digits: after the point.
        of: the figure of a run, or None.
        best: "low" or "high" where one value is better than another.
        within: what must be equal for two values to be comparable.
    """

    key: str
    title: str
    digits: int
    of: Callable[[Run], float | None]
    best: str = ""
    within: Callable[[Run], str] = lambda run: ""


def _test(key: str) -> Callable[[Run], float | None]:
    return lambda run: getattr(run.test, key)


def ruler(run: Run) -> float | None:
    """Bits/dim of the integers, if they were measured."""
    measured = run.evaluation.ruler if run.evaluation else None
    return measured.bits_per_dim if measured else None


COLUMNS = (
    Column("ruler_bits_per_dim", "bits/dim, fair ruler", 4, ruler, "low", lambda run: run.integers),
    Column("elbo_nats", "ELBO, nats", 2, _test("elbo_nats"), "high", lambda run: run.density),
    Column("rate_nats", "rate KL, nats", 2, _test("kl_nats")),
    Column("distortion_nats", "distortion, nats", 2, lambda run: run.test.distortion_nats),
    Column(
        "marginal_kl_nats",
        "marginal KL, nats",
        2,
        lambda run: run.evaluation.rate.marginal_kl_nats if run.evaluation else None,
    ),
    Column("active_units", "active units", 1, _test("active_units")),
    Column("sigma_over_rmse", "σ/RMSE", 3, lambda run: _ratio(run.test.implied_sigma, run.test.rmse)),
    Column("effective_beta_kl", "effective β_KL", 4, _test("effective_beta_kl")),
    Column("information_weight", "λ", 4, _test("information_weight")),
    Column("training_seconds", "training, s", 1, lambda run: run.seconds),
    Column("images_per_second", "examples per s", 0, lambda run: run.images_per_second),
)


@dataclass(frozen=True)
class Group:
    """Runs that are equal in all that was swept.

    Args:
        settings: what differs between groups, by key.
        runs: all of them.
        counted: the finished ones, each seed once.
        stats: by column; None where no run has the figure.
        best: columns in which it is the best of those that can be compared.
        parameters: how many the model has, if that was counted.
    """

    settings: dict[str, Any]
    runs: tuple[Run, ...]
    counted: tuple[Run, ...]
    stats: dict[str, Stat | None]
    best: frozenset[str] = frozenset()
    parameters: int | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """What differs, and only that."""
        return " ".join(f"{key}={value}" for key, value in self.settings.items() if value != _ABSENT) or "all runs"

    @property
    def label(self) -> str:
        """The same for figures: options by their names alone, numbers with the last word of their keys."""
        words = []
        for key, value in self.settings.items():
            bare = "." not in key and isinstance(value, str) and value not in ("true", "false", "null")
            words += [str(value) if bare else f"{key.split('.')[-1]}={value}"] if value != _ABSENT else []
        return " ".join(words) or self.strategy

    @property
    def strategy(self) -> str:
        """Likelihood, weighting, any control and any objective but the ELBO, which decide the colour."""
        first = (self.counted or self.runs)[0]
        return first.strategy

    @property
    def series(self) -> str:
        """The curve that it lies on: equal in all but the numbers of its weighting, its control and its objective."""
        other = {key: value for key, value in self.settings.items() if key.split(".")[0] not in _STRATEGY}
        words = [f"{key}={value}" for key, value in self.settings.items() if _names_a_curve(key, value)]
        return ", ".join([self.strategy, *(f"{key}={value}" for key, value in other.items() if value != ""), *words])

    @property
    def calibrated(self) -> bool:
        """Whether the dispersion was learned or solved from the data."""
        facts = (self.counted or self.runs)[0].facts
        return facts is not None and facts.weighting.fits_dispersion


_STRATEGY = ("likelihood", "weighting", "control", "objective")


def _names_a_curve(key: str, value: Any) -> bool:
    return key.split(".")[0] in _STRATEGY and "." in key and not isinstance(value, int | float) and value != _ABSENT


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Groups, best on the fair ruler first, then by ELBO."""
    with_config = [run for run in runs if run.config]
    flats = [_flat(run.config) | ({"images": run.images} if run.images else {}) for run in with_config]
    differing, named = _differing(flats)
    members: dict[str, list[int]] = {}
    for index, flat in enumerate(flats):
        members.setdefault(json.dumps([flat.get(key, _ABSENT) for key in differing]), []).append(index)
    groups = []
    for indices in members.values():
        settings = {shown: _shown(flats[indices[0]].get(key, _ABSENT)) for key, shown in named.items()}
        inside = tuple(with_config[index] for index in indices)
        counted = _counted(inside)
        stats = {column.key: _stat(column, counted) for column in COLUMNS}
        groups.append(Group(settings, inside, counted, stats))
    return sorted(_with_best(groups), key=_order)


def repeats(group: Group) -> list[Run]:
    """Finished runs whose seed another run of the group has: no new evidence, and not counted."""
    return [run for run in group.runs if run.finished and run not in group.counted]


def example_of(groups: Sequence[Group]) -> str:
    """What one example of their data is called; an example where they have several kinds."""
    words = {run.example for group in groups for run in group.runs}
    return words.pop() if len(words) == 1 else "example"


def swept(groups: Sequence[Group]) -> list[str]:
    """The keys that name the groups."""
    return list(groups[0].settings) if groups else []


def _counted(runs: Sequence[Run]) -> tuple[Run, ...]:
    first: dict[int | None, Run] = {}
    for run in runs:
        if run.finished and (run.seed not in first or (first[run.seed].evaluation is None and run.evaluation)):
            first[run.seed] = run
    return tuple(first[seed] for seed in sorted(first, key=lambda seed: (seed is None, seed or 0)))


def _stat(column: Column, runs: Sequence[Run]) -> Stat | None:
    values = [value for run in runs if (value := column.of(run)) is not None]
    return Stat.of([float(value) for value in values]) if values else None


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys; lists stay whole."""
    if not isinstance(content, dict):
        return {prefix: content if isinstance(content, int | float | str | None) else json.dumps(content, default=str)}
    settings: dict[str, Any] = {}
    for key, value in content.items():
        settings |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return {key: value for key, value in settings.items() if key not in _NO_SETTING}


def _differing(flats: Sequence[dict[str, Any]]) -> tuple[list[str], dict[str, str]]:
    """Keys that differ between runs, and those of them that name the groups, with what they are called there.

    A key that differs only because another option of its group was chosen is not named.
    """
    differing, named = [], {}
    keys = list(dict.fromkeys(key for flat in flats for key in flat))
    # without patience a validation changes nothing
    if all(flat.get("trainer.patience") is None for flat in flats):
        keys = [key for key in keys if key != "trainer.valid_every"]
    # which option was chosen is read before the option's own keys
    keys.sort(key=lambda key: not key.startswith("choices."))
    for key in keys:
        values = {_text(flat.get(key, _ABSENT)) for flat in flats}
        if len(values) < 2:
            continue
        differing.append(key)
        group = key.split(".")[0]
        by_choice: dict[str, set[str]] = {}
        for flat in flats:
            by_choice.setdefault(str(flat.get(f"choices.{group}")), set()).add(_text(flat.get(key, _ABSENT)))
        if group == "choices" or any(len(texts) > 1 for texts in by_choice.values()):
            named[key] = key.removeprefix("choices.")
    order = ("likelihood", "weighting", "control", "objective", "dataset", "transform", "model")
    rank = {name: place for place, name in enumerate(order)}
    ordered = sorted(named, key=lambda key: (rank.get(named[key].split(".")[0], len(order)), "." in named[key]))
    return differing, {key: named[key] for key in ordered}


def _text(value: Any) -> str:
    # 1 and 1.0 are one setting
    return json.dumps(float(value) if is_number(value) else value, default=str)


def _shown(value: Any) -> Any:
    return {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else value


def _with_best(groups: Sequence[Group]) -> list[Group]:
    best: dict[int, set[str]] = {index: set() for index in range(len(groups))}
    for column in COLUMNS:
        if not column.best:
            continue
        classes: dict[str, list[tuple[float, int]]] = {}
        for index, group in enumerate(groups):
            if stat := group.stats[column.key]:
                measured = [run for run in group.counted if column.of(run) is not None]
                words = {column.within(run) for run in measured}
                if len(words) == 1:
                    classes.setdefault(words.pop(), []).append((stat.mean, index))
        for members in classes.values():
            chosen = (min if column.best == "low" else max)(mean for mean, _ in members)
            if len(members) > 1:
                for mean, index in members:
                    if mean == chosen:
                        best[index].add(column.key)
    return [Group(**(vars(group) | {"best": frozenset(best[index])})) for index, group in enumerate(groups)]


def _order(group: Group) -> tuple[float, float, str]:
    bits, elbo = group.stats["ruler_bits_per_dim"], group.stats["elbo_nats"]
    return bits.mean if bits else float("inf"), -elbo.mean if elbo else float("inf"), group.name


def _ratio(above: float, below: float) -> float | None:
    return above / below if below else None
