"""Whether the images that are there now are those that a run began with."""

from vaekl.data import Data
from vaekl.store import RunFolder
from vaekl.system.errors import VaeklError


def check(folder: RunFolder, data: Data, cure: str) -> None:
    """Refuse images that are not the run's.

    Args:
        folder: the run's.
        data: as they are now.
        cure: what to do, beside putting them back.

    Raises:
        VaeklError: says of which splits they are others.
    """
    then = folder.facts().data.digests
    splits = [split for split in ("train", "valid", "test") if getattr(then, split) != data.digests.get(split)]
    if not splits:
        return
    raise VaeklError(
        f"the images are not those that {folder.path} began with (others, more or fewer in {' and '.join(splits)}): "
        f"put them back, or {cure}."
    )
