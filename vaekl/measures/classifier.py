"""A small classifier, trained on a data set's own labels and kept, in whose features generated images are judged."""

import logging
import os
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from hashlib import blake2b
from math import prod
from pathlib import Path

import torch
from platformdirs import user_cache_path
from torch import Tensor, nn

from vaekl.data import Data, DataSpec, seed_of
from vaekl.data.order import shuffled
from vaekl.data.spec import Shape
from vaekl.store import checkpoint
from vaekl.system.errors import VaeklError
from vaekl.system.files import locked

#: the version of the network and its training: raise it with every change, so that classifiers in caches are not used
RECIPE = 1
FEATURES = 128
_STEPS = 1000
_BATCH = 128
_RATE = 5e-3
_SMALLEST = 8
_WIDTHS = (16, 32, 64)
log = logging.getLogger(__name__)


class Classifier(nn.Module):
    """Images [B, C, H, W] in [0, 1] -> features [B, 128] and logits [B, K].

    3 × 3 convolutions and halvings while a side has 8 pixels or more, then two linear layers; the features are what the
    last of them sees.

    Args:
        shape: (C, H, W).
        classes: K.

    Attributes:
        accuracy: on the tenth of the training split that it was not trained on.
    """

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        body = nn.Sequential()
        stage = 0
        while min(height, width) >= _SMALLEST:
            after = _WIDTHS[min(stage, len(_WIDTHS) - 1)]
            body.extend([nn.Conv2d(channels, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)])
            channels, height, width, stage = after, height // 2, width // 2, stage + 1
        body.extend([nn.Flatten(), nn.Linear(prod((channels, height, width)), FEATURES), nn.ReLU()])
        self.body = body
        self.head = nn.Linear(FEATURES, classes)
        self.accuracy = float("nan")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, 128] and logits [B, K] of images [B, C, H, W]."""
        features = self.body(x - 0.5)
        return features, self.head(features)


def pictures(images: Tensor, stored: DataSpec) -> Tensor:
    """Stored images [B, C, H, W] as the classifier sees them, float32 in [0, 1]."""
    return stored.to_unit(images).float()


def classifier(data: Data, seed: int = 0, say: Callable[[str], None] = log.info) -> Classifier:
    """The classifier of a data set, from the cache or trained now; on the CPU with one thread, to give equal bits.

    It is kept in `classifiers/` below `cache_root()`, under a name that depends on images, labels, seed, recipe and
    version of torch. Test images are not touched.

    Args:
        data: labelled images; of the training split a tenth is held out to measure the accuracy.
        seed: of weights and order; one for all runs that are to be compared.
        say: called with a sentence before a training.

    Raises:
        VaeklError: the data set has no labels, a single one, or values that are no pictures.
    """
    labels = _checked_labels(data)
    images = data.train.stored(slice(None)).cpu()
    file = cache_root() / "classifiers" / f"{_slug(data.stored.name)}-{_digest(images, labels, data.stored, seed)}.pt"
    with ExitStack() as lock:
        with suppress(OSError, NotImplementedError):  # a cache that cannot be written: it is trained each time
            file.parent.mkdir(parents=True, exist_ok=True)
            # where several runs are measured at once, one trains and the others wait
            lock.enter_context(locked(file.with_suffix(".lock")))
        network = _from_cache(file, data.stored.shape)
        if network is None:
            say(f"training a classifier on {data.stored.name}, to be kept as {file}")
            network = _trained(images, labels, data.stored, seed)
            state = {"weights": network.state_dict(), "accuracy": network.accuracy}
            try:
                checkpoint.save(file, state)
            except VaeklError as error:
                place = "set VAEKL_CACHE_DIR to a folder that has room and may be written to"
                log.warning("The classifier is not kept, and trained again next time; %s: %s", place, error)
    return network


def cache_root() -> Path:
    """The folder that holds what can be made again: $VAEKL_CACHE_DIR, else vaekl's folder in the user's cache."""
    folder = os.environ.get("VAEKL_CACHE_DIR")
    return Path(folder).expanduser().absolute() if folder else user_cache_path("vaekl")


def _from_cache(file: Path, shape: Shape) -> Classifier | None:
    """The classifier in a file; None where there is none, or a damaged one."""
    try:
        state = checkpoint.load(file)
        network = Classifier(shape, len(state["weights"]["head.bias"]))
        network.load_state_dict(state["weights"])
        network.accuracy = float(state["accuracy"])
    except Exception as error:  # whatever a damaged file leads to: it is made again
        log.debug("no classifier in %s: %s", file, error)
        return None
    return network.eval()


def _trained(images: Tensor, labels: Tensor, stored: DataSpec, seed: int) -> Classifier:
    """Adam with a rate that falls linearly to 0, over passes in orders that depend on the seed alone."""
    classes, target = labels.unique(return_inverse=True)
    order = shuffled(len(images), "classifier", seed)
    held_out, train = order.tensor_split([max(1, len(order) // 10)])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.default_generator.manual_seed(seed_of("classifier", seed))
            network = Classifier(stored.shape, len(classes))
            optimizer = torch.optim.Adam(network.parameters(), _RATE)
            falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, _STEPS)
            step, epoch = 0, 0
            while step < _STEPS:
                turn = train[shuffled(len(train), "classifier", seed, epoch)]
                for index in turn.split(_BATCH)[: _STEPS - step]:
                    logits = network(pictures(images[index], stored))[1]
                    loss = nn.functional.cross_entropy(logits, target[index])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    falling.step()
                    step += 1
                epoch += 1
        network.eval().requires_grad_(False)
        with torch.inference_mode():
            right = [
                (network(pictures(images[index], stored))[1].argmax(1) == target[index]).sum()
                for index in held_out.split(_BATCH)
            ]
        network.accuracy = int(torch.stack(right).sum()) / len(held_out)
    finally:
        torch.set_num_threads(threads)
    return network


def _checked_labels(data: Data) -> Tensor:
    name, labels = data.stored.name, data.train.labels
    cure = "set eval.features=inception or none"
    if labels is None:
        raise VaeklError(f"eval.features=classifier needs labels, which {name} does not have: {cure}.")
    if not data.stored.is_picture:
        raise VaeklError(
            f"{name} holds no pictures in [0, 1], which FID and inception score need: set eval.features=none."
        )
    if len(labels.unique()) < 2:
        raise VaeklError(f"eval.features=classifier needs two labels at least, but {name} has one for all: {cure}.")
    return labels.cpu()


def _digest(images: Tensor, labels: Tensor, stored: DataSpec, seed: int) -> str:
    facts = (RECIPE, torch.__version__, seed, images.dtype, tuple(images.shape), stored.support, stored.levels)
    digest = blake2b(repr(facts).encode(), digest_size=8)
    for tensor in (images, labels):
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)[:60]
