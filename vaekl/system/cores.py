"""What this process may use of the machine, asked without torch."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: seconds over which a load is worth looking at: the system counts in hundredths
_WINDOW = 0.3
#: seconds within which a process is starting
_STARTING = 60.0


@dataclass(frozen=True)
class Load:
    """How long this process's cores have been busy, at one moment; all in seconds.

    Args:
        time: of the clock.
        busy: summed over the cores that this process may use.
        own: what of that was this process.
    """

    time: float
    busy: float
    own: float

    @classmethod
    def now(cls) -> "Load":
        """Never busy where the system does not say."""
        busy = 0.0
        with suppress(OSError, ValueError, AttributeError):
            ours = {f"cpu{core}" for core in os.sched_getaffinity(0)}
            for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
                name, *ticks = line.split()
                if name in ours:
                    user, nice, system, _, _, interrupts, soft_interrupts = map(int, ticks[:7])
                    busy += (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")
        return cls(time.monotonic(), busy, time.process_time())


#: when this process began, more or less
STARTED = Load.now()


def free_cores(since: Load | None = None) -> int:
    """Cores that this process may use and that others have left idle since then; at least one.

    Args:
        since: None looks at the time since this process began, or at the next moment if that is long ago.
    """
    if since is None:
        since = STARTED if time.monotonic() - STARTED.time < _STARTING else Load.now()
    if (passed := time.monotonic() - since.time) < _WINDOW:
        time.sleep(_WINDOW - passed)
    now = Load.now()
    taken = (now.busy - since.busy - (now.own - since.own)) / (now.time - since.time)
    # half a core of others' work is not worth a thread; a quota's cores may be any of the affinity's
    return max(1, min(allowed_cores(), _affinity() - max(0, round(taken))))


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def allowed_cores() -> int:
    """Cores that this process may use: by its affinity, the quotas of its control groups, and Slurm."""
    cores = _affinity()
    for quota, period in _quotas():
        cores = min(cores, max(1, quota // period))
    # Slurm may count cores without fencing them
    counted = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE")
    with suppress(ValueError):
        cores = min(cores, max(1, int(counted or cores)))
    return cores


def _quotas(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[tuple[int, int]]:
    """CPU time and the period in which it may be used, of this process's control group and of all above it."""
    found = []
    with suppress(OSError):
        for line in own.read_text(encoding="utf-8").splitlines():
            _, controllers, place = line.split(":", 2)
            for folder in [Path(place), *Path(place).parents]:
                inside = folder.relative_to("/") if folder.is_absolute() else folder
                with suppress(OSError, ValueError):
                    if not controllers:  # version 2; "max" is no number
                        quota, period = (groups / inside / "cpu.max").read_text(encoding="ascii").split()
                        found.append((int(quota), int(period)))
                    elif "cpu" in controllers.split(","):
                        of = groups / "cpu" / inside
                        quota, period = ((of / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
                        found.append((int(quota), int(period)))
    return [(quota, period) for quota, period in found if quota > 0 and period > 0]


def memory_kills() -> int:
    """How many processes this machine has killed for want of memory, ever; 0 where the system does not say."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            name, number = line.split()
            if name == "oom_kill":
                return int(number)
    return 0


def free_memory() -> float:
    """Bytes that can be had without swapping; infinite where the system does not say."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, amount, *_ = line.split()
            if name == "MemAvailable:":
                return int(amount) * 1024.0
    return float("inf")


def has_gpu() -> bool:
    """Whether there is one of NVIDIA's; asking torch would cost seconds."""
    gpus = Path("/proc/driver/nvidia/gpus")
    return gpus.is_dir() and any(gpus.iterdir())
