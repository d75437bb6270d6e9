"""The sentence for an error, whoever raised it."""

import errno

import pytest

from vaekl.system.errors import VaeklError, sentence


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (VaeklError("seed must be a number."), "seed must be a number."),
        (
            OSError(errno.EACCES, "Permission denied", "runs/a"),
            "you may not use runs/a in this way (Permission denied): change its permissions.",
        ),
        (OSError(errno.EIO, "Input/output error", "runs/a"), "Input/output error: runs/a."),
        (OSError("no words of the system"), "no words of the system."),
        (
            ImportError("libtorch_cpu.so: failed to map segment from shared object"),
            "the memory of this process is too small to load a library (libtorch_cpu.so: failed to map "
            "segment from shared object): free some, or raise the limit (`ulimit -v`).",
        ),
        (
            MemoryError(),
            "the memory of this process is too small for this: free some, or raise the limit (`ulimit -v`).",
        ),
        (
            KeyError("a\nb"),
            "unexpected KeyError: 'a\\nb'; add --debug for the traceback, and please report it.",
        ),
        (
            ImportError("No module named x"),
            "unexpected ImportError: No module named x; add --debug for the traceback, and please report it.",
        ),
    ],
)
def test_the_sentence(error, text):
    assert sentence(error) == text
