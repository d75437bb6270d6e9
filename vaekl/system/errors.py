"""The errors that reach a user: a sentence saying what is wrong, where, and what to do."""

import difflib
import errno
import os
import sysconfig
from collections.abc import Iterable, Sequence
from textwrap import shorten
from traceback import walk_tb

#: what other programs call things, and the names that they have here
_SYNONYMS = {
    **dict.fromkeys(("mse", "l2", "normal", "squared_error"), ("gaussian",)),
    **dict.fromkeys(("mae", "l1", "absolute_error"), ("laplace",)),
    **dict.fromkeys(("t", "studentt", "student", "cauchy"), ("student_t",)),
    **dict.fromkeys(("logcosh", "log_cosh", "smooth_l1", "huber"), ("logistic",)),
    **dict.fromkeys(("bce", "binary_cross_entropy", "sigmoid"), ("bernoulli", "cb")),
    **dict.fromkeys(("continuous_bernoulli", "continuousbernoulli"), ("cb",)),
    **dict.fromkeys(("ce", "cross_entropy", "softmax"), ("categorical",)),
    **dict.fromkeys(("dlogistic", "discretised_logistic", "discretized_logistics"), ("discretized_logistic",)),
    **dict.fromkeys(("truncnorm", "truncated_normal"), ("truncated_gaussian",)),
    **dict.fromkeys(("tobit", "clipped_gaussian", "rectified_gaussian"), ("censored_gaussian",)),
    **dict.fromkeys(("logitnormal", "logistic_normal"), ("logit_normal",)),
    **dict.fromkeys(("dmol", "mol", "discretized_mix_logistic", "mixture_of_logistics"), ("logistic_mixture",)),
    **dict.fromkeys(("nb", "nbinom", "neg_binomial", "negativebinomial"), ("negative_binomial",)),
    **dict.fromkeys(("zero_inflated_negative_binomial", "zi_nb"), ("zinb",)),
    **dict.fromkeys(("gpu", "nvidia"), ("cuda",)),
    **dict.fromkeys(("cnn", "convolutional"), ("conv",)),
    **dict.fromkeys(("fc", "dense"), ("mlp",)),
    **dict.fromkeys(("beta_vae", "beta"), ("fixed_beta",)),
}


class VaeklError(Exception):
    """A mistake that the user can correct; `str(error)` is the sentence that is printed, without a traceback."""

    #: the status that a sweep's manifest gives a run that ended with this error
    outcome = "failed"


def first_line(error: BaseException) -> str:
    """The message of another library's error, short enough to be quoted in a sentence."""
    return shorten((str(error).strip() or type(error).__name__).splitlines()[0], 160, placeholder=" ...")


class InputError(VaeklError, ValueError):
    """The same of an array or a number that a program of the user's hands over."""


class FullMemoryError(VaeklError):
    """Something does not fit the memory; of several processes one alone may raise it."""


class StoppedError(VaeklError):
    """A run was interrupted and has saved its state.

    Attributes:
        signal: the number of the signal that interrupted it, if one did.
    """

    signal: int | None = None

    @classmethod
    def by(cls, received: Sequence[int], text: str) -> "StoppedError":
        """The error after the first of the signals that came."""
        error = cls(text)
        error.signal = next(iter(received), None)
        return error


def users_line(error: BaseException) -> tuple[str, str] | None:
    """Where an error came out of code that is no part of vaekl, of Python or of an installed library, if it did.

    Returns:
        The innermost such function, as in "Mine.observe", and "line 3 of FILE".
    """
    paths = sysconfig.get_paths()
    libraries = [os.path.dirname(os.path.dirname(__file__)), *(paths[key] for key in ("stdlib", "purelib", "platlib"))]
    users = None
    for frame, line in walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if not file.startswith(("<", *(f"{folder}{os.sep}" for folder in libraries))):
            users = frame.f_code.co_qualname, f"line {line} of {file}"
    return users


def sentence(error: Exception) -> str:
    """The sentence that is printed for an error, whoever raised it."""
    if isinstance(error, VaeklError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"the path {os.fsdecode(error.filename or '')[:60]}… is longer than one may be: give a shorter one."
    if isinstance(error, PermissionError) and error.filename:
        return f"you may not use {os.fsdecode(error.filename)} in this way ({error.strerror}): change its permissions."
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or ''}".rstrip(": ") + "."
    first = (str(error).splitlines() or [""])[0]
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and "map segment" in first):
        what = f"to load a library ({first})" if isinstance(error, ImportError) else "for this"
        return f"the memory of this process is too small {what}: free some, or raise the limit (`ulimit -v`)."
    if users := users_line(error):
        return (
            f"{users[0]} failed ({type(error).__name__}: {first}, {users[1]}): check it; --debug shows the traceback."
        )
    return f"unexpected {type(error).__name__}: {first}; add --debug for the traceback, and please report it."


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """The choice that is another word for this one, or spelled most like it, in brackets; or nothing.

    >>> did_you_mean("gausian", ["gaussian", "cb"])
    ' (did you mean gaussian?)'
    >>> did_you_mean("bce", ["gaussian", "bernoulli", "cb"])
    ' (did you mean bernoulli or cb?)'
    """
    choices = list(choices)
    if others := [name for name in _SYNONYMS.get(word.lower(), ()) if name in choices]:
        return f" (did you mean {' or '.join(others)}?)"
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""
