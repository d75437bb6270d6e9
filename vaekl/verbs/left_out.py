"""What a verb leaves out of data that a run was not trained on."""

from vaekl.run.load import TrainedRun


def left_out(run: TrainedRun, split: str, verb: str) -> list[str]:
    """A line for each kind of thing that is not looked at; none of a run's own data.

    Args:
        run: the model, and the data that it looks at.
        split: the part of them that the verb looks at.
        verb: whose `split` that is.
    """
    if not run.has_other_data:
        return []
    if len(run.split(split)) == len(run.data.all()):
        return run.data.inventory.left_out
    parts = {"train": run.data.train, "valid": run.data.valid, "test": run.data.test}
    others = [f"{len(part):,} {name}" for name, part in parts.items() if part and name != split]
    line = f"{' and '.join(others)} {run.data.spec.example}s ({verb}.split=all takes them too)"
    return [line, *run.data.inventory.left_out]
