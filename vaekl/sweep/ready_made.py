"""Ready-made sweeps: `sweep=NAME` stands for the words in `conf/sweep/NAME.yaml`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from vaekl.config import overrides
from vaekl.config.groups import CONF, options
from vaekl.config.keys import keys_of_option
from vaekl.config.overrides import shortened
from vaekl.system.errors import VaeklError, did_you_mean, first_line
from vaekl.system.terminal import command


def expanded(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Put the words of `conf/sweep/NAME.yaml` in the place of `sweep=NAME`; what the user gives too is the user's.

    Returns:
        The words and the names.

    Raises:
        VaeklError: if there is no such sweep.
    """
    names = [name for word in words if word.startswith("sweep=") for name in word.partition("=")[2].split(",")]
    names = list(dict.fromkeys(names))
    if not names:
        if "-m" in words and overrides.shows(words):
            raise VaeklError("-m trains several runs, and --cfg and --info show one: take one of the two.")
        return list(words), []
    directories = overrides.config_dirs(words)
    ready_made = options("sweep", directories)
    own = [word for word in words if not word.startswith("sweep=")]
    own_keys = {word.partition("=")[0] for word in own}
    ready: dict[str, str] = {}
    for name in names:
        if name not in ready_made:
            raise VaeklError(f"sweep={name} is not one of {', '.join(ready_made)}{did_you_mean(name, ready_made)}.")
        file = next(file for root in (*directories, CONF) if (file := root / "sweep" / f"{name}.yaml").exists())
        ready |= _words_in(file)
    added = [f"{key}={value}" for key, value in ready.items() if key not in own_keys]
    _check_replaced(ready, own, added, f"sweep={','.join(names)}", directories)
    if overrides.shows(own):
        raise VaeklError(f"sweep={','.join(names)} stands for several runs, `{command(*added)}`: look at one of them.")
    return [*added, *own, *([] if {"-m", "--multirun"} & set(own) else ["-m"])], names


def _check_replaced(
    ready: Mapping[str, str], own: Sequence[str], added: Sequence[str], sweep: str, directories: Sequence[Path]
) -> None:
    """Refuse words of the user's that leave a ready-made sweep without its values, or with keys of another option.

    Args:
        ready: what stands in the file.
        own: what the user has typed.
        added: what of the file stays.
        sweep: how the user has named it.
        directories: the user's own config folders.
    """
    typed = [word for word in own if word.partition("=")[0] in ready]
    for word in typed:
        group, _, chosen = word.partition("=")
        for option in set(chosen.split(",")) & set(options(group, directories)):
            lost = [key for key in ready if key.startswith(f"{group}.") and f"{key}={ready[key]}" in added]
            keys = [f"{group}.{key}" for key in keys_of_option(group, option, directories)]
            if strange := [key for key in lost if key not in keys]:
                raise VaeklError(
                    f"{sweep} gives values to {strange[0]}, which {group}={option} has not: leave {shortened(word)} "
                    "away."
                )
    if any(override.is_sweep_override() for override in overrides.parsed([*added, *own])):
        return
    for key in {word.partition("=")[0] for word in typed}:
        if overrides.parse(f"{key}={ready[key]}").is_sweep_override():
            values = [word.partition("=")[2] for word in typed if word.startswith(f"{key}=")]
            several = ",".join(values if len(values) > 1 else [*values, "VALUE"])
            raise VaeklError(
                f"{key}={values[-1]} stands in the place of the values of {sweep}, so that nothing is swept: write "
                f"{key}={several}, or leave it away."
            )


def _words_in(file: Path) -> dict[str, str]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise VaeklError(f"{file} cannot be read as YAML ({first_line(error)}): a line is `key: values`.") from error
    if not isinstance(content, dict):
        raise VaeklError(f"{file} is no list of keys: a line is `key: values`, as in `seed: 0,1,2`.")
    return {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in content.items()}
