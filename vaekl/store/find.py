"""The run folders that a path on the command line stands for."""

from pathlib import Path

from vaekl.store.config import CONFIG, refusal
from vaekl.store.run_folder import RunFolder


def find_runs(path: Path) -> list[Path]:
    """The runs that a path stands for: a checkpoint, a run folder, or a folder of run folders.

    Raises:
        VaeklError: if there is none.
    """
    if path.is_file() or RunFolder(path).holds_run():
        return [path]
    inside = sorted({file.parent for pattern in ("*", "*/*") for file in path.glob(f"{pattern}/{CONFIG}")})
    if not inside:
        raise refusal(path)
    return inside
