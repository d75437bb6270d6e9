"""`vaekl train -m`: the folder of a sweep, its launcher, what is shown of it, and how it is stopped."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from rich.console import Console

from vaekl import sweep
from vaekl.errors import StoppedError

#: the process that started the sweep; its workers find it in their environment
_PARENT = "VAEKL_SWEEP_PROCESS"
#: a file in the sweep's folder that keeps workers from beginning another run
STOP = ".stop"
_LOOK_EVERY = 0.25


def in_worker() -> bool:
    """Whether this process trains one of several runs that another one started."""
    return os.environ.get(_PARENT, str(os.getpid())) != str(os.getpid())


def settings(arguments: Sequence[str], chosen: sweep.Plan | None) -> list[str]:
    """What is added to a sweep's words: a folder that the same words find again, run names that say what differs.

    Args:
        arguments: the user's.
        chosen: the plan, if the runs are to be spread over processes.
    """
    overrides = [override for override in map(_parsed, arguments) if override is not None]
    keys = [str(override.key_or_group) for override in overrides]
    swept = [str(override.key_or_group) for override in overrides if override.is_sweep_override()]
    constant = [key for key in keys if key not in swept]
    added = [f"hydra.job.config.override_dirname.exclude_keys=[{','.join(constant)}]"]
    if "hydra.sweep.dir" not in keys:
        same = sorted(word for word in arguments if "=" in word and not word.startswith(("-", "hydra", "output_dir=")))
        digest = blake2b(repr(same).encode(), digest_size=4).hexdigest()
        name = "-".join(key.split(".")[-1] for key in swept)[:60]
        added.append(f"hydra.sweep.dir='${{output_dir}}/sweep_{name}_{digest}'")
    if chosen is not None and chosen.at_once > 1:
        added += ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={chosen.at_once}"]
    return added


def plan(arguments: Sequence[str]) -> sweep.Plan | None:
    """How the runs are spread over the machine, or None where the user chose a launcher or a sweeper."""
    overrides = [override for override in map(_parsed, arguments) if override is not None]
    if any(str(override.key_or_group).startswith(("hydra/launcher", "hydra/sweeper")) for override in overrides):
        return None
    runs = prod(_count(override) for override in overrides if override.is_sweep_override())
    device = next((str(o.value()) for o in overrides if o.key_or_group == "trainer.device"), "auto")
    return sweep.plan(runs, gpu=device.startswith("cuda") or (device == "auto" and _has_gpu()))


def prepare_worker() -> None:
    """In a process that trains several runs one after the other: only the one that started it says when to stop."""

    def stop(number: int, frame: object) -> None:
        raise StoppedError("stopped outside of training: the same command goes on from the last checkpoint.")

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)


def rest_worker() -> None:
    """Between two runs a late signal means nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextmanager
def spread(chosen: sweep.Plan, folder: Path, console: Console) -> Iterator[None]:
    """Around runs in other processes: say what becomes of them; the first signal stops them, the second kills them.

    Raises:
        StoppedError: after a signal, when every run has saved its state.
    """
    before = {name: os.environ.get(name) for name in (_PARENT, "OMP_NUM_THREADS")}
    os.environ[_PARENT] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", str(chosen.threads))
    with suppress(OSError):
        (folder / STOP).unlink()
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    asked, over = threading.Event(), threading.Event()

    def stop(number: int, frame: object) -> None:
        asked.set()
        signal.signal(number, handlers[number])
        (folder / STOP).touch()
        for run in sweep.read(folder).values():
            if run["status"] == "running":
                with suppress(OSError):
                    os.kill(run["process"], signal.SIGTERM)

    shown = threading.Thread(target=_show, args=(folder, chosen.runs, time.time(), over, console), daemon=True)
    try:
        for number in handlers:
            signal.signal(number, stop)
        shown.start()
        yield
    finally:
        over.set()
        shown.join()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        with suppress(OSError):
            (folder / STOP).unlink()
    if asked.is_set():
        raise StoppedError("the sweep was stopped, every run has saved its state: the same command goes on from there.")


def _show(folder: Path, runs: int, begun: float, over: threading.Event, console: Console) -> None:
    """A line for every run that ends, with how many have."""
    said: set[str] = set()
    while True:
        last = over.wait(_LOOK_EVERY)
        for name, run in sweep.read(folder).items():
            if name not in said and run["status"] != "running" and run["started"] >= begun:
                said.add(name)
                why = f": {run['reason']}" if run["reason"] else ""
                console.print(f"  {len(said):>4}/{runs} {run['status']:<9} {name}{why}")
        if last:
            return


def _parsed(argument: str) -> Override | None:
    if argument.startswith("-") or "=" not in argument:
        return None
    return OverridesParser.create().parse_override(argument)


def _count(override: Override) -> int:
    return max(1, len(list(override.sweep_string_iterator()))) if override.is_discrete_sweep() else 1


def _has_gpu() -> bool:
    # asking torch would cost seconds
    return Path("/proc/driver/nvidia/gpus").is_dir() and any(Path("/proc/driver/nvidia/gpus").iterdir())
