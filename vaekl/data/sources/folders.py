"""The user's own image files in a folder; its subfolders are classes."""

from pathlib import Path

import numpy as np

from vaekl.data.sources.build import Part, build_source, cut_test
from vaekl.data.sources.images import SUFFIXES, decoded
from vaekl.data.sources.paths import existing_path
from vaekl.data.sources.staging import data_root
from vaekl.data.spec import Source
from vaekl.system.checks import optional, whole
from vaekl.system.errors import VaeklError

_LARGEST_SIDE = 4096


def image_folder(
    path: str | None = None,
    name: str = "image_folder",
    size: int | None = None,
    grayscale: bool = False,
    test_fraction: float = 0.1,
    test_seed: int = 0,
    root: str | None = None,
) -> Source:
    """Image files from path/train and path/test (and path/valid), or from path alone; subfolders are classes.

    They are decoded once, into a file in the data directory from which they are then read.

    Args:
        path: the folder.
        name: what the data set is called in reports.
        size: the side in pixels that the central square is resized to; None keeps the images' own, common size.
        grayscale: one channel in place of three.
        test_fraction: how much to cut off as a test split where there is no folder test.
        test_seed: which images that cuts.
        root: the data directory; None means VAEKL_DATA_DIR, or else the user's cache.

    Returns:
        The source, 256 levels; labelled by the sorted names of the subfolders if every image is in one.

    Raises:
        VaeklError: a folder is missing or empty, or an image is unreadable or of another size than the rest.
    """
    folder = existing_path(path, "image_folder", "path=FOLDER")
    if not folder.is_dir():
        raise VaeklError(f"{folder} is a file, not a folder of images; set dataset.path to the folder.")
    optional(whole, size, "dataset.size", 1, _LARGEST_SIDE)
    train = folder / "train" if (folder / "train").is_dir() else folder
    if train == folder and (lone := [split for split in ("test", "valid") if (folder / split).is_dir()]):
        raise VaeklError(f"{folder} holds {lone[0]}/ but no train/: put the training images there.")
    classes = sorted(child.name for child in train.iterdir() if child.is_dir() and not child.name.startswith("."))
    parts = {"train": _folder_part(train, classes, size, grayscale, root)}
    for split in ("valid", "test"):
        if train != folder and (folder / split).is_dir():
            parts[split] = _folder_part(folder / split, classes, size, grayscale, root)
    if "test" not in parts:
        parts |= cut_test(parts["train"], test_fraction, test_seed)
    return build_source(name, parts, levels=256)


def _folder_part(folder: Path, classes: list[str], size: int | None, grayscale: bool, root: str | None) -> Part:
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(p.startswith(".") for p in path.relative_to(folder).parts)
        and path.is_file()
    )
    if not paths:
        raise VaeklError(f"The folder {folder} holds no images ({', '.join(sorted(SUFFIXES))}); put some there.")
    owners = [path.relative_to(folder).parts[0] for path in paths]
    numbers = {name: number for number, name in enumerate(classes)}
    strangers = [str(path) for path, owner in zip(paths, owners, strict=True) if owner not in numbers]
    labels = None
    if classes and not strangers:
        labels = np.array([numbers[owner] for owner in owners])
    elif classes and any(path.parent != folder for path in paths):
        raise VaeklError(
            f"{strangers[0]} belongs to none of the training classes ({', '.join(classes)}); "
            "put every image in a class's folder, or all of them in none."
        )
    return Part(decoded(folder, paths, data_root(root), size, grayscale), labels, str(folder))
