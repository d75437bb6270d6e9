"""`tracker=wandb`: a run of Weights & Biases beside the run folder."""

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaekl.system import libraries
from vaekl.system.checks import one_of, optional
from vaekl.system.console import Console
from vaekl.system.files import inner_folder
from vaekl.training.callbacks.tracker import Ending, Tracker

#: a run's name has 32 characters: so many random ones, and a digest of them and the folder
_RANDOM = 12


class WandbTracker(Tracker):
    """Figures over the steps of training, settings as the run's config, the last pictures as media.

    Args:
        folder, parameters, console: as `Tracker` has them.
        project: of W&B.
        entity: whose project it is; None takes the user's own.
        mode: online, or offline for files in the folder `wandb` of the run folder; None goes by WANDB_MODE.
    """

    name = "wandb"
    cure = "log in by `wandb login`, or set tracker.mode=offline"

    def __init__(
        self,
        folder: Path,
        parameters: Mapping[str, str | float | None],
        console: Console,
        project: str = "vaekl",
        entity: str | None = None,
        mode: str | None = None,
    ) -> None:
        super().__init__(folder, parameters, console)
        self.project, self.entity = project, entity
        self.mode = optional(one_of, mode, "tracker.mode", ("online", "offline"))
        self._wandb: Any = libraries.tracker("wandb")
        self._run: Any = None

    def begin(self, run: str | None) -> tuple[str, str]:
        inner_folder(self.folder.path / "wandb")
        if run is not None and run != self._name(run[:_RANDOM]):
            self.warn_of_another(run)
            run = None
        name = run or self._name(uuid.uuid4().hex[:_RANDOM])
        # beside a run that the program around may have begun; what is printed stays in the terminal
        self._run = self._wandb.init(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            dir=str(self.folder.path),
            id=name,
            resume="allow",
            name=self.folder.path.name,
            config=dict(self.parameters),
            allow_val_change=True,
            reinit="create_new",
            settings=self._wandb.Settings(console="off", silent=True),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        place = f"offline, {Path(self._run.dir).parent}" if self._run.offline else self._run.url
        return self._run.id, f"wandb: {place}"

    def _name(self, random: str) -> str:
        """A name that no other folder can have: one that was copied into another folder's file shows that it was."""
        digest = hashlib.sha256(f"{random} {self.folder.path.resolve()}".encode()).hexdigest()
        return random + digest[: 32 - _RANDOM]

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self._run.log({**figures, "step": step})

    def picture(self, tag: str, file: Path) -> None:
        self._run.log({tag: self._wandb.Image(str(file))})

    def end(self, how: Ending) -> None:
        self._run.finish(exit_code=0 if how == "finished" else 1)
