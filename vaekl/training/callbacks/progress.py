"""What is shown while a run goes on: a bar in a terminal, a line that changes in a notebook, elsewhere plain lines."""

from datetime import timedelta

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vaekl.measures.elbo import Evaluation
from vaekl.system.console import Console
from vaekl.system.notebook import NotebookLine, notebook_line
from vaekl.system.terminal import printable
from vaekl.training.callback import Callback, TrainerView
from vaekl.training.timer import Progress as Speed

_PLAIN_LINES = 10
#: seconds, within what Python can tell as days and hours
_LONGEST = 1e12


class ProgressDisplay(Callback):
    """ELBO, images/s and the time that is left."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.line: NotebookLine | None = None
        self._train = self._valid = ""
        self._elbo = "train ELBO"

    def started(self, trainer: TrainerView) -> None:
        if trainer.judged.weighting.draws:
            self._elbo = "train ELBO at random θ"
        if not self.console.is_terminal:
            self.line = notebook_line() if self.console.output.is_standard else None
            return
        self.bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
            # a thread draws it, and each time keeps the step waiting for Python's lock
            refresh_per_second=2,
        )
        self._task = self.bar.add_task("", total=trainer.plan.total_steps, completed=trainer.step)
        self.bar.start()

    def compiled(self, trainer: TrainerView, seconds: float) -> None:
        self.console.print(f"  step {trainer.step:>6,}: compiled in {seconds:.1f} s")

    def logged(self, trainer: TrainerView, figures: dict[str, float]) -> None:
        self._show(trainer, figures["elbo_nats"], figures["images_per_second"])

    def progressed(self, trainer: TrainerView, progress: Speed) -> None:
        self._show(trainer, progress.elbo_nats, progress.images_per_second)
        if self.bar is None and self.line is None:
            left = timedelta(seconds=round(min(progress.seconds_left, _LONGEST)))
            self._print(trainer, f"{self._train} · {left} left")

    def _show(self, trainer: TrainerView, elbo_nats: float, images_per_second: float) -> None:
        speed = f"{images_per_second:,.{0 if images_per_second >= 10 else 2}f} {trainer.data.spec.example}s/s"
        self._train = f"{self._elbo} {elbo_nats:,.2f} nats · {speed}"
        if self.bar is not None:
            self.bar.update(self._task, completed=trainer.step, description=self._description())
        self._show_line(trainer)

    def validated(self, trainer: TrainerView, evaluation: Evaluation | None, improved: bool) -> None:
        self._valid = f"valid ELBO {evaluation.elbo:,.2f} nats" if evaluation is not None else ""
        total = trainer.plan.total_steps
        before = max(0, trainer.step - trainer.plan.valid_every)
        due = trainer.step * _PLAIN_LINES // total > before * _PLAIN_LINES // total
        self._show_line(trainer)
        if self.bar is None and self.line is None and (due or trainer.finished):
            self._print(trainer, self._description())

    def _print(self, trainer: TrainerView, text: str) -> None:
        self.console.print(self._at_step(trainer, text))

    def _show_line(self, trainer: TrainerView) -> None:
        if self.line is not None:
            self.line.show(printable(self._at_step(trainer, self._description())))

    @staticmethod
    def _at_step(trainer: TrainerView, text: str) -> str:
        return f"  step {trainer.step:>6,}/{trainer.plan.total_steps:,} · {text}"

    def _description(self) -> str:
        return " · ".join(part for part in (self._train, self._valid) if part)

    def paused(self, trainer: TrainerView) -> None:
        if self.bar is not None:
            self.bar.stop()
        if self.line is not None:
            self.line.close()

    def failed(self, trainer: TrainerView) -> None:
        self.paused(trainer)
