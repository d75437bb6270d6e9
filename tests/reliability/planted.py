"""Faults that are planted in vaekl, so that tests of kills can show that they see them; in a fork."""

import contextlib
import sys
import time
from pathlib import Path
from typing import Any


def _rows_stay() -> None:
    from vaekl.training.callbacks import MetricsCsv

    whole = MetricsCsv.started

    def started(self: MetricsCsv, trainer: Any) -> None:
        if self.folder.metrics_file.exists():
            self._log = self.folder.log(keep=lambda row: True)
        else:
            whole(self, trainer)

    MetricsCsv.started = started  # type: ignore[method-assign]


def _events_stay() -> None:
    from vaekl.training.callbacks import tensorboard

    whole = tensorboard.SummaryWriter
    tensorboard.SummaryWriter = lambda *words, purge_step=None, **named: whole(*words, **named)  # type: ignore


def _noise_begins_again() -> None:
    from vaekl.training.trainer import Trainer

    whole = Trainer.load_state_dict

    def load(self: Trainer, state: dict[str, Any]) -> None:
        whole(self, state | {"generator": self.generator.get_state()})

    Trainer.load_state_dict = load  # type: ignore[method-assign]


def _written_in_place() -> None:
    @contextlib.contextmanager
    def replacing(path: Path, *_: Any) -> Any:
        yield path

    for name, module in list(sys.modules.items()):
        if name.startswith("vaekl.") and hasattr(module, "replacing"):
            module.replacing = replacing  # type: ignore[attr-defined]


def _slow_events() -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    whole = RecordWriter.write

    def write(self: Any, data: bytes) -> None:
        time.sleep(0.02)
        whole(self, data)

    RecordWriter.write = write


#: what the tests of the tests break; slow events are no fault, but a slow disk
FAULTS = {
    "slow events": _slow_events,
    "rows stay": _rows_stay,
    "events stay": _events_stay,
    "noise begins again": _noise_begins_again,
    "written in place": _written_in_place,
}
