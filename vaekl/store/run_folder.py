"""`RunFolder`: which files a run has, where they are, and how they are read and written."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import yaml

from vaekl.store import metrics
from vaekl.store.read import read_json, read_yaml, write_json
from vaekl.store.versions import versions
from vaekl.system.errors import VaeklError, first_line
from vaekl.system.files import replacing, sole_user, sole_writer

#: names of checkpoints; `results.json` says which of them was tested
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
_CONFIG, _FACTS, _RESULTS, _METRICS, _HEARTBEAT = (
    "config.yaml", "versions.json", "results.json", "metrics.csv", ".progress.json",
)  # fmt: skip
#: what is never there before the config is
_AFTER_CONFIG = (LAST, PREVIOUS, BEST, _METRICS, _RESULTS)
_GROUPS = ("dataset", "transform", "likelihood", "weighting", "model", "optim", "schedule", "lr_schedule", "trainer")
#: what may differ between two configs that describe one run: where things are, and where it computes
_PLACES = ("choices", "output_dir", "run_name", "data_dir")


def fingerprint(content: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits that belong to a run's resolved config: the same run in another place has the same.

    >>> fingerprint({"seed": 0, "output_dir": "a"}) == fingerprint({"seed": 0, "output_dir": "b"})
    True
    >>> fingerprint({"seed": 0}) == fingerprint({"seed": 1})
    False
    """
    kept = {key: dict(part) if isinstance(part, Mapping) else part for key, part in content.items()}
    kept = {key: part for key, part in kept.items() if key not in _PLACES}
    for group, key in (("dataset", "root"), ("trainer", "device")):
        if isinstance(kept.get(group), dict):
            kept[group].pop(key, None)
    return blake2b(json.dumps(kept, sort_keys=True).encode(), digest_size=4).hexdigest()


@dataclass(frozen=True)
class RunFolder:
    """One run's files. Nothing is read or written before a method is called.

    Args:
        path: the folder, which need not be there yet.
    """

    path: Path

    @property
    def config_file(self) -> Path:
        """The resolved config as YAML; a folder with this file holds a run."""
        return self.path / _CONFIG

    @property
    def facts_file(self) -> Path:
        """What the config leads to and does not say, and the versions of what was installed."""
        return self.path / _FACTS

    @property
    def results_file(self) -> Path:
        """The figures of the test; a folder with this file holds a finished run."""
        return self.path / _RESULTS

    @property
    def metrics_file(self) -> Path:
        """Every figure that was logged in training, validation and test."""
        return self.path / _METRICS

    @property
    def evaluation_file(self) -> Path:
        """What `vaekl eval` measured on all of the run's own test images."""
        return self.path / "eval.json"

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.path / LAST

    @property
    def previous(self) -> Path:
        """The checkpoint before the newest one, until the run is finished."""
        return self.path / PREVIOUS

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation ELBO, of a run with `trainer.patience`."""
        return self.path / BEST

    @property
    def damaged(self) -> Path:
        """Where a newest checkpoint that cannot be read is kept."""
        return self.path / "last.damaged.pt"

    @property
    def samples(self) -> Path:
        """The folder that `vaekl sample` writes to."""
        return self.path / "samples"

    def holds_run(self) -> bool:
        """Whether there is a run in the folder, finished or not."""
        return self.config_file.exists()

    def is_finished(self) -> bool:
        """Whether there are results; they need not be readable."""
        return self.results_file.exists()

    def leftovers(self) -> list[str]:
        """Names of files that a run leaves and that are never there before its config is."""
        return [name for name in _AFTER_CONFIG if (self.path / name).is_file()]

    def is_run_of(self, content: Mapping[str, Any]) -> bool:
        """Whether the folder holds the run of a resolved config.

        Raises:
            VaeklError: its own config cannot be read.
        """
        return self.holds_run() and fingerprint(self.config()) == fingerprint(content)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the folder, which is made if need be, for this process alone.

        Raises:
            VaeklError: another process trains in it, or it cannot be made.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with sole_user(self.path):
            yield

    def claim(self, config_yaml: str, overrides: Sequence[str], facts: dict[str, Any]) -> None:
        """Make a folder that this process holds a run's, by giving it a config.

        Args:
            config_yaml: the resolved config.
            overrides: what the user typed.
            facts: what the config leads to and does not say: the shape, the weighting that `auto` took.

        Raises:
            VaeklError: if the folder holds a run already, or what is left of one.
        """
        if self.holds_run():
            raise VaeklError(
                f"{self.path} holds a run already, of another config: go on with it by `vaekl resume {self.path}`, or "
                "choose another folder."
            )
        if left := self.leftovers():
            raise VaeklError(
                f"{self.path} holds {left[0]}, but no {_CONFIG} that says of which run: put that file back, or choose "
                "another folder."
            )
        write_json(self.facts_file, versions(overrides) | facts)
        with replacing(self.config_file, "config") as partial:
            partial.write_text(config_yaml, encoding="utf-8")

    def config(self) -> dict[str, Any]:
        """The resolved config.

        Raises:
            VaeklError: if there is no run, or its config cannot be read.
        """
        file = self.config_file
        if not file.is_file():
            self._refuse()
        try:
            content = read_yaml(file)
        except (OSError, yaml.YAMLError, RecursionError, ValueError) as error:
            raise VaeklError(
                f"{file} cannot be read as YAML ({first_line(error)}): restore it, or train afresh."
            ) from error
        if not isinstance(content, dict) or not isinstance(content.get("choices"), dict):
            raise VaeklError(f"{file} is not the config of a run: give a folder that `vaekl train` made.")
        if lacking := [group for group in _GROUPS if not isinstance(content.get(group), dict)]:
            raise VaeklError(f"{file} lacks {lacking[0]}: restore it, or train afresh.")
        return content

    def _refuse(self) -> None:
        near = sorted(p.parent for p in self.path.glob(f"*/{_CONFIG}")) or [self.path.parent] * self.path.is_file()
        hint = ": give a folder that `vaekl train` made"
        if near and RunFolder(near[-1]).holds_run():
            hint = f", but {near[-1]} does: give that"
        raise VaeklError(f"{self.path} holds no run ({_CONFIG} is missing){hint}.")

    def facts(self) -> dict[str, Any]:
        """What was trained, by which versions.

        Raises:
            VaeklError: the file is missing or damaged.
        """
        return read_json(self.facts_file)

    def results(self) -> dict[str, Any] | None:
        """The figures of a finished run, or None.

        Raises:
            VaeklError: the file is damaged.
        """
        return read_json(self.results_file) if self.results_file.is_file() else None

    def finish(self, figures: dict[str, Any]) -> None:
        """Write the results, which makes the run a finished one; nobody comes back to it for an earlier checkpoint.

        Raises:
            VaeklError: they cannot be written, or are not finite.
        """
        self.previous.unlink(missing_ok=True)
        write_json(self.results_file, figures)

    def write_evaluation(self, file: Path, figures: dict[str, Any]) -> None:
        """Write what `vaekl eval` measured, one process after the other.

        Args:
            file: `evaluation_file`, or one beside it for what is not comparable with that.
            figures: what was measured.

        Raises:
            VaeklError: they cannot be written, or are not finite.
        """
        with sole_writer(file):
            write_json(file, figures)

    def rows(self) -> list[dict[str, str]]:
        """The whole rows of metrics.csv.

        Raises:
            VaeklError: it holds something else.
        """
        return metrics.read(self.metrics_file)

    def beat(self, step: int, steps: int, elbo: float) -> None:
        """Say how far the run is, for the display of its sweep; a disk that cannot be written is no reason to stop.

        Args:
            step: taken so far.
            steps: there will be.
            elbo: of the last steps, nats per image.
        """
        file = self.path / _HEARTBEAT
        partial = file.with_suffix(".partial")
        with suppress(OSError):  # what matters on a full disk is the checkpoint
            text = json.dumps({"step": step, "steps": steps, "elbo_nats": elbo})
            partial.unlink(missing_ok=True)  # a stranger's folder may hold a link of that name
            partial.write_text(text, encoding="ascii")
            partial.replace(file)

    def stop_beating(self) -> None:
        """The run has ended, in whatever way."""
        with suppress(OSError):
            (self.path / _HEARTBEAT).unlink(missing_ok=True)

    def heartbeat(self) -> dict[str, Any] | None:
        """How far a run that is training is: step, steps, elbo_nats; None where nothing says so."""
        with suppress(OSError, ValueError):
            content: dict[str, Any] = json.loads((self.path / _HEARTBEAT).read_text(encoding="ascii"))
            return content
        return None


def validation_elbo(figures: Mapping[str, Any]) -> float | None:
    """The validation ELBO of a finished run's results, nats, or None without validation images."""
    elbo = figures.get("valid", {}).get("elbo_nats")
    return float(elbo) if elbo is not None else None
