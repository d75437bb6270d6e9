"""The names that people give to splits: `train`, `X_train`, `val_images`, `Testing`, `labels/dev`."""

import re
from typing import NamedTuple

_SPLITS = {
    "train": "training|train",
    "valid": "validation|validate|valid|val|dev",
    "test": "testing|test",
}
_IMAGES = "images?|imgs?|pictures?|pixels?|photos?|dataset|data|inputs?|samples?|features?|arrays?|arr|set|x"
_LABELS = "labels?|lbls?|targets?|classes|class|y"
_WHOLE = re.compile(rf"(?:{_IMAGES})+0?")
_WHOLE_LABELS = re.compile(rf"(?:{_IMAGES}|{_LABELS})+")
#: nnU-Net's imagesTr and labelsTs, and x_tr, x_te: too short to be names without the word beside them
_SHORT = {"tr": "train", "trn": "train", "te": "test", "ts": "test", "tst": "test"}


class Role(NamedTuple):
    """What an array or folder holds by its name.

    Args:
        split: train, valid, test, or "" for all images of a data set.
        labels: whether it holds labels, not images.
    """

    split: str
    labels: bool


def role(name: str) -> Role | None:
    """What a name says, in any case and with any signs between its words; None where it is nothing usual.

    >>> role("X_train"), role("Validation"), role("y_test"), role("imgs"), role("train_masks")
    (Role(split='train', labels=False), Role(split='valid', labels=False), Role(split='test', labels=True), \
Role(split='', labels=False), None)
    """
    word = re.sub(r"[^a-z0-9]", "", name.lower())
    word = re.sub(r"(?<=[a-z])(?:19|20)\d\d$", "", word)  # COCO's train2017
    for split, names in _SPLITS.items():
        if re.fullmatch(rf"(?:{_IMAGES}|{_LABELS})*(?:{names})(?:{_IMAGES}|{_LABELS})*", word):
            rest = re.sub(names, "", word, count=1)
            return Role(split, labels=rest != "" and _WHOLE.fullmatch(rest) is None)
    for end, split in _SHORT.items():
        if word.endswith(end):
            rest = word.removesuffix(end)
            if _WHOLE.fullmatch(rest):
                return Role(split, labels=False)
            if _WHOLE_LABELS.fullmatch(rest):
                return Role(split, labels=True)
    if _WHOLE.fullmatch(word):
        return Role("", labels=False)
    return Role("", labels=True) if _WHOLE_LABELS.fullmatch(word) else None


def folder_split(name: str) -> str:
    """The split that a folder is by its name, or ""."""
    named = role(name)
    return named.split if named is not None and not named.labels else ""
