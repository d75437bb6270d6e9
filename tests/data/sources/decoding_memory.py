"""What decoding many images at once adds to a process's memory, for a process of its own."""

import json
import os
import re
from pathlib import Path

import torch

from vaekl.data.sources import images, limits, pixels
from vaekl.data.sources.pixels import Decoding
from vaekl.system.devices import prepare


def kilobytes(name: str) -> int:
    """A line of this process's status, such as VmRSS."""
    return int(re.findall(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[0])


def grown(folder: Path, how: Decoding) -> int:
    """Decode a folder as if on 64 cores, within small limits; prints the images, and what stays and the peak in kB."""
    os.cpu_count = os.process_cpu_count = lambda: 64  # type: ignore[attr-defined]
    pixels._TOGETHER = limits.Budget(1 << 25)
    images._TOGETHER_BYTES = 1 << 23
    prepare(torch.device("cpu"))  # glibc keeps what is freed, for tensors
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = kilobytes("VmRSS")
    count = sum(part.pages.shape[0] for part in images._decode(sorted(folder.iterdir()), how))
    print(json.dumps([count, kilobytes("VmRSS") - before, kilobytes("VmHWM") - before]))
    return 0
