"""Whether the images that are there now are those that a run began with."""

import os
from pathlib import Path

from vaekl.data import Data
from vaekl.run.config import Settings
from vaekl.store import RunFolder
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import command, setting


def check_place(dataset: Settings, path: Path) -> None:
    """Refuse to go on with a run whose images were moved, since resume takes no other place.

    Args:
        dataset: the settings of the run's data.
        path: the run folder.

    Raises:
        VaeklError: names what is not there, and what to do.
    """
    for key in ("path", "test_path"):
        place = dataset.get(key)
        if isinstance(place, str) and not os.path.exists(place):
            run = setting("init", path.absolute())
            raise VaeklError(
                f"dataset.{key} of {path} is not there any more ({place}), and resume takes no other: put it back, or "
                f"a link to it in its place, or begin another run by `vaekl train ... dataset.{key}=PATH "
                f"{command(run)}` from the weights of this one."
            )


def check(folder: RunFolder, data: Data, cure: str) -> None:
    """Refuse images that are not the run's.

    Args:
        folder: the run's.
        data: as they are now.
        cure: what to do, beside putting them back.

    Raises:
        VaeklError: says of which splits they are others.
    """
    then = folder.facts().data
    splits = [split for split in ("train", "valid", "test") if getattr(then.digests, split) != data.digests.get(split)]
    if not splits:
        return
    raise VaeklError(
        f"the {then.example}s are not those that {folder.path} began with (others, more or fewer in "
        f"{' and '.join(splits)}): put them back, or {cure}."
    )
