"""`vaekl suggest`: which likelihood and which weight of the KL for the user's own data, by planned short trainings."""

from collections.abc import Sequence

from vaekl.suggest.options import parse
from vaekl.system.errors import StoppedError
from vaekl.system.terminal import command


def main(typed: Sequence[str]) -> int:
    """Suggest a model for data, write `suggest.json` and `suggest.html`, and print the card; returns the exit code.

    Raises:
        VaeklError: one sentence for a mistake in the words, or for a budget that is too small.
        StoppedError: after a signal; every run that had begun has saved its state.
    """
    options = parse(typed)
    from vaekl.suggest.build import suggest

    again = command("vaekl", "suggest", *typed)
    try:
        suggest(options)
    except KeyboardInterrupt as error:
        raise StoppedError(f"the suggestion was stopped: `{again}` goes on from there.") from error
    except StoppedError as error:
        stopped = StoppedError(f"the suggestion was stopped, and what was trained is saved: `{again}` goes on.")
        stopped.signal = error.signal
        raise stopped from error
    return 0
