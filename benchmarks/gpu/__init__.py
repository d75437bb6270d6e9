"""What runs on a GPU, whether it agrees with the CPU, and how fast it is.

`python -m benchmarks.gpu` takes the parts in turn. Each is a program of its own, `python -m benchmarks.gpu.PART DEVICE
SECONDS full|smoke`, which writes a line of JSON for each thing as soon as it knows it, so that an interrupted one keeps
what it has.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

_lines = sys.stdout


def write(name: str, value: Any) -> None:
    """One thing that a part knows now; a later line of the same name takes its place."""
    _lines.write(json.dumps({name: value}, ensure_ascii=False) + "\n")
    _lines.flush()


def say(text: str) -> None:
    """A line for whoever watches."""
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()


def now(device: str) -> float:
    """Seconds of the clock once the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def part(main: Callable[[str, float, bool], None]) -> None:
    """Run a part as its words say.

    Args:
        main: takes the device, the seconds that it may use, and whether it is only to show that everything runs.
    """
    global _lines
    _lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print what they like
    device, seconds, kind = sys.argv[1:]
    main(device, float(seconds), kind == "smoke")
