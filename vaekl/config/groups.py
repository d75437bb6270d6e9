"""The config groups and their options, read from `conf/` without Hydra, so that --help is instant."""

import re
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from vaekl.system.errors import VaeklError, did_you_mean, first_line

#: options of a user's own folder, and bytes of each
_MOST_FILES, _MOST_BYTES = 2_000, 1 << 20
#: groups whose options set keys of other groups
_OF_OTHERS = ("experiment", "sweep")
#: a line of an option's file, without its comment: indent, key and value; `- override /model: mlp` is one too
_SETTING = re.compile(r"( *)(- override /)?([\w.]+):(?: +(\S.*))?")
_PACKAGE = Path(__file__).parents[1]
#: in a wheel conf/ lies inside the package, in a checkout beside it
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


def groups(more: Sequence[Path] = ()) -> list[str]:
    """The names of the config groups, in the order in which a user meets them.

    Args:
        more: the user's own config folders.
    """
    order = [
        "dataset", "transform", "likelihood", "weighting", "control", "objective", "schedule", "model", "optim",
        "lr_schedule", "trainer", "tracker",
    ]  # fmt: skip
    names = {folder.name for root in (CONF, *more) for folder in root.iterdir() if folder.is_dir()} - {"hydra"}
    return [name for name in order if name in names] + sorted(names - set(order))


def options(group: str, more: Sequence[Path] = ()) -> dict[str, str]:
    """Each option of a group and the comment on its file's first line."""
    files = [file for root in (CONF, *more) for file in sorted((root / group).glob("*.yaml"))]
    return {file.stem: _description(file) for file in files if not file.stem.startswith("_")}


def no_option(group: str, option: str, names: Collection[str]) -> str:
    """The sentence for an option that a group has not; `names` are those that it has."""
    return f"{group}={option} is not one of {', '.join(names)}{did_you_mean(option, list(names))}."


def check_files(directory: Path) -> None:
    """Refuse a config folder with what Hydra cannot read as an option: pipes, endless files, no YAML.

    Raises:
        VaeklError: names the first of them.
    """
    for number, file in enumerate(file for pattern in ("*.yaml", "*/*.yaml") for file in directory.glob(pattern)):
        if number == _MOST_FILES:
            raise VaeklError(f"--config-dir {directory} holds more than {_MOST_FILES:,} options: give one with fewer.")
        with suppress(OSError):  # whoever opens it says what is wrong
            state = file.stat()
            if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST_BYTES:
                raise VaeklError(f"{file} is no file of at most {_MOST_BYTES:,} bytes, as options are: take it away.")
            try:
                text = file.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise VaeklError(
                    f"{file} is no text in UTF-8, as options are: save it as that, or take it away."
                ) from error
            if (CONF / file.parent.name).is_dir():  # others may be of other programs
                _check_keys(file, text)


def _check_keys(file: Path, text: str) -> None:
    import yaml  # without folders of one's own --help needs none

    try:
        content = yaml.safe_load(text)
    except yaml.reader.ReaderError:  # a control character, without which --help prints the rest
        return
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else first_line(error)
        raise VaeklError(f"{file} cannot be read as YAML ({place}): mend it, or take it away.") from error
    if content is not None and not isinstance(content, dict):
        raise VaeklError(f"{file} is no list of keys and values, as options are: mend it, or take it away.")


def settings(file: str, prefix: str = "") -> str:
    """The lines of --help for a file in `conf/`: each key that has a comment, with its default and the comment.

    Args:
        file: its path in `conf/`, without `.yaml`.
        prefix: what stands before the keys on the command line, such as `trainer.`.
    """
    return "".join(_line(*line) for line in keys_of_file(file, prefix))


def keys_of_file(file: str, prefix: str = "") -> list[tuple[str, str, str]]:
    """Key, default and meaning of what `settings` prints."""
    lines = _lines((CONF / f"{file}.yaml").read_text(encoding="utf-8"))
    return [(prefix + key, value, meaning) for key, value, meaning in lines if meaning and "." not in key]


def settings_of(group: str, option: str, more: Sequence[Path] = ()) -> str:
    """The lines of --help for an option: its keys, each with its default and the comment beside it.

    Args:
        group: which it belongs to.
        option: one of `options(group, more)`.
        more: the user's own config folders.
    """
    return "".join(_line(*line) for line in keys_of(group, option, more))


def keys_of(group: str, option: str, more: Sequence[Path] = ()) -> list[tuple[str, str, str]]:
    """Key, default and meaning of what `settings_of` prints."""
    file = next(file for root in (CONF, *more) if (file := root / group / f"{option}.yaml").exists())
    # what an experiment or a sweep sets are keys of other groups
    prefix = "" if group in _OF_OTHERS else f"{group}."
    # its class, and what it is called in reports, are nothing to set
    own = [line for line in _lines(file.read_text(encoding="utf-8")) if line[0] not in ("_target_", "name")]
    return [(prefix + key, value, meaning) for key, value, meaning in own]


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    """Key, value and comment of each line of a file of settings, the key with those above it and dots between."""
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        setting, _, meaning = line.partition(" #")
        if (parts := _SETTING.fullmatch(setting.rstrip())) is None:
            continue
        indent, override, key, value = (part or "" for part in parts.groups())
        above = [outer for outer in above if outer[0] < len(indent)]
        if override:
            yield key, value, meaning.strip()
        elif value:
            yield ".".join([*(name for _, name in above), key]), value, meaning.strip()
        else:
            above.append((len(indent), key))


def _line(key: str, value: str, meaning: str) -> str:
    return f"  {f'{key}={value}'.replace(', ', ','):<34} {meaning}".rstrip() + "\n"


def _description(file: Path) -> str:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("# ") and not line.startswith("# @"):
                return line[2:].strip()
    return ""
