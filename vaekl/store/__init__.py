"""A run's folder: which files it has, what they hold, and how they are read and written."""

from vaekl.store.run_folder import BEST, LAST, PREVIOUS, RunFolder, fingerprint

__all__ = ["BEST", "LAST", "PREVIOUS", "RunFolder", "fingerprint"]
