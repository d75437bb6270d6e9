"""What the tests of a stranger's data share: ten seconds and 1 GB."""

import re
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def bounded() -> Iterator[None]:
    """Ten seconds, and 1 GB beyond what the process has."""

    def late(*_: object) -> None:
        raise TimeoutError("ten seconds are over")

    before, limits = signal.signal(signal.SIGALRM, late), resource.getrlimit(resource.RLIMIT_AS)
    size = int(re.findall(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[0]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 30), limits[1]))
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    resource.setrlimit(resource.RLIMIT_AS, limits)
