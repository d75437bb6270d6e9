"""`config.yaml`: the resolved config of a run, whose presence makes a folder a run's."""

from collections.abc import Iterable, Iterator, Mapping
from os.path import lexists
from pathlib import Path
from typing import Any

from vaekl.store.read import AFRESH, UnreadableError, parsed_yaml, read_yaml
from vaekl.system.errors import VaeklError
from vaekl.system.files import replacing, sync, unwritable
from vaekl.system.places import is_readable
from vaekl.system.terminal import printable

CONFIG = "config.yaml"
_TARGET = "_target_"
#: bytes
_MOST = 1 << 18
_GROUPS = ("dataset", "transform", "likelihood", "weighting", "model", "optim", "schedule", "lr_schedule", "trainer")
_CURE = f"restore it, or {AFRESH}"


def read(folder: Path) -> dict[str, Any]:
    """The resolved config, in which every group has its settings.

    Raises:
        VaeklError: there is none, or it cannot be read.
    """
    file = folder / CONFIG
    try:
        content = read_yaml(file, _MOST, _CURE)
    except FileNotFoundError as error:
        raise refusal(folder) from error
    if not isinstance(content, dict) or not isinstance(content.get("choices"), dict):
        name = printable(str(file))
        raise UnreadableError(f"{name} is not the config of a run: give a folder that `vaekl train` made.")
    lacking = [group for group in _GROUPS if not isinstance(content.get(group), dict)]
    lacking += [f"choices.{group}" for group in _GROUPS if not isinstance(content["choices"].get(group), str)]
    if lacking:
        raise UnreadableError(f"{printable(str(file))} lacks {lacking[0]}: {_CURE}.")
    return content


def targets(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted key and the name of everything that a config would have called, however deep it lies."""
    if isinstance(node, dict):
        for key, child in node.items():
            if key == _TARGET:
                yield f"{path}.{key}", child
            else:
                yield from targets(child, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list | tuple):
        for child in node:
            yield from targets(child, path)


def trust_words(contents: Iterable[Mapping[str, Any]]) -> list[str]:
    """The words without which a verb refuses runs of these configs: `--trust MODULE` for each of the user's own.

    >>> trust_words([{"control": {"_target_": "mine.Own"}, "optim": {"_target_": "torch.optim.Adam"}}])
    ['--trust', 'mine']
    """
    return [word for module in own_modules(contents) for word in ("--trust", module)]


def own_modules(contents: Iterable[Mapping[str, Any]]) -> list[str]:
    """The modules of the user's own whose classes these configs would have called, each once."""
    names = [str(name) for content in contents for _, name in targets(content)]
    modules = [name.rpartition(".")[0] for name in names if not name.startswith(("vaekl.", "torch."))]
    return [module for module in dict.fromkeys(modules) if module]


def check(text: str) -> None:
    """Refuse a config that could not be read back.

    Raises:
        VaeklError: says why.
    """
    try:
        if len(text.encode()) > _MOST:
            raise ValueError(f"it has more than {_MOST:,} bytes")
        parsed_yaml(text)
    except ValueError as error:
        raise VaeklError(
            f"{CONFIG} cannot hold the settings of this run ({error}): give fewer or shorter ones."
        ) from error


def write(folder: Path, text: str) -> None:
    """Write the config of a run, whole or not at all."""
    with replacing(folder / CONFIG, "config") as partial:
        partial.write_text(text, encoding="utf-8")


def replace(folder: Path, text: str, results: Path) -> None:
    """Give a run another config, with which its results are none any more.

    They go first: killed in between, it is the run that it was, which a resume tests again.

    Args:
        folder: of the run.
        text: the resolved config.
        results: the file with the results, which need not be there.

    Raises:
        VaeklError: a file cannot be taken away or written.
    """
    check(text)
    try:
        results.unlink(missing_ok=True)
        sync(folder)
    except OSError as error:
        raise VaeklError(unwritable(results, "file", error)) from error
    write(folder, text)


def refusal(folder: Path) -> VaeklError:
    """What to say where there is no run; it names one that is near."""
    if folder.is_dir() and not is_readable(folder):
        return VaeklError(f"you may not look into {printable(str(folder))}: make it readable, or give another folder.")
    inside = sorted(file.parent for file in folder.glob(f"*/{CONFIG}"))
    if len(inside) > 1:
        return VaeklError(
            printable(f"{folder} is no run but holds {len(inside)} of them: give one of them, such as {inside[0]}.")
        )
    reason = f"{CONFIG} is missing" if lexists(folder) else "nothing is there"
    near, hint = [*inside, folder.parent][0], ": give a folder that `vaekl train` made"
    if lexists(near / CONFIG):
        hint = f", but {near} does: give that"
    return VaeklError(printable(f"{folder} holds no run ({reason}){hint}."))
