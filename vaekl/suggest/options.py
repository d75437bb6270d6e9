"""The words after `vaekl suggest`: keys of `conf/suggest.yaml`, and words of `vaekl train` about data and networks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from vaekl.config import job, overrides
from vaekl.config.files import files_digest
from vaekl.config.groups import CONF, groups
from vaekl.config.groups import options as options_of
from vaekl.config.verb_options import defaults
from vaekl.run.config import RunConfig
from vaekl.system.checks import one_of, optional, whole
from vaekl.system.errors import VaeklError, did_you_mean

AIMS = ("density", "samples", "reconstruction", "representation")
_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|)")
_MOST_SECONDS = 30 * 24 * 3600.0
#: what a suggestion decides by itself
_DECIDED = ("weighting", "control", "objective", "schedule", "experiment", "seed", "init", "tracker", "sweep")


@dataclass(frozen=True)
class Options:
    """What was typed.

    Args:
        budget: wall-clock time, seconds.
        aim: what the model is for.
        seeds: runs of each finalist.
        images: validation examples that judge.
        jobs: runs at the same time; None for as many as there are cores.
        words: of `vaekl train`, about data, networks and training.
        likelihoods: the only ones that are looked at; empty for all.
        latents: Z, or None where it is to be chosen.
    """

    budget: float
    aim: str
    seeds: int
    images: int
    jobs: int | None
    words: tuple[str, ...]
    likelihoods: tuple[str, ...]
    latents: int | None

    @property
    def dataset(self) -> str:
        """The name of the data set, as it was typed."""
        return _value(self.words, "dataset") or "digits"

    @property
    def folder(self) -> Path:
        """Where the runs are: the same words find it, in any order and for any budget, while files stay the same."""
        same = sorted(word for word in self.words if not word.startswith("output_dir="))
        key = repr([same, self.aim, self.seeds, self.images, sorted(self.likelihoods), self.latents])
        key += files_digest({"path": _value(self.words, "dataset.path")}) or ""
        digest = blake2b(key.encode(), digest_size=4).hexdigest()
        return Path(_value(self.words, "output_dir") or "outputs") / f"suggest_{self.dataset}_{self.aim}_{digest}"


def parse(typed: Sequence[str]) -> Options:
    """Read the words.

    Raises:
        VaeklError: names the word that cannot be read, or that a suggestion decides by itself.
    """
    options, words = defaults("suggest"), list[str]()
    likelihoods: tuple[str, ...] = ()
    latents: int | None = None
    typed = overrides.with_home(list(typed))
    directories = overrides.config_dirs(typed)
    seen: set[str] = set()
    for word, is_flag in zip(typed, overrides.are_flags(typed), strict=True):
        key, equals, value = word.partition("=")
        if is_flag:
            if word.startswith("-") and key not in ("--config-dir", "-cd"):
                raise VaeklError(f"unknown option {word}: see `vaekl suggest --help`.")
            words.append(word)
            continue
        name = key.removeprefix("suggest.")
        if not equals or not key:
            raise VaeklError(f"cannot read {word!r}: write key=value, as in `vaekl suggest dataset=digits budget=5m`.")
        if name in seen:
            raise VaeklError(f"{name} is given twice: leave one of them away.")
        seen.add(name)
        if name in options:
            options[name] = _read(name, value)
        elif key == "likelihood":
            likelihoods = _likelihoods(value, directories)
        elif key == "model.latents":
            latents = whole(_read(key, value), key, 1)
        else:
            _check_word(key, word, directories)
            words.append(word)
    if "dataset" not in seen and "experiment" not in seen:
        raise VaeklError("suggest needs data: say which, as in `vaekl suggest dataset=digits`.")
    _check_composed(words)
    return Options(
        budget=seconds(options["budget"]),
        aim=one_of(options["for"], "for", AIMS),
        seeds=whole(options["seeds"], "seeds", 1, 20),
        images=whole(options["images"], "images", 2, 100_000),
        jobs=optional(whole, options["jobs"], "jobs", 1),
        words=tuple(words),
        likelihoods=likelihoods,
        latents=latents,
    )


def _check_composed(words: Sequence[str]) -> None:
    """Refuse words of which no run can be made, before anything heavy is imported.

    Raises:
        VaeklError: one sentence for the first mistake.
    """
    for word in overrides.without_flags(words):
        if overrides.parse(word).is_sweep_override():
            raise VaeklError(f"{word} is several values, and `vaekl suggest` takes one of each: give one.")
    RunConfig.of(job.single(words).content)


def seconds(text: Any) -> float:
    """A time as people type it, in seconds.

    Raises:
        VaeklError: it is none.

    >>> seconds("10m"), seconds("90s"), seconds("1.5h"), seconds(30)
    (600.0, 90.0, 5400.0, 30.0)
    """
    match = None if isinstance(text, bool) else _BUDGET.fullmatch(str(text).strip())
    value = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < value <= _MOST_SECONDS:
        raise VaeklError(f"budget must be a time up to 30 days, as in budget=90s, 10m or 2h, not {text!r}.")
    return value


def _read(key: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:
        raise VaeklError(f"cannot read {key}={value}: write a number or a word.") from error


def _likelihoods(value: str, directories: Sequence[Path]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.strip("[]").split(","))
    there = [name for name in options_of("likelihood", directories) if name not in ("auto", "custom")]
    for name in names:
        if name not in there:
            raise VaeklError(f"likelihood={name} is not one of {', '.join(there)}{did_you_mean(name, there)}.")
        if name not in options_of("likelihood", ()):
            raise VaeklError(
                f"likelihood={name} is of your own, and `vaekl suggest` compares vaekl's: train it and its like by "
                f"`vaekl train -m likelihood={name},gaussian`, and compare them by `vaekl report`."
            )
    return names


def _check_word(key: str, word: str, directories: Sequence[Path]) -> None:
    group = key.lstrip("+~").split(".")[0].split("/")[0]
    if group in _DECIDED or group in ("likelihood", "hydra"):
        raise VaeklError(
            f"{word} is what `vaekl suggest` decides by itself: leave it away, or train it by `vaekl train {word}`."
        )
    names = [*defaults("suggest"), *groups(directories), *OmegaConf.load(CONF / "train.yaml")]
    if "." not in key and key[:1] not in ("+", "~") and key.partition("@")[0] not in names:
        close = did_you_mean(key, [str(name) for name in names])
        raise VaeklError(f"there is no key {key}{close}: `vaekl suggest --help` lists them.")


def _value(words: Sequence[str], key: str) -> str | None:
    return next((word.partition("=")[2] for word in reversed(words) if word.startswith(f"{key}=")), None)
