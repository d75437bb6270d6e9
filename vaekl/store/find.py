"""The run folders that a path on the command line stands for."""

from pathlib import Path

from vaekl.store.run_folder import RunFolder


def find_runs(path: Path) -> list[Path]:
    """The runs that a path stands for: a checkpoint, a run folder, or a folder of run folders.

    Raises:
        VaeklError: if there is none.
    """
    run = RunFolder(path)
    if path.is_file() or run.holds_run():
        return [path]
    name = run.config_file.name
    inside = sorted({file.parent for pattern in ("*", "*/*") for file in path.glob(f"{pattern}/{name}")})
    if not inside:
        raise run.refusal()
    return inside
