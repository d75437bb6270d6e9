"""Several runs in one process, whose steps are taken together; each is a run as any other."""

from collections.abc import Callable, Sequence
from pathlib import Path

from vaekl.run import build_data
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

    with build_data.shared():
        stack.train(runs, say)
