"""The user's own image files in a folder; its subfolders are classes."""

from pathlib import Path
from typing import NoReturn

import numpy as np

from vaekl.data.inventory import Inventory, some_of
from vaekl.data.ondisk import Array, OnDisk
from vaekl.data.sources import pixels
from vaekl.data.sources.build import Part, build_source, cut_test
from vaekl.data.sources.images import Decoded, decoded
from vaekl.data.sources.paths import existing_path
from vaekl.data.sources.pixels import SUFFIXES, Decoding, Reader
from vaekl.data.sources.split_names import folder_split
from vaekl.data.sources.staging import data_root
from vaekl.data.sources.walk import Walk, check_no_splits_inside, subfolders
from vaekl.data.spec import Source
from vaekl.system.checks import flag, optional, whole
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import command, setting

_LARGEST_SIDE = 4096


def image_folder(
    path: str | None = None,
    name: str = "image_folder",
    size: int | None = None,
    grayscale: bool = False,
    background: str = "white",
    skip_broken: bool = False,
    levels: int | None = None,
    test_fraction: float | None = 0.1,
    test_seed: int = 0,
    root: str | None = None,
) -> Source:
    """Image files from path/train and path/test (and path/val), or from path alone; subfolders are classes.

    They are decoded once, into a file in the data directory from which they are then read.

    Args:
        path: the folder.
        name: what the data set is called in reports.
        size: the side in pixels that the central square is resized to; None keeps the images' own, common size.
        grayscale: one channel in place of three.
        background: the colour behind transparent pixels.
        skip_broken: leave out images that cannot be read, in place of refusing the folder.
        levels: how many values a pixel can take; None takes 256 for 8 bits a channel, and for 16 either 4,096 or
            65,536 by the largest value.
        test_fraction: how much to cut off as a test split where there is no folder test.
        test_seed: which images that cuts.
        root: the data directory; None means VAEKL_DATA_DIR, or else the user's cache.

    Returns:
        The source; labelled by the sorted names of the subfolders if every image is in one.

    Raises:
        VaeklError: a folder is missing or empty, its splits are not plain, or an image is unreadable or of another size
            than the rest.
    """
    inventory = Inventory()
    parts = parts_of_folder(path, size, grayscale, background, skip_broken, root, inventory)
    if "test" not in parts:
        parts |= cut_test(parts["train"], test_fraction, test_seed, inventory)
    report_equal_images(parts, inventory)
    return build_source(name, parts, levels, inventory, kind="image")


def parts_of_folder(
    path: str | None,
    size: int | None,
    grayscale: bool,
    background: str,
    skip_broken: bool,
    root: str | None,
    inventory: Inventory,
) -> dict[str, Part]:
    """The splits that a folder has, decoded; with the arguments of `image_folder`, and where to write of it."""
    folder = existing_path(path, "image_folder", "path=FOLDER")
    if not folder.is_dir():
        raise VaeklError(f"{folder} is a file, not a folder of images; set dataset.path to the folder.")
    optional(whole, size, "dataset.size", 1, _LARGEST_SIDE)
    inventory.place = str(folder.absolute())
    places, files = files_of_splits(folder, SUFFIXES, "images", inventory)
    how = Decoding(size, flag(grayscale, "dataset.grayscale"), None, Decoding.checked_background(background))
    images = {split: decoded(places[split], paths, data_root(root), how) for split, paths in files.items()}
    _report(files, images, how, flag(skip_broken, "dataset.skip_broken"), inventory)
    labels = folder_labels(places, files, inventory)
    return {
        split: Part(
            part.images,
            labels[split].repeat(part.pages) if split in labels else None,
            str(places[split]),
        )
        for split, part in images.items()
    }


def _report(
    files: dict[str, list[Path]], images: dict[str, Decoded], how: Decoding, skip_broken: bool, inventory: Inventory
) -> None:
    """Write down what was made of the files, and refuse those that cannot be read.

    Raises:
        VaeklError: there are some, unless they are to be left out.
    """
    broken = unreadable(files, images)
    if broken and not skip_broken:
        refuse_unreadable(files, broken, how, ", or set dataset.skip_broken=true to leave them out")
    if broken:
        inventory.left_out.append(
            f"{len(broken):,} images that cannot be read (skip_broken=true): {some_of(broken, 5)}"
        )
    pages, flags, others = (
        np.concatenate([getattr(part, column) for part in images.values()]) for column in ("pages", "flags", "others")
    )
    if count := others.sum():
        inventory.left_out.append(f"{count:,} pictures that are smaller copies, or go with another one in its file")
    if (paged := pages > 1).any():
        inventory.remarks.append(
            f"{pages[paged].sum():,} images are the pages of {paged.sum():,} files; where a split is cut off, pages of "
            "one file may be in both"
        )
    if count := pages[flags & pixels.TRANSPARENT > 0].sum():
        inventory.remarks.append(
            f"{count:,} images with transparent pixels, put on dataset.background={how.background}"
        )
    if not how.grayscale and (flags[pages > 0] & pixels.COLOURLESS > 0).all():
        inventory.remarks.append("the channels of every image are equal: dataset.grayscale=true would do with one")


def unreadable(files: dict[str, list[Path]], images: dict[str, Decoded]) -> list[Path]:
    """The files of all splits that gave nothing."""
    return [path for split in files for path, pages in zip(files[split], images[split].pages, strict=True) if not pages]


def refuse_unreadable(files: dict[str, list[Path]], broken: list[Path], how: Reader, cure: str = "") -> NoReturn:
    """Refuse files that cannot be read, all of them at once.

    Raises:
        VaeklError: names the first ten, and says of the first why.
    """
    try:
        how.read(broken[0], pixels.MOST_BYTES)
        reason = "it can be read now"
    except pixels.UnreadableError as error:
        reason = str(error)
    names = some_of([f"{broken[0]} ({reason})", *broken[1:]])
    raise VaeklError(
        f"{len(broken):,} of {sum(map(len, files.values())):,} images cannot be read: {names}: remove or replace "
        f"them{cure}."
    )


def report_equal_images(parts: dict[str, Part], inventory: Inventory) -> None:
    """Write down how many images of other splits are among the training images, to the last pixel."""
    train = parts["train"].images if "train" in parts else None
    for split in ("valid", "test"):
        other = parts[split].images if split in parts else None
        if not isinstance(train, OnDisk) or not isinstance(other, OnDisk):
            continue
        if (
            train.hashes is not None
            and other.hashes is not None
            and (count := np.isin(other.hashes, train.hashes).sum())
        ):
            inventory.remarks.append(f"{count:,} of the {split} images are equal to training images")


def files_of_splits(
    folder: Path, suffixes: set[str], kind: str, inventory: Inventory
) -> tuple[dict[str, Path], dict[str, list[Path]]]:
    """Where the splits of a folder are, and which files they hold.

    Args:
        folder: one with train/ and perhaps test/ and val/, under any of their usual names, or with everything.
        suffixes: of the files that are wanted.
        kind: what they are, such as "images".
        inventory: where it is written what is taken and what is left out.

    Returns:
        For each split its folder, and the files below it, sorted; a folder without any of them is all
        training images, and one with test/ alone can only be looked at.

    Raises:
        VaeklError: there are no files, or it is not plain which of them are for training.
    """
    places, strangers = _split_folders(folder)
    walk = Walk(suffixes, kind)
    files = {split: walk.files(place, split) for split, place in places.items()}
    for split, paths in files.items():
        if not paths:
            raise VaeklError(
                f"The folder {places[split]} holds no {kind} ({', '.join(sorted(suffixes))}); put some there."
            )
    classes = _common_classes(places, files)
    for split, place in places.items():
        check_no_splits_inside(files[split], place, split, classes)
    first = places.get("train") or places["test"]
    if first != folder:
        _check_strangers(strangers, first, suffixes, inventory, kind)
        if loose := walk.beside(folder):
            names = some_of((path.name for path in loose), 3)
            inventory.left_out.append(f"{len(loose):,} {kind} beside {first.name}/, in no split: {names}")
    inventory.origins = {split: "" if place == folder else f"{place.name}/" for split, place in places.items()}
    walk.report(inventory)
    return places, files


def folder_labels(places: dict[str, Path], files: dict[str, list[Path]], inventory: Inventory) -> dict[str, Array]:
    """For each split the numbers of its files' classes, which are the folders right below it; {} if there are none."""
    owners = {split: [path.relative_to(places[split]).parts[:-1] for path in paths] for split, paths in files.items()}
    names = sorted({parts[0] for split in owners for parts in owners[split] if parts})
    if not names:
        return {}
    loose = [path for split, paths in files.items() for path in paths if path.parent == places[split]]
    if loose:
        inventory.left_out.append(
            f"the labels that folders give: {len(loose):,} images lie in none ({some_of(loose, 3)})"
        )
        return {}
    numbers = {name: number for number, name in enumerate(names)}
    return {split: np.array([numbers[parts[0]] for parts in owners[split]]) for split in owners}


def _split_folders(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """The folder of each split, and the folders beside them that belong to none."""
    places: dict[str, Path] = {}
    strangers = []
    for place in subfolders(folder):
        split = folder_split(place.name)
        if not split:
            strangers.append(place)
        elif split in places:
            raise VaeklError(
                f"{folder} holds both {places[split].name}/ and {place.name}/, two names for one split: rename one of "
                "them, or put their images together."
            )
        else:
            places[split] = place
    if not places:
        return {"train": folder}, []
    if "train" not in places and (set(places) != {"test"} or strangers):
        there = " and ".join(f"{place.name}/" for place in places.values())
        raise VaeklError(f"{folder} holds {there} but no train/: put the training images there.")
    return {split: places[split] for split in ("train", "valid", "test") if split in places}, strangers


def _common_classes(places: dict[str, Path], files: dict[str, list[Path]]) -> set[str]:
    """Names of folders that every one of several splits has: they are classes, even one that is called `valid`."""
    names = [
        {path.relative_to(places[split]).parts[0] for path in paths if path.parent != places[split]}
        for split, paths in files.items()
    ]
    return set.intersection(*names) if len(names) > 1 else set()


def _check_strangers(strangers: list[Path], train: Path, suffixes: set[str], inventory: Inventory, kind: str) -> None:
    """Refuse a folder of images beside train/ that is none of the splits, and count the others."""
    for stranger in strangers:
        if count := len(Walk(suffixes, kind).files(stranger)):
            raise VaeklError(
                f"{stranger} holds {count:,} {kind} beside {train.name}/, and its name says of no split that it is "
                "theirs: call it train, val or test, move it away, or set "
                f"{command(setting('dataset.path', train))} to have a test split cut from the training images."
            )
    if strangers:
        names = some_of((f"{stranger.name}/" for stranger in strangers), 5)
        inventory.left_out.append(f"{len(strangers):,} folders without {kind}: {names}")
