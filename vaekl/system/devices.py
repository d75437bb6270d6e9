"""The device that a run computes on, its precision, threads and memory."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from vaekl.system import compiler_marks, distributed
from vaekl.system.checks import whole
from vaekl.system.cores import allowed_cores, free_cores
from vaekl.system.errors import FullMemoryError, VaeklError, did_you_mean, first_line

# names of options in glibc's malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3

#: how many threads torch takes by itself
_MOST_THREADS = torch.get_num_threads()


def pick_device(name: str, key: str = "trainer.device") -> torch.device:
    """The device of that name; `auto` takes a GPU if there is one. Each of several processes gets a GPU of its own.

    Args:
        name: auto, cpu, cuda or cuda:1 and the like.
        key: the setting, for the sentence.

    Raises:
        VaeklError: names the devices that are there.
    """
    present = ["cpu"]
    if torch.cuda.is_available():
        present += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name != "auto" and name not in present:
        hint = did_you_mean(name, ["cuda", *present]) if name != "cuda" else ""
        raise VaeklError(f"{key}={name} is not on this machine{hint}: choose auto or {', '.join(present)}.")
    if name == "cpu" or present == ["cpu"]:
        return torch.device("cpu")
    if distributed.size() == 1:
        return torch.device("cuda" if name == "auto" else name)
    own = f"cuda:{distributed.local_rank()}"
    if name not in ("auto", "cuda") or own not in present:
        raise VaeklError(
            f"{key}={name} does not give each process a GPU of its own, and there are {len(present) - 2} here: set "
            f"{key}=auto or cpu, and --nproc-per-node to the number of GPUs."
        )
    torch.cuda.set_device(own)
    return torch.device(own)


def half_precision(autocast: str | None) -> torch.dtype | None:
    """The type of that name for the networks; None for float32, and for tf32, which only rounds factors."""
    return torch.bfloat16 if autocast in ("bfloat16", "bf16") else None


@contextmanager
def enough_memory(what: str, cure: str) -> Iterator[None]:
    """Raise one sentence if what is done inside runs out of memory.

    Args:
        what: is done inside.
        cure: how to make it smaller.

    Raises:
        FullMemoryError: with both.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_full_memory(error):
            raise
        raise FullMemoryError(f"{what} does not fit the memory ({first_line(error)}): {cure}.") from error


def is_full_memory(error: BaseException) -> bool:
    """Whether an error means that the memory is full; the CPU's allocator has no exception of its own for that."""
    words = ("DefaultCPUAllocator", "not enough memory", "Storage size calculation overflowed")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in str(error) for word in words)


def prepare(device: torch.device, tf32: bool = False) -> None:
    """Set what makes this process faster at no cost in accuracy; with `tf32` a GPU rounds factors to 10 bits."""
    rounds = tf32 and device.type == "cuda"
    torch.set_float32_matmul_precision("high" if rounds else "highest")
    torch.backends.cudnn.allow_tf32 = rounds
    compiler_marks.put_off()
    if device.type == "cpu":
        flush_denormals()
        _keep_freed_memory()


def flush_denormals() -> None:
    """Take numbers below 1e-38, which saturated networks make, for 0: each would cost the processor a hundred cycles.

    A thread has this setting for itself, and so has a greenlet.
    """
    torch.set_flush_denormal(True)


def take_threads(threads: Any) -> None:
    """From now on compute with so many threads on the CPU.

    Args:
        threads: a number, cut to the cores that this process may use; auto: as many as cores that others leave idle.

    Raises:
        VaeklError: it is neither.
    """
    if threads != "auto":
        torch.set_num_threads(min(whole(threads, "trainer.threads", 1, also="auto or "), allowed_cores()))
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(_MOST_THREADS, free_cores()))


def keep_threads(before: int) -> bool:
    """Take as many threads as a stopped run had, since others would add in another order; returns whether it could."""
    if "OMP_NUM_THREADS" not in os.environ and before <= allowed_cores():
        torch.set_num_threads(before)
    return torch.get_num_threads() == before


def _keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors: new pages for each tensor can cost more than computing on them."""
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        # 32 MiB is the largest threshold that glibc takes
        for option, size in ((_M_MMAP_THRESHOLD, 32 << 20), (_M_TRIM_THRESHOLD, 1 << 30), (_M_TOP_PAD, 64 << 20)):
            mallopt(option, size)
