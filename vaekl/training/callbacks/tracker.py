"""A run's figures in a program that keeps those of many runs, beside the run's own files."""

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Literal

from vaekl.measures.elbo import Evaluation
from vaekl.store import RunFolder
from vaekl.system.console import Console
from vaekl.system.errors import VaeklError, first_line
from vaekl.system.terminal import printable
from vaekl.training.callback import Callback, TrainerView
from vaekl.training.callbacks.images import PICTURES

#: how a run leaves its tracker
Ending = Literal["finished", "stopped", "failed"]


class Tracker(Callback):
    """Hands on what TensorBoard gets, by the same names; once that fails, the run goes on without it.

    A run that is resumed goes on in the same run of the tracker, as long as its folder has the same path: a copied or a
    stranger's folder may have another run's name in its file. What was logged after its checkpoint is logged again,
    with the same figures.

    Args:
        folder: the run folder.
        parameters: the settings by which runs are compared.
        console: where a failure is told.
    """

    #: the option's name, and what to do where a run cannot begin
    name = ""
    cure = ""

    def __init__(self, folder: Path, parameters: Mapping[str, str | float | None], console: Console) -> None:
        # a resume may be typed with a path like . or run
        self.folder, self.parameters, self.console = RunFolder(folder.absolute()), parameters, console
        self._is_open = False
        self._last_step = 0

    @abstractmethod
    def begin(self, run: str | None) -> tuple[str, str]:
        """Begin a run, or go on with one; returns its name, and in words where it is.

        Args:
            run: the name that stands in the folder's file, or None; whether it is this folder's is to be looked at.
        """

    @abstractmethod
    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Keep finite figures of a step under the names of their tags."""

    @abstractmethod
    def picture(self, tag: str, file: Path) -> None:
        """Keep a PNG."""

    @abstractmethod
    def end(self, how: Ending) -> None:
        """Keep nothing more of this process."""

    def started(self, trainer: TrainerView) -> None:
        self._last_step = trainer.step
        run = self.folder.tracked(self.name)
        try:
            new, place = self.begin(run)
        except Exception as error:  # whatever another program's library raises
            reason = f"tracker={self.name} does not begin ({_line(error)}): {self.cure}"
            if trainer.step == 0:
                raise VaeklError(f"{reason}, or take tracker=none.") from error
            self._warn(f"{reason}; the run goes on without it.")
            return
        self._is_open = True
        if new != run:
            self.folder.track(self.name, new)
        self.console.print(printable(f"  tracker     {place}"))

    def logged(self, trainer: TrainerView, figures: dict[str, float]) -> None:
        self._log("train", figures, trainer.step)

    def validated(self, trainer: TrainerView, evaluation: Evaluation | None, improved: bool) -> None:
        self._last_step = trainer.step
        if evaluation is not None:
            self._log("valid", evaluation.figures(), trainer.step)

    def paused(self, trainer: TrainerView) -> None:
        if not trainer.finished:
            self._end("stopped")

    def failed(self, trainer: TrainerView) -> None:
        self._end("failed")

    def tested(self, trainer: TrainerView, evaluation: Evaluation) -> None:
        # at the last step, so that a former test, of a run that has got more steps since, is not the latest one
        self._log("test", evaluation.figures(), self._last_step)
        if trainer.step < self._last_step:
            # early stopping restored its best weights: the last figures of validation are theirs, as those of the test
            for row in self.folder.metrics():
                if row.split == "valid" and row.step == trainer.step:
                    figures = row.figures()
                    kept = {tag: figures[tag] for tag in evaluation.figures() if tag in figures}
                    self._log("valid", kept, self._last_step)
        for name in PICTURES:
            if (file := self.folder.picture(name)).is_file():
                self._attempt(partial(self.picture, f"images/{name}", file))
        self._end("finished")

    def _log(self, split: str, figures: Mapping[str, float], step: int) -> None:
        finite = {f"{split}/{name}": float(value) for name, value in figures.items() if isfinite(value)}
        self._attempt(partial(self.log, finite, step))

    def _end(self, how: Ending) -> None:
        self._attempt(partial(self.end, how))
        self._is_open = False

    def _attempt(self, do: Callable[[], None]) -> None:
        if not self._is_open:
            return
        try:
            do()
        except Exception as error:  # whatever another program's library raises
            self._is_open = False
            self._warn(f"tracker={self.name} takes no more ({_line(error)}): the run goes on without it.")

    def warn_of_another(self, run: str) -> None:
        """Say that the name in the folder's file is that of another folder's run: somebody may have copied it there."""
        self._warn(f"run {run} of tracker={self.name} is not of {self.folder.path.resolve()}: a new one begins.")

    def _warn(self, text: str) -> None:
        self.console.print(printable(f"  warning: {text}"))


def without_password(text: str) -> str:
    """A text with addresses in it, without the names and passwords that they may begin with."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def _line(error: Exception) -> str:
    return without_password(first_line(error))
