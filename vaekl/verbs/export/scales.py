"""What goes into the exported networks and what comes out, in words."""

from vaekl.data import DataSpec
from vaekl.run.trained import TrainedVAE


def stored_levels(stored: DataSpec) -> int | None:
    """K where the stored values are the levels 0 to K − 1, which a program has as shades k/(K − 1); else None."""
    return stored.levels if stored.support in ("levels", "binary") else None


def scale_of_x(run: TrainedVAE) -> str:
    """What the encoder takes, and what it does to it first."""
    spec, stored = run.model.spec, run.stored
    if run.transform.without_noise() is None:
        return f"0 or 1, already drawn; the run has its values {spec.protocol}"
    levels = stored_levels(stored)
    if stored.columns:
        values = "coded rows of the columns " + ", ".join(stored.columns)
        values += ", NaN for a missing value" if stored.has_missing else ""
    elif levels is not None:
        values = f"shades k/{levels - 1} in [0, 1] of the levels 0 to {levels - 1}"
    else:
        values = {"counts": "counts", "unit_interval": "shades in [0, 1]"}.get(stored.support, "values as they are")
    noise = ", U at its mean 1/2" if spec.dequantized else ""
    inside = "" if spec.protocol == "as stored" else f"; the encoder does the rest: {spec.protocol}{noise}"
    return values + inside


def scale_of_mean(run: TrainedVAE) -> str:
    """On which scale the decoder's mean is."""
    spec = run.model.spec
    if spec.dequantized and spec.levels:
        k = spec.levels
        return f"(k + ½)/{k} of the levels k, as the likelihood has them: shades k/{k - 1} are ({k} · mean − ½)/{k - 1}"
    if spec.is_bounded:
        return "shades in [0, 1]"
    return ("values" if spec.support != "counts" else "counts") + f" as the data have them{spec.at_mean_total}"
