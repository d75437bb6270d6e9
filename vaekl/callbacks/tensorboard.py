"""TensorBoard: scalars with their units, the ledger's page, histograms, the config, and the HParams tab."""

import threading
import time
from contextlib import suppress
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from vaekl.evaluate import Evaluation
from vaekl.trainer import Callback, Trainer

_TEST = ".test"
_LONGEST_WAIT = 2
_LEDGER = ("elbo_nats", "energy_nats", "log_norm_const_nats", "kl_nats")
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
        settings: what the HParams tab compares runs by, the same keys for every run; None where this run lacks one.
    """

    def __init__(self, folder: Path, config: str, settings: dict[str, str | float | None]) -> None:
        self.folder, self.config, self.settings = folder, config, settings
        self.writer: SummaryWriter | None = None

    def started(self, trainer: Trainer) -> None:
        resumed = trainer.step > 0
        threading.excepthook = _as_usual_but_for_the_disk
        for file in self.folder.glob(f"events.*{_TEST}"):
            file.unlink()
        _wait_for_a_later_name(self.folder)
        # events of steps after the checkpoint are about to be written again; without one, all of them
        self.writer = SummaryWriter(str(self.folder), purge_step=trainer.step + 1 if resumed else 0)
        if not resumed:
            self.writer.add_text("config", "```yaml\n" + self.config + "\n```", 0)
            self.writer.add_custom_scalars(
                {
                    "ELBO ledger": {
                        split: ["Multiline", [f"{split}/{tag}" for tag in _LEDGER]] for split in ("train", "valid")
                    },
                    "train beside valid": {
                        title: ["Multiline", [f"(train|valid)/{tag}$"]] for title, tag in _ACROSS.items()
                    },
                }
            )

    def logged(self, trainer: Trainer, figures: dict[str, float]) -> None:
        self._scalars("train", figures, trainer.step)

    def validated(self, trainer: Trainer, evaluation: Evaluation | None, improved: bool) -> None:
        if evaluation is not None:
            self._evaluation("valid", evaluation, trainer.step)
        self._flush()

    def paused(self, trainer: Trainer) -> None:
        self._flush()

    def failed(self, trainer: Trainer) -> None:
        if self.writer is not None:
            with suppress(OSError):  # the error that ended the run is the one to report
                self.writer.close()

    def tested(self, trainer: Trainer, evaluation: Evaluation) -> None:
        if self.writer is None:
            return
        # a file of its own: a run that is killed before its results are written tests again
        self.writer.close()
        self.writer = SummaryWriter(str(self.folder), filename_suffix=_TEST)
        self._evaluation("test", evaluation, trainer.step)
        self._compare(list(evaluation.figures()), trainer.step)
        self.writer.close()

    def _compare(self, tags: list[str], step: int) -> None:
        """The HParams tab: settings beside the test's figures.

        `SummaryWriter.add_hparams` would write the figures a second time, and only the columns that this run has, while
        TensorBoard takes the columns for all runs from whichever it meets first.
        """
        figures = {f"test/{tag}": 0.0 for tag in tags}
        columns = {key: 0.0 if value is None else value for key, value in self.settings.items()}
        experiment, _, _ = hparams(columns, figures)
        _, start, end = hparams({key: value for key, value in self.settings.items() if value is not None}, figures)
        if self.writer is not None:
            for summary in (experiment, start, end):
                self.writer._get_file_writer().add_summary(summary, step)

    def _evaluation(self, split: str, evaluation: Evaluation, step: int) -> None:
        self._scalars(split, evaluation.figures(), step)
        if self.writer is not None:
            self.writer.add_histogram(f"{split}/kl_per_latent_nats", evaluation.kl_per_latent, step)

    def _scalars(self, split: str, figures: dict[str, float], step: int) -> None:
        if self.writer is not None:
            for tag, value in figures.items():
                self.writer.add_scalar(f"{split}/{tag}", value, step)

    def _flush(self) -> None:
        if self.writer is not None:
            self.writer.flush()


def _wait_for_a_later_name(folder: Path) -> None:
    """TensorBoard reads a folder's event files in the order of their names, which begin with the second."""
    seconds = [int(file.name.split(".")[3]) for file in folder.glob("events.out.tfevents.*")]
    if seconds and 0 <= max(seconds) - time.time() + 1 <= _LONGEST_WAIT:
        time.sleep(max(seconds) - time.time() + 1)


def _as_usual_but_for_the_disk(failure: threading.ExceptHookArgs) -> None:
    """No traceback where the writer's thread cannot write: the next event raises the same error in the main thread."""
    if not isinstance(failure.exc_value, OSError):
        threading.__excepthook__(failure)
