"""The batches of a group's runs, which hand over their images as they are stored: all are transformed at once.

Where their transforms are not alike each run transforms its own, unless their step is recorded whole.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from vaekl.data.row_noise import JointNoise
from vaekl.training.equal import surely_equal
from vaekl.training.stack import Batch
from vaekl.training.trainer import Trainer


class Feed:
    """The images of N runs and the noise of their posteriors, at places that stay the same.

    Args:
        trainers: of the runs; one that goes back to a checkpoint is replaced there.
        batches: the first batch of each.

    Attributes:
        x: the images as the model sees them, [N, B, *S].
        noise: [N, B, Z] or [N, B, K, Z].
    """

    def __init__(self, trainers: Sequence[Trainer], batches: Sequence[Batch]) -> None:
        self._trainers = trainers
        self.x, self.noise = (part.new_zeros(len(trainers), *part.shape) for part in batches[0][:2])
        self._batches = [*zip(self.x, self.noise, strict=True)]
        self._stored: dict[int, Tensor] = {}
        self._drawn: set[int] = set()
        transforms = [trainer.data.train.transform for trainer in trainers]
        self._are_alike = transforms[0].row_by_row and all(surely_equal(transforms[0], own) for own in transforms)

    def take_in(self, place: int, batch: Batch) -> None:
        """Take a batch that a run has drawn by itself; after it, the run hands over its images as they are stored.

        Args:
            place: of the run.
            batch: for its next step.
        """
        self._drawn.add(place)
        self.x[place], self.noise[place], _ = batch
        self._trainers[place].feed = partial(self._hand_over, place)

    def _hand_over(self, place: int, stored: Tensor) -> tuple[Tensor, Tensor]:
        """Keep a run's images, [B, *S]; returns the places where its batch will be."""
        own = self._trainers[place]
        if not self._are_alike and own.recorder is None:  # a user's transform may fail: that ends this run alone
            for kept, values in zip(self._batches[place], own.drawn(stored), strict=True):
                kept.copy_(values)
            self._drawn.add(place)
        elif place in self._stored:
            self._stored[place].copy_(stored)
        else:
            self._stored[place] = stored.clone()
        return self._batches[place]

    def draw(self, places: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Make the batches of some runs, and return those of all; the others keep their last one.

        Args:
            places: of the runs, in their order; not made again are the batches that were drawn before, and nothing is
                made for a run that has ended before it handed images over.
        """
        places = [place for place in places if place in self._stored and place not in self._drawn]
        self._drawn.clear()
        if places and self._are_alike:
            self._transform_at_once(places)
        for place in places:
            own, (x, noise) = self._trainers[place], self._batches[place]
            if not self._are_alike:
                x.copy_(own.data.train.transform(self._stored[place], own.generator))
            noise.copy_(own.model.training_noise(len(x), own.generator))
        return self.x, self.noise

    def _transform_at_once(self, places: Sequence[int]) -> None:
        chosen = [self._trainers[place] for place in places]
        transform, noise = chosen[0].data.train.transform, JointNoise([own.generator for own in chosen])
        of_each = transform(torch.cat([self._stored[place] for place in places]), noise).chunk(len(places))
        for place, x in zip(places, of_each, strict=True):
            self._batches[place][0].copy_(x)
