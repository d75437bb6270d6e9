"""Commands for the fuzz: trial NUMBER is the same words on every machine."""

import random
from dataclasses import dataclass
from functools import cache

import yaml
from fuzz_values import DATASETS, FITS, HUGE, ODD, OF_HYDRA, POOLS, SHORT, TARGETS, TYPICAL

from vaekl.config.groups import CONF

_SEED = "vaekl 1"


@dataclass(frozen=True)
class Trial:
    """A command.

    Args:
        number: by which it is found again.
        words: after `vaekl train`.
        fault: the only word that may be wrong, or None where several may be.
    """

    number: int
    words: tuple[str, ...]
    fault: str | None = None


@cache
def keys() -> dict[str, dict[str, list[str]]]:
    """Group -> option -> its dotted keys; those of no group are under the empty name."""
    by_group = {}
    for group in (
        "dataset",
        "transform",
        "likelihood",
        "weighting",
        "schedule",
        "model",
        "optim",
        "lr_schedule",
        "trainer",
    ):
        names = DATASETS if group == "dataset" else sorted(file.stem for file in (CONF / group).glob("*.yaml"))
        own = [name for name in names if name != "custom"]
        by_group[group] = {name: [f"{group}.{key}" for key in _content(group, name)] for name in own}
    by_group["experiment"] = {file.stem: [] for file in sorted((CONF / "experiment").glob("*.yaml"))}
    top = yaml.safe_load((CONF / "train.yaml").read_text(encoding="utf-8"))
    by_group[""] = {"": [key for key in top if key not in ("defaults", "hydra")]}
    return by_group


def _content(group: str, name: str) -> dict[str, object]:
    return yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))


def trial(number: int) -> Trial:
    """The words of a number."""
    rng = random.Random(f"{_SEED} {number}")
    kind = rng.choices([_typical, _one_fault, _odd, _of_hydra, _wild], [15, 45, 15, 10, 15])[0]
    return kind(number, rng)


def base(*choices: str) -> list[str]:
    """Words that train with some choices: the rest is chosen to fit them."""
    words = list(choices)
    if {"likelihood=categorical", "transform=levels", "experiment=mnist_categorical"} & set(words):
        # 256 logits for each of 3,072 values take minutes
        words = ["dataset=digits" if word == "dataset=patches" else word for word in words]
    if not any(word.startswith("dataset=") for word in words):
        words.append("dataset=digits")
    for word in words:  # what is added is looked at too
        typed = {other.split("=")[0] for other in words}
        words += [more for more in FITS.get(word, []) if more.split("=")[0] not in typed]
    if not any(word.startswith("model=") for word in words):
        words += ["model=mlp", *FITS["model=mlp"]]
    return [*words, *SHORT]


def _somewhere(words: list[str], rng: random.Random) -> list[str]:
    """The same in the folder that their config gives, or in one that they name."""
    return [*words, "hydra.run.dir=run"] if rng.random() < 0.5 else words


def _typical(number: int, rng: random.Random) -> Trial:
    words = base(*_choices(rng, 6))
    for key in rng.sample(_keys_of(words), 4):
        if leaf := TYPICAL.get(key.split(".")[-1]):
            words = _with(words, key, rng.choice(leaf.split()))
    return Trial(number, _shuffled(words, rng))


def _one_fault(number: int, rng: random.Random) -> Trial:
    group = rng.choice([group for group in keys() if group != "experiment"])
    option = rng.choice(sorted(keys()[group]))
    words = _somewhere(base(*([f"{group}={option}"] if group else [])), rng)
    key = rng.choice(keys()[group][option])
    fault = f"{key}={_value(key, rng)}"
    if rng.random() < 0.05:
        fault = f"~{key}"
    elif rng.random() < 0.03:
        fault = f"+{fault}"
    return Trial(number, (*(word for word in words if word.split("=")[0] != key), fault), fault)


def _odd(number: int, rng: random.Random) -> Trial:
    fault = rng.choice(ODD)
    return Trial(number, _shuffled([*base(*_choices(rng, 1)), fault], rng), fault)


def _of_hydra(number: int, rng: random.Random) -> Trial:
    fault = rng.choice(OF_HYDRA)
    bad = ["model.latents=0"] if rng.random() < 0.3 else []
    return Trial(number, (*base(), *bad, fault), None if bad else fault)


def _wild(number: int, rng: random.Random) -> Trial:
    words = _somewhere(base(*_choices(rng, 8)), rng)
    for _ in range(rng.randint(1, 5)):
        key = rng.choice(_keys_of(words))
        words = _with(words, key, _value(key, rng))
    if rng.random() < 0.3:
        words.append(rng.choice([*ODD, *OF_HYDRA]))
    return Trial(number, _shuffled(words, rng))


def _choices(rng: random.Random, most: int) -> list[str]:
    groups = rng.sample([group for group in keys() if group], rng.randint(1, most))
    chosen = [f"{group}={rng.choice(sorted(keys()[group]))}" for group in groups]
    return chosen


def _keys_of(words: list[str]) -> list[str]:
    """The keys of the chosen options, and those of no group."""
    choices = [*keys()[""][""], *keys()["trainer"]["default"]]
    for group, _, name in (word.partition("=") for word in words):
        choices += keys().get(group, {}).get(name, [])
    return choices


def _value(key: str, rng: random.Random) -> str:
    """Any value, but none that would keep the machine busy for hours, or compile for a minute."""
    leaf = key.split(".")[-1]
    if leaf == "_target_" and rng.random() < 0.5:
        return rng.choice(TARGETS)
    while True:
        value = rng.choice(rng.choice(POOLS))
        if leaf in ("steps", "epochs") and (value in HUGE or value in ("0x10", "1_000")):
            continue
        if (key, value) != ("trainer.compile", "true"):
            return value


def _with(words: list[str], key: str, value: str) -> list[str]:
    return [*(word for word in words if word.split("=")[0] != key), f"{key}={value}"]


def _shuffled(words: list[str], rng: random.Random) -> tuple[str, ...]:
    return tuple(rng.sample(words, len(words)))
