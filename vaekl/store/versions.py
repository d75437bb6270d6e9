"""What a run's figures depend on beside its config: versions of packages, the machine, the revision of the code."""

import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("vaekl", "torch", "torchvision", "hydra-core", "omegaconf", "tensorboard", "scikit-learn", "numpy")


def versions(overrides: Sequence[str]) -> dict[str, Any]:
    """The command, the versions that are installed, and the git revision.

    Args:
        overrides: the words that the user typed after `vaekl train`.
    """
    packages = {name: version for name in _PACKAGES if (version := _version(name)) is not None}
    return {
        "command": shlex.join(["vaekl", "train", *overrides]),
        "git_revision": _git_revision(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": packages,
    }


@cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache  # a process runs the code that it began with
def _git_revision() -> str | None:
    """The revision of the checkout that vaekl runs from, with + if it was changed; None for an installed wheel."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", __file__) is None or (revision := git("rev-parse", "HEAD")) is None:
        return None
    return revision + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
