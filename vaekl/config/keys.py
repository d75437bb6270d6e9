"""Which keys there are, and where one belongs that a run has not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vaekl.config.compose import compose, target_of, without_hydra
from vaekl.config.groups import CONF, groups, options
from vaekl.config.overrides import FLAGS, parsed, shortened
from vaekl.system.errors import did_you_mean

#: what `vaekl train -m` reads beside the keys of its runs
_OF_A_SWEEP = ("sweep.stack", "report")
#: as YAML has it in the place of a value, such as the class of likelihood=custom
TO_BE_GIVEN = "???"


def unknown_flag(flag: str, value: str, words: Sequence[str], directories: Sequence[Path]) -> str:
    """For `--epochs 5` the sentence names the setting trainer.epochs, for `--multirn` the flag --multirun."""
    name = flag.lstrip("-").replace("-", "_")
    keys = [key for key in _keys_of_run(words, directories) if key == name or key.endswith(f".{name}")]
    of_options = [f"{group}.{name}" for group in _owners(name, directories)]
    if name in groups(directories) or keys or of_options:
        key = name if name in groups(directories) else [*keys, *of_options][0]
        example = f"{key}={value if value and '=' not in value and not value.startswith('-') else 'VALUE'}"
        return f"unknown option {flag}: a setting is written key=value, here {example}."
    return f"unknown option {flag}{did_you_mean(flag, FLAGS)}: see `vaekl train --help`."


def unknown_key(words: Sequence[str], directories: Sequence[Path]) -> str | None:
    """The first key among the words that no chosen option has, and where it belongs."""
    names, keys = groups(directories), _keys_of_run(words, directories)
    for word in words:
        key = word.split("=")[0].split("@")[0]
        if "=" not in word or key[:1] in "+~-" or key in (*names, *keys) or key.startswith("hydra"):
            continue
        group = key.partition(".")[0]
        if group in names and _has_own_class(group, words):
            return f"there is no key {key}: an option of a class of your own is added by a +, as in +{shortened(word)}."
        known = [*keys, *_OF_A_SWEEP]
        hint = _home(key, known, directories) or _similar(key, known, directories)
        where = "`vaekl train --help` lists the groups, `vaekl train GROUP=NAME --help` an option's keys"
        return f"there is no key {key}{hint}: {where}."
    return None


def lacking_key(run: Sequence[str], runs: Sequence[Sequence[str]], directories: Sequence[Path]) -> str | None:
    """The first key of a sweep that the option of this run lacks and that of another run has, added by a + or not."""
    keys = _keys_of_run(run, directories)
    for key in (word.lstrip("+").partition("=")[0] for word in run):
        group, _, name = key.partition(".")
        own = [word for word in run if word.startswith(f"{group}=")]
        others = {word for other in runs for word in other if word.startswith(f"{group}=")}
        if not name or not own or len(others) == 1 or key in keys:
            continue
        owners = sorted(others & set(_owners(name, directories).get(group, [])))
        if owners and own[0] not in owners:
            return f"{key} belongs to {' and '.join(owners)}, and {own[0]} lacks it: leave that away from the sweep."
    return None


def replaced_class(run: Sequence[str], runs: Sequence[Sequence[str]], directories: Sequence[Path]) -> str | None:
    """A class that the words of a sweep give to its custom option, where the option of this run has one of its own."""
    for word in run:
        key, _, target = word.lstrip("+").partition("=")
        group = key.removesuffix("._target_")
        own = [choice for choice in run if choice.startswith(f"{group}=")]
        if group == key or not own or (its_class := _class_of(own[0], directories)) in (TO_BE_GIVEN, target, None):
            continue
        others = sorted({choice for other in runs for choice in other if choice.startswith(f"{group}=")})
        if custom := [choice for choice in others if _class_of(choice, directories) == TO_BE_GIVEN]:
            return (
                f"{shortened(word)} belongs to {custom[0]}, and {own[0]} has a class of its own: leave that away from "
                f"the sweep, or type {custom[0]} {shortened(word)},{its_class}."
            )
    return None


def _class_of(choice: str, directories: Sequence[Path]) -> str | None:
    """The `_target_` in the file of an option such as `likelihood=gaussian`."""
    group, _, option = choice.partition("=")
    files = [root / group / f"{option}.yaml" for root in (CONF, *directories)]
    return next((target_of(file, file.stat().st_mtime_ns) for file in files if file.is_file()), None)


def _has_own_class(group: str, words: Sequence[str]) -> bool:
    """Whether the words put a class into a group that is none of vaekl's."""
    target = f"{group}._target_="
    return any(word.startswith(target) and not word.startswith(f"{target}vaekl.") for word in words)


def unread_key(words: Sequence[str], cfg: DictConfig, directories: Sequence[Path]) -> str | None:
    """The first key that the words add and nothing reads; those of a group go to its class, which knows its own.

    Args:
        words: of one run.
        cfg: the config that they make, not yet resolved: what it refers to is read.
        directories: the user's own config folders.
    """
    names = groups(directories)
    for override in parsed(words):
        key = str(override.key_or_group)
        top = key.split(".")[0]
        settings = cfg.get(top) if top in names else None
        has_class = isinstance(settings, DictConfig) and "_target_" in settings.keys()  # noqa: SIM118  (also a ???)
        if not (override.is_add() or override.is_force_add()) or key in names or top == "hydra" or has_class:
            continue
        keys = _keys_of_run(words, directories)
        if any(f"{other}.".startswith(f"{key}.") for other in keys) or f"${{{key}" in OmegaConf.to_yaml(cfg):
            continue
        hint = _home(key, keys, directories) or _similar(key, keys, directories)
        return f"nothing reads {key}{hint}: leave {shortened(str(override.input_line))} away."
    return None


def _home(key: str, keys: Sequence[str], directories: Sequence[Path]) -> str:
    """Which options have a key of that name: those of its own group first, then the chosen ones, then any."""
    group, _, name = key.rpartition(".")
    owners = _owners(name, directories)
    of_run = [other for other in keys if other.split(".")[-1] == name]
    if group in owners:
        return f"; {name} belongs to {' or '.join(owners[group])}"
    if of_run:
        return f" (did you mean {of_run[0]}?)"
    return next((f"; {group}.{name} belongs to {' or '.join(choices)}" for group, choices in owners.items()), "")


def _owners(name: str, directories: Sequence[Path]) -> dict[str, list[str]]:
    """The options that have a key, such as `weighting=fixed_beta`, by their group."""
    owners: dict[str, list[str]] = {}
    for group in [group for group in groups(directories) if group not in ("experiment", "sweep")]:
        for option in options(group, directories):
            if name in keys_of_option(group, option, directories):
                owners.setdefault(group, []).append(f"{group}={option}")
    return owners


def _similar(key: str, keys: Sequence[str], directories: Sequence[Path]) -> str:
    """The key that is spelled most like this one, or those of its group."""
    names = groups(directories)
    group, _, name = key.partition(".")
    settable = [other for other in keys if not other.endswith("_")]
    choices = () if group == "sweep" else options(group, directories)  # its files hold words, no keys of its own
    of_group = [f"{group}.{other}" for option in choices for other in keys_of_option(group, option, directories)]
    beside = [other for other in settable if other.startswith(f"{group}.")]
    hint = did_you_mean(key, [*settable, *of_group] if name else [*names, *settable])
    return hint or (f" beside {', '.join(beside)}" if name and beside else "")


def keys_of_option(group: str, option: str, directories: Sequence[Path]) -> list[str]:
    """The keys that the files of an option have."""
    files = [root / group / f"{option}.yaml" for root in (CONF, *directories)]
    keys = [str(key) for file in files if file.exists() for key in OmegaConf.load(file)]
    return [key for key in keys if not key.startswith("_")]


def _keys_of_run(words: Sequence[str], directories: Sequence[Path]) -> list[str]:
    """The dotted keys of the config that the chosen options make, without the overrides of single keys."""
    names = groups(directories)
    picks = {word.partition("=")[0]: word for word in words if word.partition("=")[0] in names and "," not in word}
    try:
        return _dotted(OmegaConf.to_container(without_hydra(compose(list(picks.values()), directories))), "")
    except Exception:  # options that are not there, or do not go together, are what is wrong
        return _keys_of_run([], directories) if picks else []


def _dotted(node: Any, prefix: str) -> list[str]:
    if not isinstance(node, dict):
        return [prefix]
    return [key for name, child in node.items() for key in _dotted(child, f"{prefix}.{name}" if prefix else name)]
