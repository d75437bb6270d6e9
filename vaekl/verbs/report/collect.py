"""Run folders -> runs, with what is wrong of each: one that is missing, broken or unfinished is a row too."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from os.path import realpath
from pathlib import Path
from typing import Any

from vaekl.config.command import train_command
from vaekl.measures.trend import run_trend
from vaekl.store import LINKED, RunFolder, check_file, find_runs, linked_runs
from vaekl.store.config import refusal
from vaekl.store.evaluation_schema import Evaluation
from vaekl.store.manifest import FAILURES
from vaekl.store.schema import Facts, Figures, Results
from vaekl.system.errors import VaeklError, sentence
from vaekl.system.places import is_readable
from vaekl.verbs.report.sweeps import left_over

#: of a log: what the report shows, and about how many rows
_KEPT = ("implied_sigma", "rmse")
_MOST_ROWS = 200
#: how the reason begins where a measurement was tried
NOT_MEASURED = "could not be measured: "


@dataclass(frozen=True)
class Run:
    """One run of a report: what its folder holds, and what became of it.

    Args:
        folder: its files.
        name: from the folder that was named on the command line.
        status: finished, unfinished, failed, diverged, killed, missing or broken.
        reason: why it is not finished.
        config: resolved; empty if it cannot be read.
        facts: `facts.json`, if the config can be read.
        results: `results.json` of a finished run.
        evaluation: `eval.json`, if it is of this run's own test images and weights.
        unmeasured: why there is no evaluation.
        train: some rows of `metrics.csv` that belong to training, evenly spread, with the last; `steps_over_speed` is
            Σ steps / images per second up to there.
        unlogged: why there are no such rows, of a log that cannot be read.
        moving: what still moved when the run ended, in words; empty where nothing did.
        images: a digest of its images, where other runs of the report have other ones of the same name.
    """

    folder: RunFolder
    name: str
    status: str
    reason: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    facts: Facts | None = None
    results: Results | None = None
    evaluation: Evaluation | None = None
    unmeasured: str = ""
    train: tuple[dict[str, float], ...] = ()
    unlogged: str = ""
    moving: str = ""
    images: str = ""

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def finished(self) -> bool:
        """Whether it has figures of its test."""
        return self.status == "finished"

    @property
    def seed(self) -> int | None:
        """Of weights, noise and order."""
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def test(self) -> Figures:
        """The figures of the test of a finished run."""
        assert self.results is not None
        return self.results.test

    @property
    def likelihood(self) -> str:
        """The family's name; as chosen where the run's facts cannot be read."""
        return self.facts.likelihood.name if self.facts else str(self.config.get("choices", {}).get("likelihood"))

    @property
    def weighting(self) -> str:
        """As resolved, where that can be read."""
        return self.facts.weighting.name if self.facts else str(self.config.get("choices", {}).get("weighting"))

    @property
    def strategy(self) -> str:
        """Likelihood, weighting, any control and any objective but the ELBO, by their names."""
        choices = self.config["choices"]
        control = choices.get("control")
        if control == "custom" and self.facts and self.facts.control:
            control = self.facts.control.name
        named = [(control, "none"), (choices.get("objective"), "elbo")]
        return " · ".join(
            [self.likelihood, self.weighting, *(str(one) for one, usual in named if (one or usual) != usual)]
        )

    @property
    def data(self) -> str:
        """The data set by its name and whatever of its options is set."""
        options = {key: value for key, value in sorted(_part(self.config, "dataset").items()) if value is not None}
        name = str(options.get("name") or self.config.get("choices", {}).get("dataset"))
        own = [f", {key}={value}" for key, value in options.items() if key not in ("_target_", "name", "root")]
        return name + "".join(own) + (f", images {self.images}" if self.images else "")

    @property
    def example(self) -> str:
        """What one example of the data is called."""
        return self.facts.data.example if self.facts else "example"

    @property
    def integers(self) -> str:
        """What the fair ruler measures: finished runs are comparable on it where these words are equal."""
        assert self.results is not None
        binary = ", binarized" if _target(self.config, "transform") == "Binarize" else ""
        images = self.evaluation.images if self.evaluation else self.results.images.test
        return f"{self.data}{binary}, {images:,} test {self.example}s"

    @property
    def density(self) -> str:
        """What an ELBO of a finished run is comparable within: data, protocol and support."""
        assert self.results is not None and self.facts is not None
        protocol, likelihood = self.facts.data.protocol, self.facts.likelihood
        clip = "" if likelihood.protocol == "nothing clipped" else f", {likelihood.protocol}"
        kind = "probability of" if likelihood.discrete else "density on"
        images = f"{self.results.images.test:,} test {self.example}s"
        return f"{self.data}, {kind} {likelihood.support}, {protocol}{clip}, {images}"

    @property
    def command(self) -> str:
        """That trains it again; empty where vaekl's own options do not make its config, or that cannot be read."""
        return (self.config and train_command(self.config)) or ""

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
        size = _part(self.config, "trainer").get("batch_size")
        return size if isinstance(size, int) else 0


def collect(paths: Iterable[Path]) -> list[Run]:
    """Every run that the paths mean, each once.

    Raises:
        VaeklError: if a path is not there, or holds neither a run nor what is left of one.
    """
    runs: dict[str, Run] = {}  # by their true paths; a link to itself, which Path.resolve refuses, has its own
    for path in paths:
        if not path.exists() or (path.is_dir() and not is_readable(path)):
            raise refusal(path)
        check_file(path)
        base = path.parent if path.is_file() else path
        alone = RunFolder(base).holds_run()
        outcomes = {} if alone else left_over(base)
        inside, links = [base] if alone else _or_none(base), linked_runs(base)
        if not inside and not outcomes and not links:
            find_runs(base)  # says what is missing
        for run in sorted({*inside, *outcomes} - {*links}):
            status, reason = outcomes.get(run, ("", ""))
            runs.setdefault(realpath(run), read(run, _name(run, base), status, reason))
        for link in links:  # one that leads to a run above is no loss
            runs.setdefault(realpath(link), Run(RunFolder(link), _name(link, base), "broken", LINKED))
    marked = [replace(run, images=images) for run, images in zip(runs.values(), _images(runs.values()), strict=True)]
    names = Counter(run.name for run in marked)
    # sweeps that are equal but for one word have folders of equal names
    return [run if names[run.name] == 1 else replace(run, name=str(run.path)) for run in marked]


def read(path: Path, name: str, status: str = "", reason: str = "") -> Run:
    """One run; what cannot be read makes it a broken one.

    Args:
        path: its folder, which need not be there.
        name: what to call it.
        status: what the sweep's manifest says of it, if anything.
        reason: the same.
    """
    folder = RunFolder(path)
    if not folder.holds_run():
        shown = status if status in (*FAILURES, "broken", "missing") else "missing"
        no_config = f"its folder holds no {folder.config_file.name}{status and f' ({status})'}"
        return Run(folder, name, shown, reason or no_config)
    try:
        config, facts = folder.config(), folder.facts()
    except VaeklError as error:
        return Run(folder, name, "broken", sentence(error))
    train, unlogged = _training(folder)
    moving = "" if unlogged else run_trend(folder, facts, config).sentence
    run = Run(folder, name, "", config=config, facts=facts, train=train, unlogged=unlogged, moving=moving)
    try:
        results = folder.results()
    except VaeklError as error:
        return replace(run, status="broken", reason=sentence(error))
    if results is None:
        last = f"last logged at step {train[-1]['step']:,.0f}" if train else "no step was logged"
        why = f"{reason}; {last}" if reason else f"no {folder.results_file.name}, {last}"
        if status == "running":
            why = f"still running, on this machine or another: {last}"
        return replace(run, status=status if status in FAILURES else "unfinished", reason=why)
    evaluation, unmeasured = _evaluation(folder, results)
    return replace(run, status="finished", results=results, evaluation=evaluation, unmeasured=unmeasured)


def again(run: Run, unmeasured: str = "") -> Run:
    """The same run read once more, with a reason if it still has no evaluation."""
    new = replace(read(run.path, run.name), images=run.images)
    return replace(new, unmeasured=unmeasured) if unmeasured and new.evaluation is None else new


def _images(runs: Iterable[Run]) -> list[str]:
    """For each run a digest of its images if there are others of the same data set, else ""."""
    runs = list(runs)
    digests = [
        blake2b(repr(run.facts.data.digests).encode(), digest_size=3).hexdigest() if run.facts else "" for run in runs
    ]
    of_data: dict[str, set[str]] = {}
    for run, digest in zip(runs, digests, strict=True):
        of_data.setdefault(run.data, set()).add(digest)
    return [digest if len(of_data[run.data] - {""}) > 1 else "" for run, digest in zip(runs, digests, strict=True)]


def _name(run: Path, base: Path) -> str:
    return run.name if run == base else run.relative_to(base).as_posix()


def _or_none(base: Path) -> list[Path]:
    try:
        return find_runs(base)
    except VaeklError:
        return []


def _evaluation(folder: RunFolder, results: Results) -> tuple[Evaluation | None, str]:
    """`eval.json`, or why it cannot stand beside the results."""
    try:
        evaluation = folder.evaluation()
    except VaeklError as error:
        return None, f"not measured: {sentence(error)}"
    if evaluation is None:
        return None, "not measured"
    if evaluation.changes:
        return None, "not measured: eval.json is of other data"
    if evaluation.digests != results.digests:
        return None, "not measured: eval.json is of other images"
    if (evaluation.step, evaluation.weights) != (results.step, results.weights):
        return None, "not measured: eval.json is of another checkpoint"
    return evaluation, ""


def _training(folder: RunFolder) -> tuple[tuple[dict[str, float], ...], str]:
    """Some of a log's rows, or why there are none."""
    rows: list[dict[str, float]] = []
    last, stride, total, number = {"step": 0.0}, 1, 0.0, 0
    try:
        for row in folder.metrics():
            if row.split != "train":
                continue
            figures = row.figures()
            if row.step > last["step"] and figures.get("images_per_second", 0.0) > 0:
                total += (row.step - last["step"]) / figures["images_per_second"]
            shown = {key: figures[key] for key in _KEPT if key in figures}
            last = {"step": float(row.step), **shown, "steps_over_speed": total}
            if number % stride == 0:
                rows.append(last)
            if len(rows) > 2 * _MOST_ROWS:  # memory does not grow with the log
                rows, stride = rows[::2], 2 * stride
            number += 1
    except VaeklError as error:
        return (), sentence(error)
    return (*rows, last) if rows and rows[-1] is not last else tuple(rows), ""


def _part(config: dict[str, Any], group: str) -> dict[str, Any]:
    part = config.get(group)
    return part if isinstance(part, dict) else {}


def _target(config: dict[str, Any], group: str) -> str:
    return str(_part(config, group).get("_target_") or "").rsplit(".", 1)[-1]
