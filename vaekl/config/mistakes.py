"""What is wrong with the words of `vaekl train`, in a sentence that is printed before anything heavy is imported."""

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vaekl.config.compose import compose, flat, without_hydra
from vaekl.config.groups import CONF, groups, no_option, options
from vaekl.config.keys import TO_BE_GIVEN, lacking_key, replaced_class, unknown_flag, unknown_key, unread_key
from vaekl.config.overrides import (
    FLAGS,
    SHOW,
    TAKE_A_VALUE,
    are_flags,
    config_dirs,
    is_sweep,
    parse,
    shortened,
    shows,
    values,
    without_flags,
)
from vaekl.system.errors import VaeklError, did_you_mean, first_line

_FOLDERS = ("output_dir", "hydra.sweep.dir", "hydra.run.dir")
#: what a single run reads of Hydra's part of the config
_OF_A_SINGLE_RUN = ("hydra.run.dir", "hydra.searchpath")
_OF_A_SWEEP = ("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweeper", "hydra.sweep")
#: a message of Hydra's, and what a user reads instead
_TRANSLATIONS = (
    (
        r"^(?:Sweep|Ambiguous) .*? '(.*?)' (?:requires|1\.)",
        "{0} is several values: add -m, use [] for a list, or quotes within the shell's "
        "for one text, as in \"dataset.path='a, b.npz'\"",
    ),
    (r"Could not append .* Either remove \+ prefix: '(.*?)'", "write {0} without the +: it is there already"),
    (r"Could not delete .* '(.*?)' does not exist", "there is no key {0} to take away"),
    (r"Could not delete .* The value of '(.*?)' is (.*?) and not (.*?)$", "{0} is {1} and not {2}: write ~{0}"),
    (r"Multiple values for (\S+?)\.", "{0} is given twice: leave one of them away"),
)


def check(words: Sequence[str]) -> None:
    """Refuse what can be seen to be wrong before anything is composed or written.

    Raises:
        VaeklError: one sentence for the first mistake.
    """
    directories = config_dirs(words)
    for place, (word, is_flag) in enumerate(zip(words, are_flags(words), strict=True)):
        flag, _, value = word.partition("=")
        following = "".join(words[place + 1 : place + 2])
        if word.startswith("-"):
            if flag not in FLAGS:
                raise VaeklError(unknown_flag(flag, value or following, words, directories))
            if flag in TAKE_A_VALUE and not value and not following:
                raise VaeklError(f"{flag} needs a value: see `vaekl train --help`.")
            _check_flag(flag, value or following, words)
        elif is_flag:
            continue
        elif word.startswith("=") or ("=" not in word and not word.startswith("~")):
            raise VaeklError(f"cannot read {word!r}: write key=value, as in likelihood=gaussian.")
        else:
            override = parse(word)
            _check_folder(override, is_sweep(words))
            _check_choice(override, directories)
            _check_deleted(override)
            _check_searchpath(override)


def check_single(words: Sequence[str]) -> None:
    """Refuse words for Hydra that only a sweep reads, or that nothing in vaekl reads.

    Raises:
        VaeklError: names the first.
    """
    for word in without_flags(words):
        override = parse(word)
        key = str(override.key_or_group)
        if not re.match(r"hydra\b", key) or (key in _OF_A_SINGLE_RUN and not override.is_delete()):
            continue
        of_a_sweep = any(key == start or key.startswith(f"{start}.") for start in _OF_A_SWEEP)
        cure = "add -m if this is to be one" if of_a_sweep else "leave it away"
        raise VaeklError(
            f"{shortened(word)} is nothing that a single run reads, which takes {' and '.join(_OF_A_SINGLE_RUN)}"
            f"{'; it belongs to a sweep' if of_a_sweep else ''}: {cure}."
        )


def check_runs(runs: Sequence[Sequence[str]], of_hydra: Sequence[str], directories: Sequence[Path]) -> DictConfig:
    """Refuse a sweep in which a run has not all of its keys: `weighting=auto` has no weighting.beta.

    So it is with a class that only the custom option of the swept ones takes, and with a value that must be given.

    Args:
        runs: the words of each.
        of_hydra: the words that say how they are launched.
        directories: the user's own config folders.

    Returns:
        The config of one of them, with Hydra's part.

    Raises:
        VaeklError: one sentence for the first such run.
    """
    names = groups(directories)
    # which keys there are depends on the choices alone
    kinds = {tuple(word for word in run if word.partition("=")[0] in names): run for run in runs}
    for run in kinds.values():
        try:
            composed = compose([*run, *of_hydra], directories)
            str(composed.hydra.sweep.dir)  # else it is first read when the runs have been tried
        except (HydraException, OmegaConfBaseException) as error:
            mistake = lacking_key(run, runs, directories) or sentence(error, [*run, *of_hydra], directories)
            raise VaeklError(mistake) from error
        if misplaced := replaced_class(run, runs, directories) or lacking_key(run, runs, directories):
            raise VaeklError(misplaced)
        check_added(run, composed, directories)
        unresolved = OmegaConf.to_container(without_hydra(composed))
        if missing := [key for key, value in flat(unresolved) if value == TO_BE_GIVEN]:
            raise VaeklError(f"{missing[0]} must be given: add {missing[0]}=VALUE.")
    _check_plugins(composed)
    return composed


def check_added(words: Sequence[str], composed: DictConfig, directories: Sequence[Path]) -> None:
    """Refuse a key that the words of a run add and nothing reads, such as +foo=1.

    Raises:
        VaeklError: names the first.
    """
    if mistake := unread_key(words, composed, directories):
        raise VaeklError(mistake)


def _check_plugins(composed: DictConfig) -> None:
    """Refuse a launcher or a sweeper that is none of Hydra's plugins, before Hydra does so after the trial of the runs.

    Raises:
        VaeklError: says how one is chosen.
    """
    for group, kind in (("launcher", Launcher), ("sweeper", Sweeper)):
        target = OmegaConf.select(composed, f"hydra.{group}._target_")
        if Plugins.instance().class_name_to_class.get(target) not in Plugins.instance().discover(kind):
            raise VaeklError(
                f"hydra.{group}._target_={shortened(str(target))} is no {group} that Hydra knows: choose one by its "
                f"name, as in hydra/{group}=basic, and make one of your own a plugin of Hydra's."
            )


def sentence(error: Exception, words: Sequence[str], directories: Sequence[Path]) -> str:
    """The sentence for an error of Hydra's: which key does not exist and which is similar, or what else is wrong."""
    return (
        unknown_key(words, directories)
        or _translated(error, " ".join(str(error).split()), words)
        or _blaming(error, words, directories)
    )


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
            raise VaeklError(no_option(str(group), value, names))


def _check_folder(override: Override, of_sweep: bool) -> None:
    """Refuse what would be written into `/`, or into a folder called None; and several folders for one sweep."""
    word = shortened(str(override.input_line))
    if override.key_or_group not in _FOLDERS or override.is_delete():
        return
    if override.is_sweep_override():
        if of_sweep:
            raise VaeklError(
                f"{word} is several folders, and a sweep has one, with all its runs: give one, as output_dir=outputs."
            )
        return
    value = override.value()
    if value is None or isinstance(value, bool | list | dict):
        raise VaeklError(f"{word} is no folder: give one, as in output_dir=outputs.")
    if not str(value).strip():
        raise VaeklError(f"{word} is empty: give a folder, as in output_dir=outputs.")


def _check_flag(flag: str, value: str, words: Sequence[str]) -> None:
    """Refuse a flag's value that nothing reads."""
    if flag in SHOW and value not in SHOW[flag]:
        raise VaeklError(f"{flag} {value} is not one of {', '.join(SHOW[flag])}{did_you_mean(value, SHOW[flag])}.")
    if flag in ("--package", "-p", "--resolve") and not shows(words):
        raise VaeklError(f"{flag} says how a config is printed: add --cfg job.")
    if flag == "--again" and (shows(words) or is_sweep(words)):
        raise VaeklError("--again trains one run once more: type it with the words of a single run and its folder.")


def _check_deleted(override: Override) -> None:
    """Refuse to take away what every run reads; a key for which the option's class has a default may go."""
    key = str(override.key_or_group)
    if not override.is_delete():
        return
    needed = [*OmegaConf.load(CONF / "train.yaml"), "model.latents", "optim.lr"]
    if key in needed or key.startswith("trainer.") or key.endswith("._target_"):
        raise VaeklError(f"no run can do without {key}: give it a value, {key}=VALUE, or leave the ~ away.")


def _check_searchpath(override: Override) -> None:
    """Refuse what Hydra would only warn of."""
    if override.key_or_group != "hydra.searchpath" or override.is_delete():
        return
    places = override.value()
    if not isinstance(places, list):
        raise VaeklError(f"{shortened(str(override.input_line))} is no list: write it as [file://my/configs].")
    for place in map(str, places):
        scheme, colon, folder = place.rpartition("://")
        if (not colon or scheme == "file") and not Path(folder).is_dir():
            raise VaeklError(f"hydra.searchpath={place} is no folder: give one, as in [file://my/configs].")


def _translated(error: Exception, text: str, words: Sequence[str]) -> str | None:
    """What an error of Hydra's or OmegaConf's means, if its message is a familiar one; `text` is that, on one line."""
    if match := re.search(r"Could not find '(hydra/\w+)/([^']*)' Available options in '[^']*': (.*?) Config", text):
        group, name, names = match[1], match[2], match[3].split()
        return f"{group}={name} is not one of {', '.join(names)}{did_you_mean(name, names)}."
    if match := re.search(r"Could not override '(hydra[^']*)'", text):
        group = ".".join(match[1].split(".")[:2][: match[1].count(".")]) or "hydra"
        return f"there is no key {match[1]}: `vaekl train --cfg hydra -p {group}` lists those of {group}."
    if text.startswith("Error merging override"):
        word = text.removeprefix("Error merging override ")
        return f"cannot take {shortened(word)} ({first_line(error.__cause__ or error)}): give another value."
    if match := re.search(r"Missing mandatory value: ([\w.]+)", text):
        return f"{match[1]} must be given: add {match[1]}=VALUE."
    if "nterpolation" in text:
        reason, _, rest = text.partition(" full_key: ")
        place, linked = rest.partition(" ")[0], [word for word in words if "$" in word]
        culprits = [word for word in linked if word.lstrip("+").partition("=")[0] == place] or linked or [place]
        return f"cannot resolve {shortened(culprits[0])} ({shortened(reason)}): give another value."
    for pattern, meaning in _TRANSLATIONS:
        if match := re.search(pattern, text):
            return shortened(meaning.format(*match.groups()), 400) + "."
    return None


def _blaming(error: Exception, words: Sequence[str], directories: Sequence[Path]) -> str:
    """The word without which there would be a config, or else those for Hydra, and what the error says."""
    # of several values no config can be made without Hydra's own sweep
    overrides = [word for word in without_flags(words) if not parse(word).is_sweep_override()]
    # the last word is the likeliest, because people add to a command that worked
    guilty = [
        word for word in reversed(overrides) if _composes([other for other in overrides if other != word], directories)
    ]
    if len(guilty) != 1:
        guilty = [word for word in overrides if word.lstrip("+~").startswith("hydra")]
    # what OmegaConf adds on lines of its own are names of its classes
    text = re.split(r"\n\s*full_key:", str(error))[0]
    reason = shortened(" ".join(text.split()).rstrip(".:") or type(error).__name__, 300)
    return (
        f"cannot make a config of {shortened(' '.join(guilty)) or 'these words'} ({reason}): write it in another way."
    )


def _composes(words: Sequence[str], directories: Sequence[Path]) -> bool:
    try:
        compose(words, directories)
    except Exception:  # that it fails is the answer
        return False
    return True
