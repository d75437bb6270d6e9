"""What became of the files that a data set was read from: which splits they gave, and what was left out and why."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Inventory:
    """What the head of a run says of its data; a source writes it while it reads.

    Args:
        place: the file or folder that was read, or "" for a data set that vaekl knows by name.
        origins: for each split where in that place its images are from, such as "x_val"; "" for all that is there.
        left_out: a line for each kind of thing that was not used, with how many there are and why.
        remarks: what was decided about the images that were used.
        columns: a line for each column of a table, with what it was taken for.
    """

    place: str = ""
    origins: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)

    def held_out(self, split: str, of: str, reason: str) -> None:
        """Note that a split was cut from another one."""
        origin = self.origins.get(of)
        self.origins[split] = ("" if origin is None else f"{origin}, ".removeprefix(", ")) + reason

    def sentence(self, counts: dict[str, int]) -> str:
        """Where the images of each split are from.

        Args:
            counts: how many images each split has; splits without any are left away.

        >>> Inventory("a.npz", {"train": "x_train", "test": "x_test"}).sentence({"train": 8, "valid": 0, "test": 1234})
        'a.npz: 8 train of x_train; 1,234 test of x_test'
        """
        parts = []
        for split, count in counts.items():
            origin = self.origins.get(split, "" if self.place else f"its own {split} split")
            cut = origin.startswith("held out")
            parts += [f"{count:,} {split}{' ' if cut else ' of ' if origin else ''}{origin}"] if count else []
        return (f"{self.place}: " if self.place else "") + "; ".join(parts)


def some_of(names: Iterable[object], most: int = 10) -> str:
    """Some names and how many more there are: a sentence stays short however many files a folder holds.

    >>> some_of("abcde", 3)
    'a, b, c and 2 more'
    """
    words = [str(name) for name in names]
    return ", ".join(words[:most]) + (f" and {len(words) - most:,} more" if len(words) > most else "")
