"""Several runs in one process, whose steps are taken together; each is a run as any other."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from vaekl.run import build_data
from vaekl.system.caller import flushes_denormals
from vaekl.system.devices import flush_denormals
from vaekl.system.files import inner_folder
from vaekl.training import stack


def train(runs: Sequence[Callable[[], None]], sweep: Path) -> None:
    """Train them to their ends.

    Args:
        runs: trains one each; they must not raise.
        sweep: the folder of all, in whose logs/ it is said which take their steps alone.
    """

    def say(text: str) -> None:
        inner_folder(sweep / "logs")
        with open(sweep / "logs" / "stacks.log", "a", encoding="utf-8") as log:
            log.write(f"{text}\n")

    with ExitStack() as around:
        around.callback(torch.set_flush_denormal, flushes_denormals())
        flush_denormals()  # this greenlet takes the steps of all
        around.enter_context(build_data.shared())
        stack.train(runs, say)
