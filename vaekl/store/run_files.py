"""Which files a run has, and where they are."""

from dataclasses import dataclass
from os.path import lexists
from pathlib import Path

from vaekl.store.config import CONFIG

#: names of checkpoints; `results.json` says which of them was tested
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
#: how the names of TensorBoard's files begin
EVENTS = "events.out.tfevents."
FACTS, RESULTS, EVALUATION, METRICS = "facts.json", "results.json", "eval.json", "metrics.csv"
TRACKER = "tracker.json"
#: what is never there before the config is
_AFTER_CONFIG = (LAST, PREVIOUS, BEST, METRICS, RESULTS)


@dataclass(frozen=True)
class RunFiles:
    """The names of one run's files.

    Args:
        path: the folder, which need not be there yet.
    """

    path: Path

    @property
    def config_file(self) -> Path:
        """The resolved config as YAML; a folder with this file holds a run."""
        return self.path / CONFIG

    @property
    def facts_file(self) -> Path:
        """What the config leads to and does not say, and the versions of what was installed."""
        return self.path / FACTS

    @property
    def results_file(self) -> Path:
        """The figures of the test; a folder with this file holds a finished run."""
        return self.path / RESULTS

    @property
    def metrics_file(self) -> Path:
        """Every figure that was logged in training, validation and test."""
        return self.path / METRICS

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
    def initial(self) -> Path:
        """The weights of another run that this one's networks began with, so that it goes on without that run."""
        return self.path / "init.pt"

    @property
    def damaged(self) -> Path:
        """Where a newest checkpoint that cannot be read is kept."""
        return self.path / "last.damaged.pt"

    @property
    def samples(self) -> Path:
        """The folder that `vaekl sample` writes to."""
        return self.path / "samples"

    @property
    def projector(self) -> Path:
        """The folder of what TensorBoard's Projector shows."""
        return self.path / "projector"

    def picture(self, name: str) -> Path:
        """A picture that training leaves, such as prior_samples."""
        return self.path / f"{name}.png"

    def evaluation_file(self, label: str = "") -> Path:
        """What `vaekl eval` measured: on all of the run's own test images, or on what a label stands for."""
        return self.path / (f"eval_{label}.json" if label else EVALUATION)

    def holds_run(self) -> bool:
        """Whether there is a run in the folder, finished or not."""
        return lexists(self.config_file)

    def is_finished(self) -> bool:
        """Whether there are results; they need not be readable."""
        return lexists(self.results_file)

    def leftovers(self) -> list[str]:
        """Names of files that a run leaves and that are never there before its config is."""
        return [name for name in _AFTER_CONFIG if lexists(self.path / name)]

    def checkpoints(self) -> list[str]:
        """Names of the checkpoints that are there, the newest first."""
        return [name for name in (LAST, BEST, PREVIOUS) if lexists(self.path / name)]
