"""Run folders -> runs, with what is wrong of each: one that is missing, broken or unfinished is a row too."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from vaekl.run.load import find
from vaekl.store import RunFolder
from vaekl.store.manifest import FAILURES
from vaekl.system.errors import VaeklError, sentence
from vaekl.verbs.report.sweeps import left_over, read_json

#: figures of a finished run's test, without which there is nothing to report
_NEEDED = (
    "energy_nats", "log_norm_const_nats", "kl_nats", "elbo_nats", "implied_sigma", "rmse", "effective_beta_kl",
    "dispersion", "active_units",
)  # fmt: skip
_SUPPORT = {
    "gaussian": "the real line", "laplace": "the real line", "cb": "[0, 1]", "beta": "[0, 1]",
    "bernoulli": "{0, 1}", "categorical": "levels",
}  # fmt: skip


#: of a log: what the report shows, and about how many rows
_KEPT = ("step", "implied_sigma", "rmse")
_MOST_ROWS = 200


@dataclass(frozen=True)
class Run:
    """One run as its folder tells it.

    Args:
        path: the folder.
        name: from the folder that was named on the command line.
        status: finished, unfinished, failed, diverged, killed, missing or broken.
        reason: why it is not finished.
        config: resolved; empty if it cannot be read.
        results: `results.json` of a finished run.
        evaluation: `eval.json`, if it is of this run's own test images and weights.
        unmeasured: why there is no evaluation.
        versions: `versions.json`.
        train: some rows of `metrics.csv` that belong to training, evenly spread, with the last; `steps_over_speed` is
            Σ steps / images per second up to there.
    """

    path: Path
    name: str
    status: str
    reason: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] | None = None
    unmeasured: str = ""
    versions: dict[str, Any] = field(default_factory=dict)
    train: tuple[dict[str, float], ...] = ()

    @property
    def finished(self) -> bool:
        """Whether it has figures of its test."""
        return self.status == "finished"

    @property
    def seed(self) -> int | None:
        """Of weights, noise and order."""
        found = self.config.get("seed")
        return found if isinstance(found, int) else None

    @property
    def test(self) -> dict[str, Any]:
        """The figures of the test."""
        found: dict[str, Any] = self.results.get("test", {})
        return found

    @property
    def likelihood(self) -> str:
        """As chosen; a class of the user's by its own name."""
        chosen = str(self.config.get("choices", {}).get("likelihood"))
        return chosen if chosen in _SUPPORT else _target(self.config, "likelihood") or chosen

    @property
    def weighting(self) -> str:
        """As resolved, where that is known."""
        return str(self.results.get("weighting") or self.config.get("choices", {}).get("weighting"))

    @property
    def data(self) -> str:
        """The data set by its name and whatever of its options is set."""
        kept = {key: value for key, value in sorted(_part(self.config, "dataset").items()) if value is not None}
        name = str(kept.get("name") or self.config.get("choices", {}).get("dataset"))
        own = [f", {key}={value}" for key, value in kept.items() if key not in ("_target_", "name", "root")]
        return name + "".join(own)

    @property
    def integers(self) -> str:
        """What the fair ruler measures: runs are comparable on it where these words are equal."""
        binary = ", binarized" if _target(self.config, "transform") == "Binarize" else ""
        images = (self.evaluation or {}).get("images", self.results.get("images", {}).get("test"))
        return f"{self.data}{binary}, {_count(images)} test images"

    @property
    def density(self) -> str:
        """What an ELBO is comparable within: data, protocol and support."""
        protocol = self.results.get("protocol", {})
        support = _SUPPORT.get(self.likelihood, f"the support of {self.likelihood}")
        clip = str(protocol.get("likelihood", ""))
        clip = "" if clip == "nothing clipped" else f", {clip}"
        kind = "probability of" if support in ("levels", "{0, 1}") else "density on"
        images = _count(self.results.get("images", {}).get("test"))
        return f"{self.data}, {kind} {support}, {protocol.get('data', '')}{clip}, {images} test images"

    @property
    def seconds(self) -> float | None:
        """Of training alone, without validation, test and pictures: Σ steps · batch size / images per second."""
        return self.train[-1]["steps_over_speed"] * self.batch_size or None if self.train else None

    @property
    def images_per_second(self) -> float | None:
        """Over the whole of training."""
        seconds = self.seconds
        return None if seconds is None else max(row["step"] for row in self.train) * self.batch_size / seconds

    @property
    def batch_size(self) -> int:
        """Images in a step."""
        found = _part(self.config, "trainer").get("batch_size")
        return found if isinstance(found, int) else 0


def collect(paths: Iterable[Path]) -> list[Run]:
    """Every run that the paths mean, each once.

    Raises:
        VaeklError: if a path is not there, or holds neither a run nor what is left of one.
    """
    runs: dict[Path, Run] = {}
    for path in paths:
        if not path.exists():
            raise VaeklError(f"there is no folder {path}: give a run or a sweep that `vaekl train` made.")
        base = path.parent if path.is_file() else path
        found = {} if RunFolder(base).config_file.is_file() else left_over(base)
        inside = [base] if RunFolder(base).config_file.is_file() else _or_none(base)
        if not inside and not found:
            find(base)  # says what is missing
        for run in sorted({*inside, *found}):
            status, reason = found.get(run, ("", ""))
            runs.setdefault(run.resolve(), read(run, _name(run, base), status, reason))
    names = Counter(run.name for run in runs.values())
    # sweeps that are equal but for one word have folders of equal names
    return [run if names[run.name] == 1 else _with(run, name=str(run.path)) for run in runs.values()]


def read(path: Path, name: str, status: str = "", reason: str = "") -> Run:
    """One run; what cannot be read makes it a broken one.

    Args:
        path: its folder, which need not be there.
        name: what to call it.
        status: what the sweep's manifest says of it, if anything.
        reason: the same.
    """
    folder = RunFolder(path)
    if not folder.config_file.is_file():
        kept = status if status in (*FAILURES, "broken", "missing") else "missing"
        return Run(path, name, kept, reason or f"its folder holds no config.yaml{status and f' ({status})'}")
    try:
        config = folder.config()
    except (VaeklError, OSError) as error:
        return Run(path, name, "broken", sentence(error))
    versions, train = read_json(folder.facts_file) or {}, _training(folder.metrics_file)
    known = Run(path, name, "", config=config, versions=versions, train=train)
    if wrong := _wrong_config(config):
        return Run(path, name, "broken", wrong)
    if not folder.is_finished():
        last = f"last logged at step {train[-1]['step']:,.0f}" if train else "no step was logged"
        why = f"{reason}; {last}" if reason else f"no {folder.results_file.name}, {last}"
        if status == "running":
            why = f"still running, on this machine or another: {last}"
        return _with(known, status=status if status in FAILURES else "unfinished", reason=why)
    results = read_json(folder.results_file)
    if wrong := _wrong_results(results):
        return _with(known, status="broken", reason=wrong)
    assert results is not None
    done = _with(known, status="finished", results=results)
    evaluation = read_json(folder.evaluation_file)
    unmeasured = _unusable(evaluation, results)
    return _with(done, evaluation=None if unmeasured else evaluation, unmeasured=unmeasured)


def again(run: Run, unmeasured: str = "") -> Run:
    """The same run read once more, with a reason if it still has no evaluation."""
    new = read(run.path, run.name)
    return _with(new, unmeasured=unmeasured) if unmeasured and new.evaluation is None else new


def _with(run: Run, **changes: Any) -> Run:
    return Run(**(vars(run) | changes))


def _name(run: Path, base: Path) -> str:
    return run.name if run == base else run.relative_to(base).as_posix()


def _or_none(base: Path) -> list[Path]:
    try:
        return find(base)
    except VaeklError:
        return []


def _wrong_config(config: dict[str, Any]) -> str:
    if not isinstance(config["choices"], dict):
        return "config.yaml names no choices"
    for group in ("likelihood", "weighting", "dataset", "model", "trainer"):
        if not isinstance(config.get(group), dict):
            return f"config.yaml has no {group}"
    return ""


def _wrong_results(results: dict[str, Any] | None) -> str:
    if results is None:
        return "results.json cannot be read"
    test = results.get("test")
    if not isinstance(test, dict):
        return "results.json has no test figures"
    for key in _NEEDED:
        value = test.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return f"results.json lacks test.{key}"
        if not isfinite(value):
            return f"diverged: test.{key} is {value}"
    if not all(isinstance(results.get(key), dict) for key in ("protocol", "images")):
        return "results.json names no protocol or no images"
    return ""


def _unusable(evaluation: dict[str, Any] | None, results: dict[str, Any]) -> str:
    if evaluation is None:
        return "not measured"
    if evaluation.get("changes"):
        return "not measured: eval.json is of other data"
    if any(evaluation.get(key) != results.get(key) for key in ("step", "weights")):
        return "not measured: eval.json is of another checkpoint"
    ruler, bounds = evaluation.get("ruler"), evaluation.get("iwae", [])
    bits = ruler.get("bits_per_dim") if isinstance(ruler, dict) else None
    sound = isinstance(evaluation.get("protocol"), dict) and isinstance(bounds, list)
    sound = sound and all(isinstance(bound, dict) for bound in bounds)
    if not sound or (ruler is not None and not (isinstance(bits, int | float) and isfinite(bits))):
        return "not measured: eval.json is damaged"
    return ""


def _training(file: Path) -> tuple[dict[str, float], ...]:
    """Some of the rows that are whole; a killed writer may leave a torn last line."""
    rows: list[dict[str, float]] = []
    last, stride, total = {"step": 0.0}, 1, 0.0
    try:
        with file.open(newline="", encoding="utf-8") as source:
            for number, row in enumerate(_whole(csv.DictReader(source))):
                if row["step"] > last["step"] and row.get("images_per_second", 0.0) > 0:
                    total += (row["step"] - last["step"]) / row["images_per_second"]
                last = {key: row[key] for key in _KEPT if key in row} | {"steps_over_speed": total}
                if number % stride == 0:
                    rows.append(last)
                if len(rows) > 2 * _MOST_ROWS:  # memory does not grow with the log
                    rows, stride = rows[::2], 2 * stride
    except (OSError, UnicodeDecodeError, csv.Error):
        return ()
    return (*rows, last) if rows and rows[-1] is not last else tuple(rows)


def _whole(rows: Iterable[dict[str, str]]) -> Iterator[dict[str, float]]:
    for row in rows:
        if row.get("split") == "train" and None not in row and None not in row.values() and row.get("step"):
            with suppress(ValueError):
                yield {key: float(value) for key, value in row.items() if value and key != "split"}


def _part(config: dict[str, Any], group: str) -> dict[str, Any]:
    found = config.get(group)
    return found if isinstance(found, dict) else {}


def _count(number: Any) -> str:
    return f"{number:,}" if isinstance(number, int) else str(number)


def _target(config: dict[str, Any], group: str) -> str:
    return str(_part(config, group).get("_target_") or "").rsplit(".", 1)[-1]
