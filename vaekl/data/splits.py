"""Train, validation and test: images in memory or in a file, gathered and transformed a whole batch at a time."""

from collections.abc import Generator as Steps
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np
import torch
from torch import Generator, Tensor

from vaekl.data.auto import AutoTransform
from vaekl.data.constant import constant_values
from vaekl.data.converted import StoredImages
from vaekl.data.digest import digest
from vaekl.data.inventory import Inventory
from vaekl.data.order import shuffled
from vaekl.data.row_noise import RowNoise
from vaekl.data.spec import DataSpec, Source, Support
from vaekl.data.standardize import Standardize, Standardized
from vaekl.data.together import Together, gathered
from vaekl.data.totals import in_proportion, mean_total
from vaekl.data.transforms import Transform
from vaekl.system.checks import is_number
from vaekl.system.errors import VaeklError

#: the most images that a fraction of train holds out
MAX_VALID = 5000


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Args:
        images: [N, *S], as stored (uint8, uint16 or float32), in memory, in a file, of several such together, or
            converted as they are gathered.
        labels: int64 [N], or None.
        transform: what turns stored values into those that the likelihood models.
    """

    images: StoredImages
    labels: Tensor | None
    transform: Transform

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor | slice, generator: Generator | None = None) -> Tensor:
        """Some images, transformed on their device.

        Args:
            index: int64 [B], best on the images' device, or a slice.
            generator: for a random transform, on the images' device; None means torch's global one.

        Returns:
            [B, *S].
        """
        stored = self.stored(index)
        if isinstance(generator, RowNoise):
            generator.of_rows(stored)
        return self.transform(stored, generator)

    def stored(self, index: Tensor | slice) -> Tensor:
        """Some images before the transform, on their device; the arguments are those of `batch`."""
        return gathered(self.images, index)

    def stream(self, indices: Iterable[Tensor | slice]) -> Steps[Tensor]:
        """What `stored` gives for each index, in order; images in a file are read ahead, so `close` it when done.

        The transform is left to whoever uses the batch: then its random numbers do not depend on how far was read.
        """
        if isinstance(self.images, Tensor):
            yield from map(self.stored, indices)
        else:
            yield from self.images.stream(indices)

    def first(self, images: int) -> "Split":
        """The same split cut off after so many images."""
        labels = None if self.labels is None else self.labels[:images]
        return replace(self, images=self.images[:images], labels=labels)

    def to(self, device: torch.device | str) -> "Split":
        """The same split with its images and labels on `device`; images in a file go there as they are read."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, images=self.images.to(device), labels=labels, transform=self.transform.to(device))


@dataclass(frozen=True)
class Data:
    """A data set ready for training.

    Args:
        spec: of the values that `batch` returns.
        stored: of the values as stored.
        train: what training sees.
        valid: what choices are made by, or None.
        test: what is reported, always the data set's own test images.
        inventory: where the images of each are from, and what was left out.
        digests: of the images of each split of the source, before any are held out.
        rows: int64 [N] of each split that was cut from one array, the place of each image in that array.
    """

    spec: DataSpec
    stored: DataSpec
    train: Split
    valid: Split | None
    test: Split
    inventory: Inventory = field(default_factory=Inventory)
    digests: dict[str, str] = field(default_factory=dict)
    rows: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def from_source(
        cls,
        source: Source,
        transform: Transform | AutoTransform,
        accepts: tuple[Support, ...],
        valid: float = 0.1,
        split_seed: int = 0,
        to_train: bool = True,
    ) -> "Data":
        """Split a source, and fit the transform to it.

        Args:
            source: the stored images.
            transform: a transform, or `AutoTransform()` to have one chosen.
            accepts: the supports that the likelihood accepts, by which `AutoTransform` chooses.
            valid: how much of train to hold out for validation: a fraction below 1 (never more than 5000 images), or
                a count; 0 holds out nothing. A source's own validation split is used instead, unless valid is 0.
            split_seed: which images are held out; the test split does not depend on it.
            to_train: whether a model is to be trained on them; one that is trained may look at test images alone.

        Returns:
            The data, on the CPU.

        Raises:
            VaeklError: the transform does not fit the data, valid does not fit the number of images, or there are none
                to train on.
        """
        if to_train and not len(source.train):
            raise VaeklError(
                f"{source.inventory.place or source.spec.name} holds {len(source.test):,} test {source.spec.example}s "
                "and none to train on: call their array x_train, or set dataset.images to its name; in a folder put "
                "some into train/."
            )
        chosen = transform.resolve(source.spec, accepts)
        spec = chosen.spec(source.spec)
        train = Split(source.train, source.train_labels, chosen)
        held_out, inventory = None, deepcopy(source.inventory)
        rows = dict(source.rows)
        if source.valid is not None and valid == 0 and to_train:
            origin = inventory.origins.get("valid") or "the data set's own"
            inventory.left_out.append(f"{len(source.valid):,} validation {source.spec.example}s, {origin}: valid=0")
        elif source.valid is not None:
            held_out = Split(source.valid, source.valid_labels, chosen)
        elif count := _valid_count(valid, len(train), source.spec, to_train):
            order = shuffled(len(train), "valid", split_seed)
            places = rows.get("train", torch.arange(len(train)))
            chosen_rows = {"valid": order[:count].sort().values, "train": order[count:].sort().values}
            rows |= {split: places[index] for split, index in chosen_rows.items()}
            held_out, train = _take(train, chosen_rows["valid"]), _take(train, chosen_rows["train"])
            inventory.held_out("valid", "train", f"held out by split_seed={split_seed}")
        if to_train:
            inventory.remarks += constant_values(train.images, source.spec)
        test = Split(source.test, source.test_labels, chosen)
        parts = {"train": source.train, "valid": source.valid, "test": source.test}
        digests = {split: digest(images) for split, images in parts.items() if images is not None}
        data = cls(spec, source.spec, train, held_out, test, inventory, digests, rows)
        seen = train if len(train) else test  # test images alone are only looked at, on the scale of a run's model
        if source.by_total:
            data = data.by_total(mean_total(seen.images, spec))
        return data.standardized(chosen.fitted(seen.images)) if isinstance(chosen, Standardize) else data

    def all(self) -> Split:
        """Every image: those for training, validation and test, each in the order of the array that they are from."""
        splits, _, order = self._together()
        labels = [split.labels for split in splits.values() if split.labels is not None]
        return Split(
            Together([split.images for split in splits.values()], order),
            torch.cat(labels)[order.to(labels[0].device)] if len(labels) == len(splits) else None,
            self.test.transform,
        )

    def origins(self, name: str) -> tuple[list[str], Tensor]:
        """The split of each image, and its place in the array that this is from, counted from 0, int64 [N].

        Args:
            name: test, valid or train, or all for the images of `all`.
        """
        splits, rows, order = self._together()
        if name == "all":
            names = [split for split in splits for _ in range(len(splits[split]))]
            return [names[place] for place in order.tolist()], rows[order]
        count = len(splits[name])
        return [name] * count, self.rows.get(name, torch.arange(count))

    def _together(self) -> tuple[dict[str, Split], Tensor, Tensor]:
        """The splits that hold images; the place of each image in its array; and the order in which `all` has them."""
        splits = {
            name: split
            for name, split in (("train", self.train), ("valid", self.valid), ("test", self.test))
            if split is not None and len(split)
        }
        end = 1 + max((int(rows.max()) for rows in self.rows.values() if len(rows)), default=0)
        places, rows = [], []
        for name, split in splits.items():
            cut = name in self.rows
            rows.append(self.rows[name] if cut else torch.arange(len(split)))
            places.append(rows[-1] if cut else rows[-1] + end)
            end += 0 if cut else len(split)
        # each image once, also where nothing was held out and those to train on are the test images too
        order = torch.from_numpy(np.unique(torch.cat(places).numpy(), return_index=True)[1])
        return splits, torch.cat(rows), order

    def standardized(self, transform: Standardized) -> "Data":
        """The same data, standardized by given moments: those of its training images, or those of a run's."""
        valid = None if self.valid is None else replace(self.valid, transform=transform)
        return replace(
            self,
            spec=transform.spec(self.stored),
            train=replace(self.train, transform=transform),
            valid=valid,
            test=replace(self.test, transform=transform),
        )

    def by_total(self, mean: float) -> "Data":
        """The same data, rates in proportion to totals over a mean total: of their training rows, or of a run's."""
        return replace(self, spec=in_proportion(self.train.transform.spec(self.stored), mean))

    @property
    def digest(self) -> str:
        """How a checkpoint knows its images again."""
        return blake2b(repr(self.digests).encode(), digest_size=8).hexdigest()

    def to(self, device: torch.device | str) -> "Data":
        """The same data with every split on `device`."""
        valid = None if self.valid is None else self.valid.to(device)
        spec = self.spec if self.spec.scaling is None else self.spec.with_(scaling=self.spec.scaling.to(device))
        return replace(self, spec=spec, train=self.train.to(device), valid=valid, test=self.test.to(device))


def _take(split: Split, index: Tensor) -> Split:
    labels = None if split.labels is None else split.labels[index]
    if isinstance(split.images, Tensor) and split.images.dtype == torch.uint16:
        return replace(split, images=split.images.view(torch.int16)[index].view(torch.uint16), labels=labels)
    return replace(split, images=split.images[index], labels=labels)


def _valid_count(valid: float, n: int, spec: DataSpec, to_train: bool) -> int:
    if not is_number(valid):
        raise VaeklError(f"valid must be a fraction below 1 or a count, not {valid!r}; try valid=0.1 or valid=0.")
    whole = 1 <= valid < float("inf") and valid == int(valid)
    if not (0 <= valid < 1 or whole):
        raise VaeklError(f"valid={valid} is neither a fraction from 0 to below 1 nor a count; try 0.1, or 0 for none.")
    if valid == 0:
        return 0
    count = int(valid) if whole else min(MAX_VALID, max(1, int(valid * n)))
    if count >= n and not to_train:
        return 0
    if count >= n:
        raise VaeklError(
            f"valid={valid} would leave none of the {n} training {spec.example}s of {spec.name}; hold out fewer, set "
            "valid=0, or give more."
        )
    return count
