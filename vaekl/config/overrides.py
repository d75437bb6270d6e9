"""The words of `vaekl train`: what is wrong with them, said before anything heavy is imported."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaekl.config.groups import CONF, groups, options
from vaekl.system.errors import VaeklError, did_you_mean, first_line

_TAKE_A_VALUE = ("--config-dir", "-cd", "--cfg", "-c", "--package", "-p", "--info", "-i")
_NEED_A_FOLDER = ("output_dir=", "hydra.sweep.dir=", "hydra.run.dir=", "hydra.output_subdir=", "hydra.output_subdir=''")
_FLAGS = ("-m", "--multirun", "--resolve", *_TAKE_A_VALUE)
#: to any other value argparse would answer by itself
_SHOW = {
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")),
}
#: what Hydra says, and what a user is told
_TRANSLATED = (
    (r"^(?:Sweep|Ambiguous) .*? '(.*?)' (?:requires|1\.)", "{0} is several values: add -m, or use [] or quotes"),
    (r"Could not append .* Either remove \+ prefix: '(.*?)'", "write {0} without the +: it is there already"),
    (r"Could not delete .* '(.*?)' does not exist", "there is no key {0} to take away"),
    (r"Could not delete .* The value of '(.*?)' is (.*?) and not (.*?)$", "{0} is {1} and not {2}: write ~{0}"),
    (r"Multiple values for (\S+?)\.", "{0} is given twice: leave one of them away"),
)


def parse(word: str) -> Override:
    """An override as Hydra reads it.

    Raises:
        VaeklError: if it cannot.
    """
    try:
        return OverridesParser.create().parse_override(word)
    # of a number with thousands of digits, and of lists in lists in lists, Python has had enough before Hydra
    except (HydraException, ValueError, RecursionError) as error:
        raise VaeklError(
            f"cannot read {_short(repr(word))}: put quotes around values with special characters."
        ) from error


def parsed(words: Sequence[str]) -> list[Override]:
    """The overrides among the words, without the flags."""
    return [parse(word) for word, flag in zip(words, _are_flags(words), strict=True) if not flag and "=" in word]


def values(override: Override, directories: Sequence[Path]) -> list[str]:
    """Every value that an override stands for; of an interval the lower end."""
    value: Any = override.value()
    if isinstance(value, Glob):
        chosen: list[str] = value.filter(list(options(str(override.key_or_group), directories)))
        return chosen
    if override.is_discrete_sweep():
        return [str(one) for one in override.sweep_string_iterator()]
    if override.is_sweep_override():
        return [str(value.start)]
    return [override.get_value_string()]


def check(words: Sequence[str]) -> None:
    """What can be seen to be wrong before anything is composed or written.

    Raises:
        VaeklError: one sentence for the first mistake.
    """
    directories = config_dirs(words)
    for place, (word, is_flag) in enumerate(zip(words, _are_flags(words), strict=True)):
        flag, _, value = word.partition("=")
        if word.startswith("-"):
            if flag not in _FLAGS:
                raise VaeklError(f"unknown option {flag}{did_you_mean(flag, _FLAGS)}: see `vaekl train --help`.")
            if flag in _TAKE_A_VALUE and not value and place + 1 == len(words):
                raise VaeklError(f"{flag} needs a value: see `vaekl train --help`.")
            _check_flag(flag, value or "".join(words[place + 1 : place + 2]), words)
        elif is_flag:
            continue
        elif word.startswith("=") or ("=" not in word and not word.startswith("~")):
            raise VaeklError(f"cannot read {word!r}: write key=value, as in likelihood=gaussian.")
        elif word in _NEED_A_FOLDER:
            raise VaeklError(f"{word} is empty: give a folder, as in output_dir=outputs.")
        else:
            override = parse(word)
            _check_choice(override, directories)
            _check_deleted(override)
            _check_searchpath(override)


def check_runs(runs: Sequence[Sequence[str]], of_hydra: Sequence[str], directories: Sequence[Path]) -> DictConfig:
    """Whether every run of a sweep has the keys that it is given: `weighting=auto` has no weighting.beta.

    Args:
        runs: the words of each.
        of_hydra: the words that say how they are launched.
        directories: the user's own config folders.

    Returns:
        The config of one of them, with Hydra's part.

    Raises:
        VaeklError: one sentence for the first that has not.
    """
    known = groups(directories)
    # which keys there are depends on the choices alone
    kinds = {tuple(word for word in run if word.partition("=")[0] in known): run for run in runs}
    for run in kinds.values():
        try:
            composed = compose_with([*run, *of_hydra], directories, hydra=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise VaeklError(sentence(error, [*run, *of_hydra], directories)) from error
    return composed


def compose_with(words: Sequence[str], directories: Sequence[Path], hydra: bool = False) -> DictConfig:
    """The config that the words make, outside of a run; with Hydra's own part if asked for."""
    GlobalHydra.instance().clear()
    path = [f"hydra.searchpath=[{','.join(f'file://{d.resolve()}' for d in directories)}]"] if directories else []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [*words, *path], return_hydra_config=hydra)


def shows(words: Sequence[str]) -> bool:
    """Whether the words ask for a config to be shown, not trained."""
    return any(word.partition("=")[0] in _SHOW for word in words)


def flags_last(words: Sequence[str]) -> list[str]:
    """The same with the flags last: Hydra cannot read overrides on both sides of a flag."""
    return [word for word, _ in sorted(zip(words, _are_flags(words), strict=True), key=lambda pair: pair[1])]


def _are_flags(words: Sequence[str]) -> list[bool]:
    """Which words are flags, or the value of one."""
    return [word.startswith("-") or before in _TAKE_A_VALUE for before, word in zip(["", *words], words, strict=False)]


def _check_choice(override: Override, directories: Sequence[Path]) -> None:
    group = override.key_or_group
    if group not in groups(directories):
        return
    names = list(options(group, directories))
    if override.is_delete():
        if group == "experiment":
            return
        raise VaeklError(f"no run can do without a {group}: choose one of {', '.join(names)}.")
    for value in values(override, directories):
        if value not in names:
            raise VaeklError(f"{group}={value} is not one of {', '.join(names)}{did_you_mean(value, names)}.")


def _check_flag(flag: str, value: str, words: Sequence[str]) -> None:
    """Refuse what Hydra's own reader of flags would answer with a page of usage, or not at all."""
    if flag in _SHOW and value not in _SHOW[flag]:
        raise VaeklError(f"{flag} {value} is not one of {', '.join(_SHOW[flag])}{did_you_mean(value, _SHOW[flag])}.")
    if flag in ("--package", "-p", "--resolve") and not shows(words):
        raise VaeklError(f"{flag} says how a config is printed: add --cfg job.")


def _check_deleted(override: Override) -> None:
    """Refuse to take away what every run reads; what an option's class has a default for may go."""
    key = str(override.key_or_group)
    if not override.is_delete():
        return
    needed = [*OmegaConf.load(CONF / "train.yaml"), "model.latents", "optim.lr"]
    if key in needed or key.startswith("trainer.") or key.endswith("._target_"):
        raise VaeklError(f"no run can do without {key}: give it a value, {key}=VALUE, or leave the ~ away.")


def _check_searchpath(override: Override) -> None:
    """Refuse what Hydra would only warn of."""
    if override.key_or_group == "hydra.searchpath" and isinstance(places := override.value(), list):
        for place in map(str, places):
            scheme, colon, folder = place.rpartition("://")
            if (not colon or scheme == "file") and not Path(folder).is_dir():
                raise VaeklError(f"hydra.searchpath={place} is no folder: give one, as in [file://my/configs].")


def sentence(error: Exception, words: Sequence[str], directories: Sequence[Path]) -> str:
    """What a user is told of an error of Hydra's: the key that does not exist, and what was probably meant."""
    return (
        _unknown_key(words, directories)
        or _in_words(error, " ".join(str(error).split()), words)
        or _blaming(error, words, directories)
    )


def _unknown_key(words: Sequence[str], directories: Sequence[Path]) -> str | None:
    known = groups(directories)
    keys = _known_keys(words, directories)
    for argument in words:
        key = argument.split("=")[0].split("@")[0]
        if "=" not in argument or key[:1] in "+~-" or key in (*known, *keys) or key.startswith("hydra"):
            continue
        group, _, rest = key.partition(".")
        owners = [name for name in options(group, directories) if rest in _keys(group, name, directories)]
        own = [f"{group}.{k}" for name in options(group, directories) for k in _keys(group, name, directories)]
        same_end = [k for k in keys if k.split(".")[-1] == key.split(".")[-1]]
        if group in known and owners:
            hint = f"; {rest} belongs to {' or '.join(f'{group}={name}' for name in owners)}"
        elif same_end:
            hint = f" (did you mean {same_end[0]}?)"
        else:
            keys = [k for k in keys if not k.endswith("_")]
            hint = did_you_mean(key, [*keys, *own] if rest else [*known, *keys])
            beside = [k for k in keys if k.startswith(f"{group}.")]
            hint = hint or (f" beside {', '.join(beside)}" if rest and beside else "")
        return f"there is no key {key}{hint}: `vaekl train --help` lists the groups, `vaekl train --cfg job` the keys."
    return None


def _in_words(error: Exception, text: str, words: Sequence[str]) -> str | None:
    """What Hydra's or OmegaConf's error means, where that is known; `text` is its message on one line."""
    if found := re.search(r"Could not find '(hydra/\w+)/([^']*)' Available options in '[^']*': (.*?) Config", text):
        group, name, names = found[1], found[2], found[3].split()
        return f"{group}={name} is not one of {', '.join(names)}{did_you_mean(name, names)}."
    if found := re.search(r"Could not override '(hydra[^']*)'", text):
        group = ".".join(found[1].split(".")[:2][: found[1].count(".")]) or "hydra"
        return f"there is no key {found[1]}: `vaekl train --cfg hydra -p {group}` lists those of {group}."
    if text.startswith("Error merging override"):
        word = text.removeprefix("Error merging override ")
        return f"cannot take {_short(word)} ({first_line(error.__cause__ or error)}): give another value."
    if "nterpolation" in text:
        reason, _, rest = text.partition(" full_key: ")
        place, linked = rest.partition(" ")[0], [word for word in words if "$" in word]
        said = [word for word in linked if word.lstrip("+").partition("=")[0] == place] or linked or [place]
        return f"cannot resolve {_short(said[0])} ({_short(reason)}): give another value."
    for pattern, told in _TRANSLATED:
        if found := re.search(pattern, text):
            return _short(told.format(*found.groups()), 400) + "."
    return None


def _blaming(error: Exception, words: Sequence[str], directories: Sequence[Path]) -> str:
    """The word without which there would be a config, or Hydra's own words, and what the error says."""
    said = [word for word, flag in zip(words, _are_flags(words), strict=True) if not flag]
    # the last word is the likeliest, because people add to a command that worked
    guilty = [word for word in reversed(said) if _composes([w for w in said if w != word], directories)]
    if len(guilty) != 1:
        guilty = [word for word in said if word.lstrip("+~").startswith("hydra")]
    reason = _short(" ".join(str(error).split()).rstrip(".:") or type(error).__name__, 300)
    return f"cannot make a config of {_short(' '.join(guilty)) or 'these words'} ({reason}): write it in another way."


def _composes(words: Sequence[str], directories: Sequence[Path]) -> bool:
    try:
        compose_with(words, directories, hydra=True)
    except Exception:  # that it fails is the answer
        return False
    return True


def _short(text: str, most: int = 160) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def config_dirs(words: Sequence[str]) -> list[Path]:
    """The user's own config folders."""
    found = []
    for argument, following in zip(words, [*words[1:], ""], strict=False):
        flag, _, value = argument.partition("=")
        if flag in ("--config-dir", "-cd"):
            found.append(Path(value or following))
    for directory in found:
        if not directory.is_dir():
            raise VaeklError(f"--config-dir {directory} is no folder: give one that holds groups like likelihood/.")
    return found


def _keys(group: str, name: str, directories: Sequence[Path]) -> list[str]:
    files = [root / group / f"{name}.yaml" for root in (CONF, *directories)]
    found = [str(key) for file in files if file.exists() for key in OmegaConf.load(file)]
    return [key for key in found if not key.startswith("_")]


def _known_keys(words: Sequence[str], directories: Sequence[Path]) -> list[str]:
    """The dotted keys of the config that the chosen options make, without the overrides of single keys."""
    known = groups(directories)
    picks = {word.partition("=")[0]: word for word in words if word.partition("=")[0] in known and "," not in word}
    try:
        return _dotted(OmegaConf.to_container(compose_with(list(picks.values()), directories)), "")
    except (HydraException, OmegaConfBaseException):  # options that do not go together are what is wrong
        return _known_keys([], directories)


def _dotted(node: Any, prefix: str) -> list[str]:
    if not isinstance(node, dict):
        return [prefix]
    return [key for name, child in node.items() for key in _dotted(child, f"{prefix}.{name}" if prefix else name)]
