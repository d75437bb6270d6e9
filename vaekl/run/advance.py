"""A run trained as far as somebody wants it for now: left as one that was stopped there, and never tested."""

from collections.abc import Callable, Sequence

from vaekl.config.job import Job
from vaekl.run import recovery
from vaekl.run.build import build, facts
from vaekl.run.config import RunConfig
from vaekl.run.execute import stops_at_signals
from vaekl.store import RunFolder
from vaekl.system.console import Console
from vaekl.system.devices import enough_memory
from vaekl.system.errors import StoppedError
from vaekl.training.callback import Callback
from vaekl.training.callbacks import Checkpoints, MetricsCsv
from vaekl.training.trainer import Trainer


def advance(job: Job, watching: Callable[[Trainer], Sequence[Callback]], console: Console) -> Trainer:
    """Train a run from where it is until one of its callbacks requests a stop; `vaekl resume` goes on from there.

    Args:
        job: the run, begun or not.
        watching: the callbacks that look at it, made once there is a trainer; they are called before its checkpoint.
        console: where it speaks.

    Returns:
        The trainer after its last step, its state saved.

    Raises:
        StoppedError: a signal ended it; its state is saved.
        VaeklError: for any mistake, or a folder that holds another run.
    """
    cfg, folder = RunConfig.of(job.content), RunFolder(job.path)
    with enough_memory("the run", "free some"), folder.held():
        trainer = build(cfg, job.path, console, callbacks=[]).trainer
        trainer.callbacks = [*watching(trainer), MetricsCsv(job.path), Checkpoints(job.path)]
        if folder.is_run_of(job.content):
            recovery.restore(trainer, job.path, recovery.saved_state(trainer, job.path, console), console)
        else:
            folder.claim(cfg.yaml, job.overrides, facts(trainer, cfg.data) | {"init": None})
        with stops_at_signals(trainer) as received:
            trainer.fit()
        if received:
            raise StoppedError.by(received, f"stopped at step {trainer.step}.")
        return trainer
