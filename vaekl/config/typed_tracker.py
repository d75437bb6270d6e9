"""The tracker that is typed after `vaekl resume`, where nothing is taken from the folder, which may be a stranger's."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vaekl.system.errors import VaeklError
from vaekl.system.terminal import printable


def typed_tracker(words: Sequence[str], run: Path) -> dict[str, Any] | None:
    """The settings that the words make, empty for tracker=none; None without words.

    Args:
        words: tracker=NAME and tracker.KEY=VALUE.
        run: the folder of the run that is resumed.

    Raises:
        VaeklError: a mistake in the words, or MLflow without a store that the user has named.
    """
    if not words:
        return None
    from vaekl.config.job import single  # Hydra takes half a second

    tracker: dict[str, Any] = single(words).content.get("tracker", {})
    if tracker.get("_target_") == "vaekl.MlflowTracker" and not os.environ.get("MLFLOW_TRACKING_URI"):
        database = printable(str(run.absolute().parent / "mlflow.db"))
        raise VaeklError(
            "a resume writes to no MLflow that you have not named, and a database beside the folder may be a "
            f"stranger's: set MLFLOW_TRACKING_URI, to sqlite:///{database} if that is yours."
        )
    return tracker
