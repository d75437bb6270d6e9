"""What this process may use of the machine, asked without torch."""

import os
from contextlib import suppress
from pathlib import Path


def free_cores() -> int:
    """Cores that this process may use: by its affinity, and by the quota of its control group."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, max(1, int(quota) // int(period)))
    # Slurm may count cores without fencing them
    counted = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE")
    with suppress(ValueError):
        cores = min(cores, max(1, int(counted or cores)))
    return cores


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
