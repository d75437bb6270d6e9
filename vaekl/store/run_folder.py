"""A run folder: what makes it one, and what makes it finished."""

import json
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from vaekl.system.errors import VaeklError, first_line
from vaekl.system.files import replacing

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
CONFIG, VERSIONS, RESULTS = "config.yaml", "versions.json", "results.json"
#: what is never there before the config is
OF_A_RUN = (LAST, PREVIOUS, BEST, "metrics.csv", RESULTS)
#: while a run of a sweep trains: its step, how many there will be, its ELBO
PULSE = ".progress.json"

_LARGEST_YAML = 1 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

#: what may differ between two configs that describe one run: where things are, and where it computes
_PLACES = ("choices", "output_dir", "run_name", "data_dir")


def fingerprint(content: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits that belong to a run's resolved config: the same run in another place has the same.

    >>> fingerprint({"seed": 0, "output_dir": "a"}) == fingerprint({"seed": 0, "output_dir": "b"})
    True
    >>> fingerprint({"seed": 0}) == fingerprint({"seed": 1})
    False
    """
    told = {key: dict(part) if isinstance(part, Mapping) else part for key, part in content.items()}
    told = {key: part for key, part in told.items() if key not in _PLACES}
    for group, key in (("dataset", "root"), ("trainer", "device")):
        if isinstance(told.get(group), dict):
            told[group].pop(key, None)
    return blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=4).hexdigest()


def holds_run(path: Path) -> bool:
    """Whether there is a run in a folder, finished or not."""
    return (path / CONFIG).exists()


def same_run(path: Path, content: Mapping[str, Any]) -> bool:
    """Whether a folder holds the run of a resolved config."""
    return holds_run(path) and fingerprint(config(path)) == fingerprint(content)


def validation_elbo(figures: Mapping[str, Any]) -> float | None:
    """The validation ELBO of a finished run's results, nats, or None without validation images."""
    elbo = figures.get("valid", {}).get("elbo_nats")
    return float(elbo) if elbo is not None else None


def claim(path: Path, config_yaml: str, overrides: list[str], facts: dict[str, Any]) -> None:
    """Make a folder that this process holds a run's, by giving it a config.

    Args:
        path: the folder.
        config_yaml: the resolved config.
        overrides: what the user typed.
        facts: what the config leads to and does not say: the shape, the weighting that `auto` took.

    Raises:
        VaeklError: if the folder holds a run already, or what is left of one.
    """
    if holds_run(path):
        raise VaeklError(
            f"{path} holds a run already, of another config: go on with it by `vaekl resume {path}`, or choose another "
            "folder."
        )
    if there := [name for name in OF_A_RUN if (path / name).is_file()]:
        raise VaeklError(
            f"{path} holds {there[0]}, but no {CONFIG} that says of which run: put that file back, or choose another "
            "folder."
        )
    write_json(path / VERSIONS, versions(overrides) | facts)
    with replacing(path / CONFIG, "config") as partial:
        partial.write_text(config_yaml, encoding="utf-8")


def config(path: Path) -> dict[str, Any]:
    """The resolved config of the run in a folder.

    Raises:
        VaeklError: if there is no run, or its config cannot be read.
    """
    file = path / CONFIG
    if not file.is_file():
        near = sorted(p.parent for p in path.glob(f"*/{CONFIG}")) or [path.parent] * path.is_file()
        hint = ": give a folder that `vaekl train` made"
        if near and holds_run(near[-1]):
            hint = f", but {near[-1]} does: give that"
        raise VaeklError(f"{path} holds no run ({CONFIG} is missing){hint}.")
    try:
        content = read_yaml(file)
    except (OSError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise VaeklError(
            f"{file} cannot be read as YAML ({first_line(error)}): restore it, or train afresh."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("choices"), dict):
        raise VaeklError(f"{file} is not the config of a run: give a folder that `vaekl train` made.")
    groups = ("dataset", "transform", "likelihood", "weighting", "model", "optim", "schedule", "lr_schedule", "trainer")
    if lacking := [group for group in groups if not isinstance(content.get(group), dict)]:
        raise VaeklError(f"{file} lacks {lacking[0]}: restore it, or train afresh.")
    return content


def printable(node: Any) -> Any:
    """What was read from a file, with control characters in its texts as escapes: they would move a terminal's cursor.

    Raises:
        ValueError: it holds what is neither text, number, truth value, null, list nor dict.
    """
    if isinstance(node, dict):
        return {printable(key): printable(child) for key, child in node.items()}
    if isinstance(node, list):
        return [printable(child) for child in node]
    if isinstance(node, str):
        return _CONTROL.sub(lambda found: repr(found[0])[1:-1], node)
    if node is None or isinstance(node, bool | int | float):
        return node
    raise ValueError(f"a {type(node).__name__}")


def results(path: Path) -> dict[str, Any] | None:
    """The figures of a finished run, or None."""
    file = path / RESULTS
    return read_json(file) if file.is_file() else None


def finish(path: Path, figures: dict[str, Any]) -> None:
    """Write the results, which makes the run a finished one."""
    write_json(path / RESULTS, figures)


def versions(overrides: list[str]) -> dict[str, Any]:
    """What the figures depend on beside the config."""
    packages = ("vaekl", "torch", "torchvision", "hydra-core", "omegaconf", "tensorboard", "scikit-learn", "numpy")
    installed = {name: metadata.version(name) for name in packages if _is_installed(name)}
    command = shlex.join(["vaekl", "train", *overrides])
    return {"command": command, "python": sys.version.split()[0], "platform": platform.platform(), **installed} | {
        "git_revision": _git_revision()
    }


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _git_revision() -> str | None:
    """The revision of the checkout that vaekl runs from, with + if it was changed; None for an installed wheel."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", __file__) is None or (revision := git("rev-parse", "HEAD")) is None:
        return None
    return revision + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def read_yaml(file: Path) -> Any:
    """What a file of vaekl's holds, which may come from a stranger: no objects but texts, numbers, lists and dicts.

    Raises:
        OSError, yaml.YAMLError, RecursionError or ValueError: it cannot be read, or holds something else.
    """
    if file.stat().st_size > _LARGEST_YAML:
        raise ValueError("too large")
    text = file.read_text(encoding="utf-8")
    # a few lines of aliases unfold to more than any memory, and tags make objects of other kinds
    if any(isinstance(token, yaml.AliasToken | yaml.TagToken) for token in yaml.scan(text)):
        raise ValueError("aliases or tags, which vaekl never writes")
    return printable(yaml.safe_load(text))


def read_json(file: Path) -> dict[str, Any]:
    """What `write_json` wrote.

    Raises:
        VaeklError: if the file is damaged.
    """
    try:
        content = printable(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise VaeklError(f"{file} is missing: put it back.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise VaeklError(f"{file} cannot be read ({first_line(error)}): restore it, or take it away.") from error
    if not isinstance(content, dict):
        raise VaeklError(f"{file} holds no figures: restore it, or take it away.")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file of a run, whole or not at all.

    Raises:
        VaeklError: if it cannot be written, or a figure is not finite, which JSON cannot say.
    """
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise VaeklError(f"{path.name} would hold figures that are not finite: the weights or the data do.") from error
    with replacing(path, "file") as partial:
        partial.write_text(text + "\n", encoding="utf-8")
