"""Cores, memory and GPUs of this machine that the process may use, read from Linux's own files; imports no torch."""

import ctypes
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: the name of an option in glibc's malloc.h, and how many parts of the memory all threads share
_M_ARENA_MAX, _ARENAS = -8, 2
#: seconds over which a load is measured at least, since the system counts in hundredths of a second
_WINDOW = 0.3
#: seconds after its start in which a process's whole life is such a measurement
_STARTING = 60.0


@dataclass(frozen=True)
class Load:
    """How long the cores that this process may use have been busy by now; all in seconds.

    Args:
        time: of the clock.
        busy: time in which a core computed, summed over these cores.
        own: the part of `busy` that was this process's.
    """

    time: float
    busy: float
    own: float

    @classmethod
    def now(cls) -> "Load":
        """The load at this moment; `busy` is 0 where the system does not tell it."""
        busy = 0.0
        with suppress(OSError, ValueError, AttributeError):
            cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
            for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
                name, *ticks = line.split()
                if name in cores:
                    user, nice, system, _, _, interrupts, soft_interrupts = map(int, ticks[:7])
                    busy += (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")
        return cls(time.monotonic(), busy, time.process_time())


#: the load at about the time when this process began
STARTED = Load.now()


def free_cores(since: Load | None = None) -> int:
    """How many of the cores that this process may use other processes have left idle; at least one.

    Args:
        since: the load at the beginning of the time that is looked at; None takes this process's start, or the next
            0.3 seconds if it started long ago.
    """
    if since is None:
        since = STARTED if time.monotonic() - STARTED.time < _STARTING else Load.now()
    if (elapsed := time.monotonic() - since.time) < _WINDOW:
        time.sleep(_WINDOW - elapsed)
    now = Load.now()
    others = (now.busy - since.busy - (now.own - since.own)) / (now.time - since.time)
    # rounded, since half a core of others' work should not cost a thread; a quota does not say which cores it is of
    return max(1, min(allowed_cores(), _affinity() - max(0, round(others))))


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def allowed_cores() -> int:
    """Cores that this process may use: by its affinity, the quotas of its control groups, and Slurm."""
    cores = _affinity()
    for quota, period in _quotas():
        cores = min(cores, max(1, quota // period))
    # Slurm may give a job some cores without keeping it off the others
    slurm = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE")
    with suppress(ValueError):
        cores = min(cores, max(1, int(slurm or cores)))
    return cores


def _quotas(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[tuple[int, int]]:
    """Limits of this process's control group and of all above it: CPU time and the period that it is for, in µs."""
    quotas = []
    with suppress(OSError):
        for line in own.read_text(encoding="utf-8").splitlines():
            _, controllers, place = line.split(":", 2)
            for folder in [Path(place), *Path(place).parents]:
                inside = folder.relative_to("/") if folder.is_absolute() else folder
                with suppress(OSError, ValueError):
                    if not controllers:  # version 2; "max" is no number
                        quota, period = (groups / inside / "cpu.max").read_text(encoding="ascii").split()
                        quotas.append((int(quota), int(period)))
                    elif "cpu" in controllers.split(","):
                        group = groups / "cpu" / inside
                        quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
                        quotas.append((int(quota), int(period)))
    return [(quota, period) for quota, period in quotas if quota > 0 and period > 0]


def memory_kills() -> int:
    """How many processes the system has killed for lack of memory since it started; 0 where it does not tell."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            name, number = line.split()
            if name == "oom_kill":
                return int(number)
    return 0


def free_memory() -> float:
    """Bytes that can be used without swapping; infinite where the system does not tell."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, amount, *_ = line.split()
            if name == "MemAvailable:":
                return int(amount) * 1024.0
    return float("inf")


def share_memory_of_threads() -> None:
    """From now on let threads share what they have freed: glibc would keep up to 64 MB for each of them."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, _ARENAS)


def give_back_memory() -> None:
    """Hand what was freed back to the system."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def has_gpu() -> bool:
    """Whether the machine has an NVIDIA GPU; importing torch to ask it would take seconds."""
    gpus = Path("/proc/driver/nvidia/gpus")
    return gpus.is_dir() and any(gpus.iterdir())
