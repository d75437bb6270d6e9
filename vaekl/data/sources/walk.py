"""The files below a folder, links to folders included, with a count of what is left out."""

import os
from collections import Counter
from collections.abc import Collection
from functools import cache
from os.path import realpath, splitext
from pathlib import Path

from vaekl.data.inventory import Inventory, some_of
from vaekl.data.sources.split_names import folder_split
from vaekl.system.errors import VaeklError


class Walk:
    """Files of some suffixes below one or more folders; each file once, though several links may lead to it.

    Args:
        suffixes: in lower case, with their dots.
        kind: what such files are, such as "images".
    """

    def __init__(self, suffixes: Collection[str], kind: str) -> None:
        self._suffixes, self._kind = suffixes, kind
        self._folder_of = cache(lambda folder: realpath(folder))
        self._links: set[Path] = set()
        self._taken: dict[str, list[Path]] = {}
        self._hidden, self._others = 0, Counter[str]()
        self._no_files: list[Path] = []
        self._repeated: list[Path] = []

    def files(self, folder: Path, split: str = "") -> list[Path]:
        """The files below a folder, sorted.

        Args:
            folder: where to look.
            split: which split they are for; no file may be in two.

        Raises:
            VaeklError: a folder cannot be read, or a file belongs to another split too.
        """
        files, links, seen = self._really_below(folder)
        seen_folders = {self._folder_of(place) for place in seen} if links else set()
        while links:  # only after what is really here, which keeps its own name
            link = links.pop(0)
            self._links.add(link)
            if link.is_file():
                self._sort(link.parent, link.name, files)
            elif self._folder_of(link) in seen_folders:
                self._repeated.append(link)
            else:
                more_files, more_links, more_folders = self._really_below(link)
                files, links = files + more_files, links + more_links
                seen_folders |= {self._folder_of(place) for place in more_folders}
        self._taken[split] = sorted(self._once(files, split)) if self._links else sorted(files)
        return self._taken[split]

    def report(self, inventory: Inventory) -> None:
        """Write down what was left out."""
        if self._others:
            kinds = ", ".join(
                f"{count:,} {suffix or 'without a suffix'}" for suffix, count in self._others.most_common(10)
            )
            inventory.left_out.append(f"{sum(self._others.values()):,} files that are no {self._kind}: {kinds}")
        if self._hidden:
            inventory.left_out.append(f"{self._hidden:,} hidden files and folders, whose names begin with a dot")
        for paths, what in (
            (self._no_files, "links to nothing, pipes and the like"),
            (self._repeated, "links to what was taken already"),
        ):
            if paths:
                inventory.left_out.append(f"{len(paths):,} {what}: {some_of(paths, 3)}")

    def _really_below(self, folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
        """Files below a folder, links, and the folders themselves; links are not followed."""
        files: list[Path] = []
        links: list[Path] = []
        folders = [folder]
        for place in folders:  # grows while it is gone through
            for entry in _entries(place):
                if entry.name.startswith("."):
                    self._hidden += 1
                elif entry.is_symlink() and (entry.is_dir() or entry.is_file()):
                    links.append(place / entry.name)
                elif entry.is_dir():
                    folders.append(place / entry.name)
                elif entry.is_file():
                    self._sort(place, entry.name, files)
                else:
                    self._no_files.append(place / entry.name)
        return files, links, folders

    def beside(self, folder: Path) -> list[Path]:
        """The files right in a folder whose subfolders are the splits; those of other kinds are counted."""
        files: list[Path] = []
        for entry in _entries(folder):
            if entry.name.startswith("."):
                self._hidden += 1
            elif entry.is_file():
                self._sort(folder, entry.name, files)
        return files

    def _sort(self, folder: Path, name: str, files: list[Path]) -> None:
        """Take a file, or count it among the others."""
        suffix = splitext(name)[1].lower()
        if suffix in self._suffixes:
            files.append(folder / name)
        else:
            self._others[suffix] += 1

    def _once(self, files: list[Path], split: str) -> list[Path]:
        """The files without those to which a link has led before."""
        owners = {
            self._real(path): (owner, path) for owner, paths in self._taken.items() if owner != split for path in paths
        }
        firsts: dict[str, Path] = {}
        for path in files:
            real = self._real(path)
            if real in owners:
                owner, other = owners[real]
                raise VaeklError(
                    f"{path} and {other} are one file, which would be in two splits, {split} and {owner}: take one of "
                    "the two links away."
                )
            if firsts.setdefault(real, path) != path:
                self._repeated.append(path)
        return list(firsts.values())

    def _real(self, path: Path) -> str:
        return realpath(path) if path in self._links else f"{self._folder_of(path.parent)}{os.sep}{path.name}"


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, links to folders included, sorted; hidden ones are left out.

    Raises:
        VaeklError: it cannot be read.
    """
    return [folder / entry.name for entry in _entries(folder) if entry.is_dir() and not entry.name.startswith(".")]


def check_no_splits_inside(paths: list[Path], folder: Path, split: str, classes: Collection[str] = ()) -> None:
    """Refuse images in a folder that is named like another split, below one that is taken as a whole.

    To take them all would train on what somebody has set apart for testing.

    Args:
        paths: the images.
        folder: where they are below.
        split: which split that is.
        classes: names of subfolders that are known to be classes.

    Raises:
        VaeklError: names the folder.
    """
    for parent in dict.fromkeys(path.parent for path in paths):
        parts = parent.relative_to(folder).parts
        for depth, part in enumerate(parts):
            if folder_split(part) not in ("", split) and not (depth == 0 and part in classes):
                inner = folder.joinpath(*parts[: depth + 1])
                raise VaeklError(
                    f"{inner} is named like a split, but lies inside of {folder}, all of whose images would be taken "
                    f"together: set dataset.path to the folder that holds train/ and test/, or rename {part}."
                )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise VaeklError(f"the folder {folder} cannot be read ({error.strerror}): make it readable.") from error
