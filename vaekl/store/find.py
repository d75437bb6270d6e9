"""The run folders that a path on the command line stands for."""

from pathlib import Path

from vaekl.store.config import refusal
from vaekl.store.run_folder import RunFolder
from vaekl.system.errors import VaeklError
from vaekl.system.files import subfolders
from vaekl.system.terminal import printable

#: why a run behind a link is none of its folder's
LINKED = "it is a link, and inside of a folder vaekl follows none: take it away, or name the run itself"


def find_runs(path: Path) -> list[Path]:
    """The runs that a path stands for: a checkpoint, a run folder, or a folder of run folders without its links.

    Raises:
        VaeklError: if there is none.
    """
    check_file(path)
    if path.is_file() or RunFolder(path).holds_run():
        return [path]
    runs, links = _inside(path)
    if not runs and links:
        raise VaeklError(f"{printable(str(links[0]))} is left out ({LINKED}).")
    if not runs:
        raise refusal(path)
    return runs


def check_file(path: Path) -> None:
    """Refuse a file that is no checkpoint of a run, and what is neither a file nor a folder.

    Raises:
        VaeklError: names the run's folder if it is in one.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise VaeklError(
            f"{printable(str(path))} is neither a file nor a folder: give a folder that `vaekl train` made."
        )
    if path.is_file() and path.suffix != ".pt":
        if not RunFolder(path.parent).holds_run():
            raise VaeklError(
                f"{printable(str(path))} is a file, and neither a run folder nor a checkpoint: give a folder that "
                "`vaekl train` made."
            )
        folder = printable(str(path.parent))
        raise VaeklError(
            f"{printable(str(path))} is a file of the run {folder}: give that folder, or a checkpoint in it."
        )


def linked_runs(path: Path) -> list[Path]:
    """The links in a folder of runs that lead to runs, or to folders of runs."""
    return [] if path.is_file() or RunFolder(path).holds_run() else _inside(path)[1]


def _inside(path: Path) -> tuple[list[Path], list[Path]]:
    """Run folders in a folder and in the folders in it, and links that lead to some."""
    runs, links = [], set()
    for child in subfolders(path):
        for folder in (child, *subfolders(child)):
            if RunFolder(folder).holds_run():
                linked = [place for place in (child, folder) if place.is_symlink()]
                links.update(linked[:1])
                runs += [] if linked else [folder]
    return sorted(runs), sorted(links)
