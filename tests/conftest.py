"""What all tests share: one OpenMP thread a process, set before torch is imported, because tests run in parallel."""

import gc
import os
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# else pytest rewrites every test file, and every process compiles vaekl, each time anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# no test takes the power away, and to wait for the disk would be a third of the time of a short run
os.fsync = lambda descriptor: None
# collecting the tests makes a million objects that live to the end, and looking through them for garbage takes a tenth
# of the time of all tests
gc.disable()


def pytest_collection_finish() -> None:
    """What was collected is never looked through again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _denormals():
    """A run lets the processor round the smallest numbers to 0; the next test in this process has them again."""
    yield
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_flush_denormal(False)
