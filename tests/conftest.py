"""What all tests share: one OpenMP thread a process, set before torch is imported, because tests run in parallel."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
# else pytest rewrites every test file, and every process compiles vaekl, each time anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
