"""A case of the corpus: one change of one file, and where it happens."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """Where a case happens.

    Args:
        root: the folder in which the verbs are typed.
        run: the name of the run's folder in it.
        sweep: the name of the sweep's folder, or of the run's where there is no sweep.
    """

    root: Path
    run: str
    sweep: str

    @property
    def canary(self) -> Path:
        """What nobody may touch."""
        return self.root / "canary"


@dataclass(frozen=True, eq=False)
class Case:
    """One change of one file.

    Args:
        scene: which folder is changed: that of a finished run, of a stopped one, of a sweep, or of a search.
        words: the file, the key and the change.
        change: makes it; returns the place, in which the run may have another name.
    """

    scene: str
    words: str
    change: Callable[[Place], Place | None]

    def __str__(self) -> str:
        return f"{self.scene}: {self.words}"


def file_of(place: Place, name: str) -> Path:
    """In the run's folder, or in the sweep's."""
    folder = place.root / place.sweep
    return next(iter(sorted(folder.glob(name))), folder / name) if "*" in name else folder / name
