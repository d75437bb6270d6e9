"""`RunFolder`: how a run's files are read and written."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from os.path import lexists
from pathlib import Path
from typing import Any

from vaekl.store import config as configs
from vaekl.store import heartbeat as heartbeats
from vaekl.store import metrics as logs
from vaekl.store.config import CONFIG
from vaekl.store.evaluation_schema import Evaluation
from vaekl.store.fingerprint import fingerprint
from vaekl.store.read import AFRESH, UnreadableError, read_record
from vaekl.store.run_files import BEST, EVALUATION, EVENTS, FACTS, LAST, METRICS, PREVIOUS, RESULTS, TRACKER, RunFiles
from vaekl.store.schema import Facts, Heartbeat, Results, Tracked
from vaekl.store.versions import versions
from vaekl.store.write import record, write_record
from vaekl.system.errors import VaeklError
from vaekl.system.files import made_folder, sole_user, sole_writer, sync, unwritable
from vaekl.system.terminal import command, printable

#: names that `vaekl eval` gives: of other splits, and with a digest of other data, fewer images or another checkpoint
_EVALUATIONS = re.compile(r"eval(_valid|_train|_all)?(_[0-9a-f]{6})?\.json")
#: the most bytes that are read
_MOST = {FACTS: 1 << 25, RESULTS: 1 << 24, EVALUATION: 1 << 24, TRACKER: 1 << 12}
_RESTORE = f"restore it, or {AFRESH}"
_TAKE_AWAY = "restore it, or take it away"


class RunFolder(RunFiles):
    """One run's files. Nothing is read or written before a method is called."""

    def is_run_of(self, content: Mapping[str, Any]) -> bool:
        """Whether the folder holds the run of a resolved config.

        Raises:
            VaeklError: its own config cannot be read, or an earlier vaekl wrote it.
        """
        return self.holds_run() and fingerprint(self.config()) == fingerprint(content)

    @contextmanager
    def held(self, option: str = "output_dir") -> Iterator[None]:
        """Have the folder, which is made if need be, for this process alone.

        Args:
            option: the key that names another folder, for a sentence.

        Raises:
            VaeklError: another process trains in it, or it cannot be made.
        """
        made_folder(self.path, "run folder", option)
        with sole_user(self.path):
            yield

    def command(self, verb: str, *words: str) -> str:
        """`vaekl VERB` of this run as it is typed in a shell, with `--trust` for modules of the user's own."""
        return command(
            "vaekl", verb, self.path, *words, *(configs.trust_words([self.config()]) if self.holds_run() else [])
        )

    def claim(
        self,
        config_yaml: str,
        overrides: Sequence[str],
        facts: Mapping[str, Any],
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a folder that this process holds a run's, by giving it a config.

        Args:
            config_yaml: the resolved config.
            overrides: the words that the user typed after `vaekl train`.
            facts: data, likelihood, weighting and parameters, as `schema.Facts` has them.
            prepare: writes what must be there before the config.

        Raises:
            VaeklError: if the folder holds a run already, or what is left of one.
        """
        if self.holds_run():
            raise VaeklError(
                f"{self.path} holds a run already, of another config: go on with it by "
                f"`{self.command('resume')}`, or choose another folder."
            )
        if left := self.leftovers():
            raise VaeklError(
                f"{self.path} holds {left[0]}, but no {CONFIG} that says of which run: put that file back, choose "
                f"another folder, or {AFRESH}."
            )
        configs.check(config_yaml)
        content = {"metrics_schema": logs.SCHEMA, **versions(overrides), **facts}
        write_record(self.facts_file, record(Facts, content, FACTS))
        prepare()
        configs.write(self.path, config_yaml)

    def lengthen(self, config_yaml: str) -> None:
        """Give a run that this process holds a config with more steps; its results go, as `configs.replace` says."""
        configs.replace(self.path, config_yaml, self.results_file)

    def clear(self) -> list[str]:
        """Take away what training and `vaekl eval` left, for the same run to be trained again into this folder.

        Results go first and the config last: a run that is killed in between is an unfinished one.

        Returns:
            The names of what is taken away.

        Raises:
            VaeklError: a file cannot be taken away.
        """
        evaluations = [file for file in sorted(self.path.glob("eval*.json")) if _EVALUATIONS.fullmatch(file.name)]
        measured = [*evaluations, *sorted(self.path.glob(f"{EVENTS}*"))]
        last = (METRICS, TRACKER, PREVIOUS, BEST, self.damaged.name, LAST, CONFIG)
        names = [RESULTS, *(file.name for file in measured), *last]
        there = [name for name in names if lexists(self.path / name)]
        for name in there:
            try:
                (self.path / name).unlink()
            except OSError as error:
                raise VaeklError(unwritable(self.path / name, "file", error)) from error
        return there

    def config(self) -> dict[str, Any]:
        """The resolved config of a run that this vaekl wrote.

        Raises:
            VaeklError: there is no run, an earlier vaekl wrote it, or its config or its facts cannot be read.
        """
        if not self.holds_run():
            raise configs.refusal(self.path)
        content = configs.read(self.path)
        self.facts()
        return content

    def facts(self) -> Facts:
        """What was trained, by which versions.

        Raises:
            UnreadableError: the file is missing, as in a run of an earlier vaekl, or damaged.
        """
        try:
            return read_record(self.facts_file, Facts, _MOST[FACTS], _RESTORE)
        except FileNotFoundError as error:
            raise UnreadableError(
                f"{printable(str(self.path))} has no {FACTS}, so an earlier vaekl trained it, or the file was taken "
                f"away: go on with that vaekl, put the file back, or {AFRESH}."
            ) from error

    def results(self) -> Results | None:
        """The figures of a finished run, or None.

        Raises:
            UnreadableError: the file is damaged.
        """
        with suppress(FileNotFoundError):
            return read_record(self.results_file, Results, _MOST[RESULTS], _TAKE_AWAY)
        return None

    def finish(self, figures: Mapping[str, Any]) -> None:
        """Write the results, which makes the run a finished one; nobody comes back to it for an earlier checkpoint.

        Args:
            figures: the keys of `schema.Results`.

        Raises:
            VaeklError: they cannot be written, or are not finite.
        """
        self.previous.unlink(missing_ok=True)
        write_record(self.results_file, record(Results, figures, RESULTS))

    def evaluation(self) -> Evaluation | None:
        """What `vaekl eval` measured on all of the run's own test images, or None.

        Raises:
            UnreadableError: the file is damaged.
        """
        with suppress(FileNotFoundError):
            return read_record(self.evaluation_file(), Evaluation, _MOST[EVALUATION], _TAKE_AWAY)
        return None

    def write_evaluation(self, figures: Mapping[str, Any], label: str = "") -> None:
        """Write what `vaekl eval` measured, one process after the other.

        Args:
            figures: the keys of `schema.Evaluation`.
            label: of what is not comparable with all of the run's own test images.

        Raises:
            VaeklError: they cannot be written, or are not finite.
        """
        file = self.evaluation_file(label)
        content = record(Evaluation, figures, file.name)
        with sole_writer(file):
            write_record(file, content)

    def tracked(self, tracker: str) -> str | None:
        """The name that a tracker has given the run, or None.

        Raises:
            UnreadableError: the file is damaged.
        """
        with suppress(FileNotFoundError):
            content = read_record(self.path / TRACKER, Tracked, _MOST[TRACKER], _TAKE_AWAY)
            return content.run if content.tracker == tracker else None
        return None

    def track(self, tracker: str, run: str) -> None:
        """Note the name that a tracker has given the run, so that it is the same one after a resume.

        Raises:
            VaeklError: it cannot be written.
        """
        write_record(self.path / TRACKER, record(Tracked, {"tracker": tracker, "run": run}, TRACKER))

    def metrics(self) -> Iterator[logs.Row]:
        """The rows of metrics.csv, one after the other.

        Raises:
            UnreadableError: while they are read, for a file that vaekl did not write.
        """
        return logs.read(self.metrics_file)

    def log(self, keep: Callable[[logs.Row], bool]) -> logs.Writer:
        """Begin to write metrics.csv, or go on with it.

        Args:
            keep: which of its rows stay.

        Raises:
            VaeklError: it cannot be read or written.
        """
        return logs.Writer(self.metrics_file, filter(keep, self.metrics()))

    def sync_logs(self) -> None:
        """Have on the disk what was logged, so that no checkpoint is ahead of its figures; an OSError if that fails."""
        for file in filter(Path.exists, (self.metrics_file, *sorted(self.path.glob(f"{EVENTS}*"))[-1:])):
            sync(file)

    def beat(self, step: int, steps: int, elbo: float) -> None:
        """Say how far the run is, for the display of its sweep; a disk that cannot be written is no reason to stop.

        Args:
            step: the steps that are done.
            steps: how many there will be.
            elbo: of the last ones, nats per image.
        """
        heartbeats.write(self.path, Heartbeat(step=step, steps=steps, elbo_nats=elbo))

    def stop_beating(self) -> None:
        """The run has ended, in whatever way."""
        heartbeats.remove(self.path)

    def heartbeat(self) -> Heartbeat | None:
        """How far a run that is training is; None where nothing says so."""
        return heartbeats.read(self.path)
