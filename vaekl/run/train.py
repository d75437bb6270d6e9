"""`vaekl.train`: the command `vaekl train`, called from a program or a notebook."""

import signal
from pathlib import Path
from typing import Any

from vaekl.config import job
from vaekl.config.words import words_of
from vaekl.run import start
from vaekl.run.alone import load
from vaekl.run.trained import TrainedVAE
from vaekl.store.config import own_modules
from vaekl.system import distributed, terminal
from vaekl.system.caller import undisturbed
from vaekl.system.errors import StoppedError, VaeklError


def train(*words: str, again: bool = False, config_dir: Path | str | None = None, **settings: Any) -> TrainedVAE:
    """Train a run as the command does, into the same folder and to the same figures, and read it back.

        run = vaekl.train(likelihood="cb", dataset="digits", **{"trainer.steps": 200})
        run.results.test.elbo_nats

    The same in the words of the command: `vaekl.train("likelihood=cb", "dataset=digits", "trainer.steps=200")`.

    A run that was stopped goes on, and a finished one is read back. Ctrl-C ends the step, saves, and raises
    KeyboardInterrupt. PyTorch's settings and random states, Hydra and signal handlers are afterwards as they were.

    Args:
        words: settings as the command has them, one in each, such as "trainer.steps=200".
        again: train a run that is there once more, from its first step.
        config_dir: a folder with options of your own, such as likelihood/mine.yaml.
        settings: what the words of the command would be: groups, and keys with dots as `**{"trainer.steps": 200}` or
            `trainer={"steps": 200}`.

    Returns:
        What `vaekl.load` gives for its folder.

    Raises:
        VaeklError: the sentence that the command would print.
    """
    if distributed.launched()[1] > 1:
        raise VaeklError("vaekl.train is the work of one process: type `torchrun ... -m vaekl train ...` for several.")
    with undisturbed():
        planned = _planned(words, again, config_dir, settings)
        try:
            start.train(planned)
            device = str(planned.content["trainer"]["device"])
            return load(planned.path, device, trust=own_modules([planned.content]))
        except StoppedError as error:
            stopped = error
    raise _as_signalled(stopped)


def _planned(words: tuple[str, ...], again: bool, config_dir: Path | str | None, settings: dict[str, Any]) -> job.Job:
    """The run; where it cannot be made, the sentence alone is raised, without what Hydra did to get there.

    Raises:
        VaeklError: for the first mistake.
    """
    try:
        for word in words:
            if not isinstance(word, str) or "=" not in word or word.startswith("-") or " " in word.partition("=")[0]:
                raise VaeklError(
                    f"{word!r} is no setting: give a word for each, as in vaekl.train('likelihood=cb', "
                    "'trainer.steps=200'), or arguments by name (again=True, config_dir='FOLDER')."
                )
        if "sweep" in settings or any(word.startswith("sweep=") for word in words):
            raise VaeklError("a sweep has several runs: start it by `vaekl train sweep=...`, or call train for each.")
        own = ["--config-dir", str(config_dir)] if config_dir is not None else []
        return job.single([*words, *words_of(settings), *own, *(["--again"] if again else [])])
    except VaeklError as error:
        raise error.with_traceback(None) from None


def _as_signalled(stopped: StoppedError) -> BaseException:
    """What to raise for a run that a signal has stopped, now that its state is saved: what the signal would have done.

    A loop over runs that catches their errors ends too.
    """
    if stopped.signal == signal.SIGINT and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return KeyboardInterrupt(str(stopped))
    if stopped.signal is not None:
        terminal.complain(f"vaekl: {stopped}")
        signal.raise_signal(stopped.signal)
    return stopped
