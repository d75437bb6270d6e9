"""Which of a file's arrays are images and labels of which split: by their names, or as the user says."""

from collections.abc import Mapping
from pathlib import Path

from vaekl.data.inventory import Inventory, some_of
from vaekl.data.sources.array_files import Member
from vaekl.data.sources.split_names import role
from vaekl.system.errors import VaeklError, did_you_mean

_NUMBERS = "biuf"
#: axes of an array of images; one with fewer is taken only where there is none with as many
_FEWEST_AXES = 3
#: for each split the name of its images and, if there are any, of its labels
Chosen = dict[str, tuple[str, str | None]]


def choose(
    members: Mapping[str, Member], place: Path, images: str | None, labels: str | None, inventory: Inventory
) -> tuple[Chosen, bool]:
    """The arrays of each split.

    Args:
        members: everything that the file holds.
        place: the file, for sentences.
        images: the array of training images, or of all, where the user says; None goes by the names.
        labels: the same for its labels.
        inventory: where it is written what is left out.

    Returns:
        The choice, in which there are no training images where only test images are named; and whether the training
        images were not named as such while others were set apart: then nobody has said that they are others than those.

    Raises:
        VaeklError: no array, or more than one, can be the training images; or there is no array of that name.
    """
    for key, name in (("images", images), ("labels", labels)):
        if name is not None and (name not in members or members[name].unusable):
            reason = f" ({members[name].unusable})" if name in members else did_you_mean(name, members)
            raise VaeklError(f"dataset.{key}={name} is no array of {place}{reason}: it holds {_described(members)}.")
    usable = {name: member for name, member in members.items() if not member.unusable}
    named_images, named_labels = _by_role(usable)
    train, is_named = (
        (images, role(images) in _TRAIN) if images is not None else _train(members, usable, named_images, place)
    )
    apart = {split: named_images[split] for split in ("valid", "test") if split in named_images}
    if train is not None and any(train in names for names in apart.values()):
        apart = {}  # the user trains on what is named a test split: then no other split stays apart from it
    for names in apart.values():
        if len(names) > 1:
            raise VaeklError(f"{place} holds {some_of(names)}, names for one split: keep one of them.")
    first = "test" if train is None else "train"
    splits: dict[str, str] = {} if train is None else {"train": train}
    splits |= {split: names[0] for split, names in apart.items()}
    chosen: Chosen = {
        split: (name, (split == first and labels) or _labels(named_labels, split, split == first, inventory))
        for split, name in splits.items()
    }
    used = {name for pair in chosen.values() for name in pair}
    reasons: dict[str, list[str]] = {}
    for name, member in members.items():
        if member.unusable:
            reasons.setdefault(member.unusable, []).append(name)
    inventory.left_out += [f"{some_of(names, 5)}: {reason}" for reason, names in reasons.items()]
    if rest := [f"{name} ({member.text})" for name, member in usable.items() if name not in used]:
        inventory.left_out.append(f"{len(rest):,} arrays that are not used: {some_of(rest, 5)}")
    return chosen, train is not None and bool(apart) and not is_named


#: names that say of an array that it is the training images
_TRAIN = (role("x_train"),)


def _by_role(usable: Mapping[str, Member]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The names of images and of labels by their split; "" for those of a whole data set."""
    images: dict[str, list[str]] = {}
    labels: dict[str, list[str]] = {}
    for name in usable:
        if (named := role(name)) is not None:
            (labels if named.labels else images).setdefault(named.split, []).append(name)
    return images, labels


def _train(
    members: Mapping[str, Member], usable: Mapping[str, Member], named: Mapping[str, list[str]], place: Path
) -> tuple[str | None, bool]:
    """The array of training images, and whether its name says that it is that; None where test images are all."""
    if len(named.get("train", [])) == 1:
        return named["train"][0], True
    candidates = named.get("train") or named.get("") or []
    others = {name for split in ("valid", "test") for name in named.get(split, [])}
    if not candidates:  # an array alone needs no name
        candidates = [
            name
            for name, member in usable.items()
            if name not in others and role(name) is None and member.kind in _NUMBERS and len(member.shape) >= 2
        ]
        most = max((len(usable[name].shape) for name in {*candidates, *others}), default=0)
        fewest = min(most, _FEWEST_AXES)
        candidates = [name for name in candidates if len(usable[name].shape) >= fewest]
        is_for_training = any(role(name) in _TRAIN for name in members)
        if not candidates and not is_for_training and len(named.get("test", [])) == 1:
            return None, False
    if len(candidates) == 1:
        return candidates[0], False
    if not usable:
        raise VaeklError(
            f"{place} holds {_described(members)}, and no array of images: save them with numpy.savez under the name "
            "x_train."
        )
    what = "more than one of which may be" if candidates else "but none is named like"
    raise VaeklError(
        f"{place} holds {_described(members)}, {what} the training images: call their array x_train, or set "
        "dataset.images to its name."
    )


def _labels(named: Mapping[str, list[str]], split: str, or_all: bool, inventory: Inventory) -> str | None:
    """The name of a split's labels; else of those of a whole data set where they may be taken."""
    names = named.get(split) or (named.get("", []) if or_all else [])
    if len(names) > 1:
        inventory.left_out.append(f"the labels {some_of(names)}: names for one split")
    return names[0] if len(names) == 1 else None


def _described(members: Mapping[str, Member]) -> str:
    """Names and shapes."""
    texts = [f"{name} ({member.unusable or member.text})" for name, member in sorted(members.items())]
    return some_of(texts) or "no arrays"
