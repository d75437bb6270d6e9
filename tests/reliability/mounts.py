"""Mounts of a process's own, which end with it: a test that needs a disk leaves none on the machine."""

import ctypes
import os
import subprocess

import pytest

_CLONE_NEWNS = 0x20000
_MAY_MOUNT = os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0
needs_mounts = pytest.mark.skipif(not _MAY_MOUNT, reason="only root may mount, and here not even root everywhere")


def own_mounts(*commands: str) -> None:
    """Give this process a copy of the machine's mounts, and change it.

    Args:
        commands: words of `mount` commands, split at blanks.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    for words in ("--make-rprivate /", *commands):
        subprocess.run(["mount", *words.split()], check=True)
