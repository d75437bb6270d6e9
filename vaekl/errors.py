"""The errors that reach a user: a sentence saying what is wrong, where, and what to do."""


class VaeklError(Exception):
    """A mistake that the user can mend; `str(error)` is the sentence that is printed, without a traceback."""


class StoppedError(VaeklError):
    """A run was asked to stop and has saved its state."""
