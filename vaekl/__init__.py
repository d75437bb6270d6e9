"""vaekl: train VAEs, and know what the weight of the KL term means."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("vaekl")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"
