"""What the values of arrays stand for: grey levels, counts or numbers, guessed with a reason or as the user says."""

from collections.abc import Mapping
from typing import Literal, get_args

from vaekl.data.inventory import Inventory
from vaekl.data.sources.values import LEAST_WHITE, MOST_LEVELS, Values, check_levels, levels_of
from vaekl.data.spec import Shape, Support
from vaekl.system.checks import one_of, optional, whole
from vaekl.system.errors import VaeklError

#: what `dataset.kind` may be
Kind = Literal["auto", "image", "levels", "counts", "real"]
#: the largest of values in [0, 1]: shades reach further, smaller numbers are quantities in a unit of their own
_DARKEST = 0.05
#: the largest whole number up to which float32 holds every one
_MOST = 2**24


def support_of(
    kind: str,
    values: Mapping[str, Values],
    titles: Mapping[str, str],
    shape: Shape,
    levels: int | None,
    inventory: Inventory,
) -> tuple[Support, int | None]:
    """The support of the values, and how many levels they have if they have any.

    Args:
        kind: image for grey levels of 8 or 16 bits, or values in [0, 1]; levels for the whole numbers from 0 to the
            largest; counts for whole numbers without an upper end; real for numbers of any kind; auto to be found.
        values: of each split.
        titles: how a sentence names it.
        shape: S, by which auto tells images from other data.
        levels: how many there are, where that is known or the user says so.
        inventory: where it is written what auto took, and why.

    Raises:
        VaeklError: the values are not of that kind.
    """
    one_of(kind, "dataset.kind", get_args(Kind))
    optional(whole, levels, "dataset.levels", 2, MOST_LEVELS)
    if levels is not None and kind in ("counts", "real"):
        raise VaeklError(f"dataset.levels={levels} is of grey levels, not of kind={kind}: leave one of them away.")
    low, high = min(part.low for part in values.values()), max(part.high for part in values.values())
    are_whole = all(part.whole for part in values.values())
    if kind == "real":
        return "real", None
    if kind == "counts":
        _refuse_unless(
            are_whole and low >= 0 and high < _MOST, kind, f"whole numbers from 0 to {_MOST - 1:,}", values, titles
        )
        return "counts", None
    if kind == "levels" and levels is None:
        most = MOST_LEVELS - 1
        _refuse_unless(
            are_whole and low >= 0 and high <= most, kind, f"whole numbers from 0 to {most:,}", values, titles
        )
        levels = max(2, int(high) + 1)
        inventory.remarks.append(f"kind=levels: the values are 0 to {high:,.0f}, so {levels:,} levels")
    if levels is not None:
        check_levels(values, titles, levels)
        return ("binary" if levels == 2 else "levels"), levels
    if kind == "image":
        if not any(part.kind == "f" for part in values.values()):
            return _grey(values, titles, inventory)
        _refuse_unless(low >= 0 and high <= 1, kind, "floats from 0 to 1, or whole numbers", values, titles)
        return "unit_interval", None
    return _guessed(values, titles, shape, (low, high), inventory)


def _guessed(
    values: Mapping[str, Values],
    titles: Mapping[str, str],
    shape: Shape,
    ends: tuple[float, float],
    inventory: Inventory,
) -> tuple[Support, int | None]:
    """What `auto` takes."""
    low, high = ends
    are_floats = any(part.kind == "f" for part in values.values())
    numbers = f"from {low:.6g} to {high:.6g}" if are_floats else f"whole numbers from {low:,.0f} to {high:,.0f}"
    support: Support
    levels = None
    if all(part.binary for part in values.values()):
        support, levels, why = "binary", 2, "binary, since all values are 0 or 1"
    elif are_floats or (len(shape) >= 3 and (low < 0 or high >= LEAST_WHITE)):
        support, levels = _grey(values, titles, inventory)
        why = {
            "levels": f"{levels:,} grey levels, since they are whole numbers" if levels else "",
            "unit_interval": f"shades in [0, 1], since they lie {numbers}; dataset.kind=real takes them as numbers",
            "real": f"real numbers, since they lie {numbers}",
        }[support]
    elif low < 0:
        support, why = "real", f"real numbers, since they are {numbers}"
    else:
        no_picture = "no images" if len(shape) < 3 else "too dark for pictures of 8 bits"
        as_levels = f"levels as {int(high) + 1} levels, " if high < MOST_LEVELS else ""
        support = "counts"
        why = (
            f"counts, since they are {numbers} and {no_picture}; dataset.kind=real takes them as numbers, {as_levels}"
            "image as grey levels of 8 bits"
        )
    inventory.remarks.append(f"kind=auto: {why}")
    return support, levels


def _grey(values: Mapping[str, Values], titles: Mapping[str, str], inventory: Inventory) -> tuple[Support, int | None]:
    """The levels of whole numbers; floats are values in [0, 1] if all lie there, else real."""
    levels = levels_of(values, titles, inventory)
    if levels is not None:
        return "levels", levels
    low, high = min(part.low for part in values.values()), max(part.high for part in values.values())
    return ("unit_interval" if low >= 0 and _DARKEST <= high <= 1 else "real"), None


def _refuse_unless(fits: bool, kind: str, needs: str, values: Mapping[str, Values], titles: Mapping[str, str]) -> None:
    if not fits:
        part = max(values, key=lambda split: (not values[split].whole, -values[split].low, values[split].high))
        own = values[part]
        what = f"values from {own.low:g} to {own.high:g}" + ("" if own.whole else ", not all of them whole")
        raise VaeklError(f"dataset.kind={kind} takes {needs}, but {titles[part]} holds {what}: set another kind.")
