"""A run's folder: which files it has, what they hold, and how they are read and written."""

from vaekl.store.find import LINKED, check_file, find_runs, linked_runs
from vaekl.store.fingerprint import fingerprint
from vaekl.store.read import UnreadableError
from vaekl.store.run_files import BEST, LAST, PREVIOUS
from vaekl.store.run_folder import RunFolder

__all__ = [
    "BEST", "LAST", "LINKED", "PREVIOUS", "RunFolder", "UnreadableError", "check_file", "find_runs", "fingerprint",
    "linked_runs",
]  # fmt: skip
