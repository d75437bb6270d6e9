"""What all tests share: one OpenMP thread a process, set before torch is imported, because tests run in parallel."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
