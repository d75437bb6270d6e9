"""TensorBoard: scalars with their units, the ledger's page, histograms, the config, and the HParams tab."""

import os
import re
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from vaekl.measures.elbo import Evaluation
from vaekl.measures.pictures import as_image, write_png
from vaekl.store import RunFolder
from vaekl.store.run_files import EVENTS
from vaekl.system.files import refuse_link
from vaekl.system.terminal import printable
from vaekl.training.callback import Callback, TrainerView
from vaekl.training.timer import Progress

_TEST = ".test"
_LONGEST_WAIT = 2
#: seconds since events were last written after which those of a log are written at once
_UNSEEN = 5
#: the end of torch's last histogram bin; a histogram of values that all lie beyond it fails
_LAST_BIN = 9e19
_LEDGER = ("elbo_nats", "energy_nats", "log_norm_const_nats", "kl_nats")
_EQUATION = "ELBO = −E/φ + ln C − KL, nats"
#: the HParams tab shows five settings and five figures before anything is clicked, those that differ first
_COMPARED_FIRST = ("dataset", "likelihood", "weighting", "model", "seed")
_JUDGED_FIRST = (
    "test/elbo_nats", "test/bits_per_dim", "valid/elbo_nats", "valid/bits_per_dim", "test/effective_beta_kl",
)  # fmt: skip
_ACROSS = {
    "ELBO (nats)": "elbo_nats",
    "bits/dim": "bits_per_dim",
    "KL (nats)": "kl_nats",
    "effective β_KL": "effective_beta_kl",
    "implied σ beside RMSE": "(implied_sigma|rmse)",
}


class TensorBoard(Callback):
    """Writes into the run folder itself, so that `tensorboard --logdir outputs` names each run by its path.

    Args:
        folder: the run folder.
        config: the resolved config, as YAML.
        settings: what the HParams tab compares runs by: text, numbers, and None for a number that this run lacks.
    """

    def __init__(self, folder: Path, config: str, settings: dict[str, str | float | None]) -> None:
        self.folder, self.config, self.settings = folder, config, settings
        self.writer: SummaryWriter | None = None
        self._last_step = 0
        # the writer's thread would be woken for each, and take the interpreter from the runs of a stack
        self._not_yet_written: list[tuple[Summary, int, float]] = []
        self._last_flush = time.monotonic()

    def started(self, trainer: TrainerView) -> None:
        self._last_step = trainer.step
        resumed = trainer.step > 0
        threading.excepthook = _without_disk_errors
        for file in self.folder.glob(f"events.*{_TEST}"):
            file.unlink()
        for file in self.folder.glob(f"{EVENTS}*"):
            refuse_link(file)
        _rename_before_now(self.folder)
        # events after the checkpoint will be written again; without a checkpoint all of them
        self.writer = SummaryWriter(str(self.folder), purge_step=trainer.step + 1 if resumed else 0)
        if not resumed:
            self.writer.add_text("config", as_code(self.config), 0)
            self.writer.add_custom_scalars(
                {
                    "ELBO ledger": {
                        f"{split}: {_EQUATION}": ["Multiline", [f"{split}/{tag}" for tag in _LEDGER]]
                        for split in ("train", "valid")
                    },
                    "train beside valid": {
                        title: ["Multiline", [f"(train|valid)/{tag}$"]] for title, tag in _ACROSS.items()
                    },
                }
            )

    def logged(self, trainer: TrainerView, figures: dict[str, float]) -> None:
        self._scalars("train", figures, trainer.step)

    def validated(self, trainer: TrainerView, evaluation: Evaluation | None, improved: bool) -> None:
        self._last_step = trainer.step
        if evaluation is not None:
            self._evaluation("valid", evaluation, trainer.step)
        self._flush()

    def show(self, pictures: Mapping[str, Tensor], step: int) -> None:
        """Add pictures [3, height, width] in [0, 1] under their tags, on the disk when this returns."""
        if self.writer is None:
            return
        values = []
        for tag, picture in pictures.items():
            image, png = as_image(picture), BytesIO()
            write_png(image, png)
            channels = len(image.getbands())
            drawn = Summary.Image(
                height=image.height, width=image.width, colorspace=channels, encoded_image_string=png.getvalue()
            )
            values.append(Summary.Value(tag=tag, image=drawn))
        self._add(Summary(value=values), step)
        self._flush()

    def progressed(self, trainer: TrainerView, progress: Progress) -> None:
        self._flush()

    def saving(self, trainer: TrainerView) -> None:
        self._flush()

    def paused(self, trainer: TrainerView) -> None:
        self._flush()

    def failed(self, trainer: TrainerView) -> None:
        if self.writer is not None:
            with suppress(OSError):  # the error that ended the run is the one to report
                self._flush()
                self.writer.close()

    def tested(self, trainer: TrainerView, evaluation: Evaluation) -> None:
        if self.writer is None:
            return
        # in a file of its own, which is deleted where the run was killed before its results and is tested again
        self._flush()
        self.writer.close()
        if max(self.folder.glob(f"{EVENTS}*")).name.rpartition(".")[2].strip("9") == "":
            _rename_before_now(self.folder)  # names end in a count of the process's files, and 10 comes before 9
        self.writer = SummaryWriter(str(self.folder), filename_suffix=_TEST)
        self._evaluation("test", evaluation, trainer.step)
        if trainer.step < self._last_step:
            # early stopping restored its best weights: the last point of the curves is theirs, as in the test
            for row in RunFolder(self.folder).metrics():
                if row.split == "valid" and row.step == trainer.step:
                    kept = {tag: value for tag, value in row.figures().items() if tag in evaluation.figures()}
                    self._scalars("valid", kept, self._last_step)
        self._compare(list(evaluation.figures()), trainer.step)
        self._flush()
        self.writer.close()

    def _compare(self, figures: list[str], step: int) -> None:
        """The HParams tab: settings beside the final figures, which are the last points of their curves.

        TensorBoard takes the columns of all runs from the first that it reads, and shows those first that are marked as
        different.
        """
        tags = [*_JUDGED_FIRST, *(f"{split}/{tag}" for split in ("test", "valid") for tag in figures)]
        columns = {key: 0.0 if value is None else value for key, value in self.settings.items()}
        experiment, _, _ = hparams(columns, dict.fromkeys(tags, 0.0))
        _, start, end = hparams({key: value for key, value in self.settings.items() if value is not None}, {})
        for part in (self._differing_first(experiment), start, end):
            self._add(part, step)

    def _differing_first(self, experiment: Summary) -> Summary:
        differ = _swept(self.folder, self.settings) or _COMPARED_FIRST
        stored = experiment.value[0].metadata.plugin_data
        content = HParamsPluginData.FromString(stored.content)
        for column in content.experiment.hparam_infos:
            column.differs = column.name in differ
        stored.content = content.SerializeToString()
        return experiment

    def _evaluation(self, split: str, evaluation: Evaluation, step: int) -> None:
        self._scalars(split, evaluation.figures(), step)
        if self.writer is not None:
            kl = evaluation.kl_per_latent.clamp(max=_LAST_BIN)
            self.writer.add_histogram(f"{split}/kl_per_latent_nats", kl, step)

    def _scalars(self, split: str, figures: dict[str, float], step: int) -> None:
        values = [Summary.Value(tag=f"{split}/{tag}", simple_value=value) for tag, value in figures.items()]
        self._add(Summary(value=values), step)
        if time.monotonic() - self._last_flush > _UNSEEN:
            self._flush()

    def _add(self, summary: Summary, step: int) -> None:
        self._not_yet_written.append((summary, step, time.time()))

    def _flush(self) -> None:
        if self.writer is not None:
            for event in self._not_yet_written:
                self.writer._get_file_writer().add_summary(*event)
            self._not_yet_written.clear()
            self.writer.flush()
            self._last_flush = time.monotonic()


def as_code(text: str) -> str:
    """Text that TensorBoard, which reads Markdown, shows as it is: with this margin every line is code."""
    return "\n".join(f"    {printable(line)}" for line in text.split("\n"))


def _swept(folder: Path, settings: Iterable[str]) -> set[str]:
    """The settings that differ in a sweep, as its run folders are named after them; none outside a sweep."""
    return set(re.findall(r"(?:^|,)\+*([\w.]+)=", folder.resolve().name)) & set(settings)


def _rename_before_now(folder: Path) -> None:
    """Make sure that the event file to come sorts after those in the folder.

    TensorBoard reads event files in the order of their names: the second of their creation, the host, the process.
    Where the latest is of the present second, wait until that has passed, unless this process's name comes later
    anyway. Where it is of a later second, the clock was set back: the files are renamed to the seconds before now.
    """
    files = sorted(folder.glob(f"{EVENTS}[0-9]*.*"))
    if not files or files[-1].name < f"{EVENTS}{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.":
        return
    ahead = _second(files[-1]) - time.time() + 1
    if 0 <= ahead <= _LONGEST_WAIT:
        time.sleep(ahead)
    elif ahead > 0:
        # also before the first of them: the rest of a name, host and process number, may be the same in a container
        second = min(int(time.time()), _second(files[0])) - len(files)
        for place, file in enumerate(files):
            head, _, tail = file.name.removeprefix(EVENTS).partition(".")
            file.rename(folder / f"{EVENTS}{second + place:0{len(head)}d}.{tail}")


def _second(file: Path) -> int:
    """In an event file's name; 0 where there is none, which TensorBoard wrote not."""
    digits = file.name.removeprefix(EVENTS).partition(".")[0]
    return int(digits) if digits.isdecimal() else 0


def _without_disk_errors(failure: threading.ExceptHookArgs) -> None:
    """Report an error in a thread, unless the writer cannot write: then the next event raises it in the main thread."""
    if not isinstance(failure.exc_value, OSError):
        threading.__excepthook__(failure)
