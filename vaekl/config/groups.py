"""The config groups and their options, read from `conf/` without Hydra, so that --help is instant."""

import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vaekl.system.errors import VaeklError

#: options of a user's own folder, and bytes of each
_MOST_FILES, _MOST_BYTES = 2_000, 1 << 20
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
        "lr_schedule", "trainer",
    ]  # fmt: skip
    names = {folder.name for root in (CONF, *more) for folder in root.iterdir() if folder.is_dir()} - {"hydra"}
    return [name for name in order if name in names] + sorted(names - set(order))


def options(group: str, more: Sequence[Path] = ()) -> dict[str, str]:
    """Each option of a group and the comment on its file's first line."""
    files = [file for root in (CONF, *more) for file in sorted((root / group).glob("*.yaml"))]
    return {file.stem: _description(file) for file in files if not file.stem.startswith("_")}


def check_files(directory: Path) -> None:
    """Refuse a config folder with pipes and endless files in it: Hydra opens whatever is called like an option.

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


def settings(file: str, prefix: str = "") -> str:
    """The lines of --help for a file in `conf/`: each key that has a comment, with its default and the comment.

    Args:
        file: its path in `conf/`, without `.yaml`.
        prefix: what stands before the keys on the command line, such as `trainer.`.
    """
    lines = []
    for line in (CONF / f"{file}.yaml").read_text(encoding="utf-8").splitlines():
        setting, comment, meaning = line.partition("  # ")
        if comment and not line.startswith(("#", " ")):
            key, _, value = setting.partition(": ")
            lines.append(f"  {f'{prefix}{key}={value.strip()}'.replace(', ', ','):<34} {meaning.strip()}\n")
    return "".join(lines)


def _description(file: Path) -> str:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("# ") and not line.startswith("# @"):
                return line[2:].strip()
    return ""
