"""A finished run whose weights are gone: what is true of it, and what can be done."""

from vaekl.store import BEST, LAST, RunFolder
from vaekl.store.schema import Results
from vaekl.system.terminal import command, printable, setting


def lost_weights(folder: RunFolder, results: Results) -> str | None:
    """The sentence for a finished run without the checkpoint that it tested; None where that is there.

    Args:
        folder: the run's files.
        results: its `results.json`.
    """
    there = folder.checkpoints()
    if results.weights in there:
        return None
    others = [name.removesuffix(".pt") for name in (LAST, BEST) if name in there]
    cures = ["put the file back", *(f"measure eval.checkpoint={name}" for name in others)]
    place = command(setting("hydra.run.dir", folder.path))
    return printable(
        f"{folder.path} is finished, but the weights that it tested, {results.weights}, are gone: {', '.join(cures)}, "
        f"or train it again by the words of its command with {place} --again."
    )
