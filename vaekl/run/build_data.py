"""A run's config -> its data and the family of p(x|z), which depend on each other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch

from vaekl.config.instantiate import make
from vaekl.data import Data, DataSpec, Split, generator
from vaekl.data.auto import AutoTransform
from vaekl.data.spec import Source
from vaekl.data.transforms import Transform
from vaekl.model.likelihoods import AutoLikelihood, Likelihood
from vaekl.run.config import DataConfig, RunConfig
from vaekl.system.errors import VaeklError

T = TypeVar("T")

#: images of a split whose values are compared with the likelihood's support at a time
_CHECKED_AT_ONCE = 1000


def build_likelihood_and_data(
    cfg: RunConfig, to_train: bool = True, source: Source | None = None
) -> tuple[Likelihood, Data]:
    """The family of p(x|z), and the data set as it sees it, on the CPU.

    Args:
        cfg: which they are.
        to_train: whether a model is to be trained on the data, for which they must hold images.
        source: the data set as it is stored, where it is there already.

    Raises:
        VaeklError: values lie outside the likelihood's support, or the data set has no name.
    """
    is_named = source is None
    source = source_of(cfg.data) if source is None else source
    likelihood, transform = build_likelihood(cfg, source.spec)
    return likelihood, _data_for(likelihood, source, transform, cfg.data, to_train, may_share=is_named)


#: what runs of one process have made of the same settings, inside `shared`
_made: dict[str, Any] | None = None


@contextmanager
def shared() -> Iterator[None]:
    """Inside, runs whose settings of the data are the same have one copy of the images.

    Where this is inside another one, what that one has is there too, and what is made here ends here.
    """
    global _made
    before, _made = _made, dict(_made or {})
    try:
        yield
    finally:
        _made = before


def share() -> None:
    """The same for the rest of this process, and in those that are forked from it."""
    global _made
    _made = dict(_made or {})


def on_device(data: Data, device: torch.device) -> Data:
    """The data where a run is trained; inside `shared` runs that have one copy have one there too.

    Args:
        data: on the CPU.
        device: of the run.
    """
    # the copy is kept beside what it is of, so that no other data can have this identity
    return _once("on", (id(data), device), lambda: (data, data.to(device)))[1]


def _once(what: str, settings: object, make_it: Callable[[], T]) -> T:
    if _made is None:
        return make_it()
    key = f"{what} {settings!r}"
    if key not in _made:
        _made[key] = make_it()
    made: T = _made[key]
    return made


def build_likelihood(cfg: RunConfig, stored: DataSpec) -> tuple[Likelihood, Transform | AutoTransform]:
    """The family of p(x|z) for data of some kind, and what is done to their values.

    Args:
        cfg: which they are.
        stored: the data before that.
    """
    made: Likelihood | AutoLikelihood = make("likelihood", cfg.model.likelihood, (Likelihood, AutoLikelihood))
    transform = _transform(cfg.data)
    if isinstance(made, AutoLikelihood):
        is_chosen = isinstance(transform, Transform)
        seen = transform.resolve(stored, ()).spec(stored) if is_chosen else stored
        likelihood = made.resolve(seen, is_chosen)
    else:
        likelihood = made
    likelihood.checked = cfg.model.check or is_vaekls(likelihood)
    return likelihood, transform


def build_data(cfg: DataConfig, likelihood: Likelihood, to_train: bool = True) -> Data:
    """The same for a likelihood that there is already."""
    return _data_for(likelihood, source_of(cfg), _transform(cfg), cfg, to_train)


def source_of(cfg: DataConfig) -> Source:
    """The data set as it is stored, on the CPU; inside `shared` it is read once."""

    def read() -> Source:
        source: Source = make("dataset", cfg.dataset, Source)
        if not isinstance(source.spec.name, str):
            raise VaeklError(f"dataset.name must be a word, not {source.spec.name!r}.")
        return source

    return _once("source", cfg.dataset, read)


def _transform(cfg: DataConfig) -> Transform | AutoTransform:
    made: Transform | AutoTransform = make("transform", cfg.transform, (Transform, AutoTransform))
    return made


def _data_for(
    likelihood: Likelihood,
    source: Source,
    transform: Transform | AutoTransform,
    cfg: DataConfig,
    to_train: bool,
    may_share: bool = False,
) -> Data:
    transform, accepts = transform_for(likelihood, transform), likelihood.accepts
    make_it = partial(Data.from_source, source, transform, accepts, cfg.valid, cfg.split_seed, to_train)
    key = (cfg, accepts, bool(likelihood.atoms), to_train)
    data = _once("data", key, make_it) if may_share else make_it()
    # the family takes from the spec what it must know of the data
    likelihood.check_spec(data.spec)
    noise = generator("support", 0)
    for split in (data.train, data.valid, data.test):
        if split is not None:
            check_support(likelihood, split, data.spec, noise)
    return data


def transform_for(likelihood: Likelihood, transform: Transform | AutoTransform) -> Transform | AutoTransform:
    """The transform that a likelihood's data get."""
    if isinstance(transform, AutoTransform) and likelihood.atoms:
        # dequantized values are never at the ends, so that the law's probabilities there would be wasted
        return AutoTransform(dequantizes=False)
    return transform


def check_support(likelihood: Likelihood, split: Split, spec: DataSpec, noise: torch.Generator) -> None:
    """Refuse images with values outside a likelihood's support.

    Args:
        likelihood: the family.
        split: the images; where one value is not fatal, the first of them stand for all.
        spec: of their values.
        noise: for a random transform.

    Raises:
        VaeklError: names the values.
    """
    images = len(split) if likelihood.needs_every_value(spec) else min(1, len(split))
    for start in range(0, images, _CHECKED_AT_ONCE):
        likelihood.check_support(split.batch(slice(start, start + _CHECKED_AT_ONCE), noise))


def is_vaekls(part: object) -> bool:
    """Whether the class of an object is one of vaekl's, and not one of the user's own."""
    return type(part).__module__.startswith("vaekl.")
