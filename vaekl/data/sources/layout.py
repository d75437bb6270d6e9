"""The axes of an array: which counts the examples, which the channels, and which are the sides of each."""

from vaekl.data.ondisk import Array, OnDisk
from vaekl.system.errors import VaeklError

#: which axis of each layout is N, C and each side: ND vectors, NCT signals, NCHW images, NCDHW volumes; one without C,
#: but for vectors, gets a last axis of length 1 for it
LAYOUTS = {
    "ND": (0, 1),
    "NCT": (0, 1, 2), "NTC": (0, 2, 1), "NT": (0, 2, 1),
    "NHW": (0, 3, 1, 2), "NCHW": (0, 1, 2, 3), "NHWC": (0, 3, 1, 2), "HWN": (2, 3, 0, 1), "HWCN": (3, 2, 0, 1),
    "NDHW": (0, 4, 1, 2, 3), "NCDHW": (0, 1, 2, 3, 4), "NDHWC": (0, 4, 1, 2, 3),
}  # fmt: skip
#: those that are taken by the number of axes and where an axis of length 1 or 3 lies, unless the user names another
_GUESSED = ("ND", "NHW", "NCHW", "NHWC", "HWN", "HWCN", "NCDHW", "NDHWC")
_CHANNELS = (1, 3)


def channels_first(
    array: Array | OnDisk, layout: str | None, title: str, labels: int | None = None, columns_first: bool = False
) -> Array | OnDisk:
    """The examples as [N, D], [N, C, T], [N, C, H, W] or [N, C, D, H, W].

    Args:
        array: of two to five axes.
        layout: a key of `LAYOUTS`; None finds it by how many axes there are and where one of length 1 or 3 lies.
        title: how a sentence names the array.
        labels: how many labels there are, which says which axis is N.
        columns_first: whether it comes from a program that puts N last.

    Raises:
        VaeklError: the layout is not plain, or does not fit.
    """
    if layout is not None:
        fitting = [layout] if len(layout) == array.ndim else []
    elif array.ndim == 3 and 1 in array.shape[1:]:  # an image with a side of 1 is a signal
        fitting = ["NCT" if array.shape[1] == 1 else "NTC"]
    else:
        fitting = [name for name in _GUESSED if len(name) == array.ndim]
        fitting = [name for name in fitting if "C" not in name or array.shape[name.index("C")] in _CHANNELS]
        fitting = [name for name in fitting if array.shape[name.index("N")] == labels] or fitting
        rowwise = [name for name in fitting if name.startswith("N")]
        if not columns_first and (rowwise or labels is None):
            fitting = rowwise
    if len(fitting) != 1:
        raise VaeklError(f"{title} has the shape {array.shape}, {_cure(array.ndim, layout, fitting)}.")
    axes = LAYOUTS[fitting[0]]
    if isinstance(array, OnDisk):
        if axes[0] == 0:
            return array.moved(*axes)
        array = array.read(slice(None))
    return (array if array.ndim == len(axes) else array[..., None]).transpose(axes)


def _cure(axes: int, layout: str | None, fitting: list[str]) -> str:
    if layout is not None:
        return (
            f"and dataset.layout={layout} has {len(layout)} axes, not {axes}: leave it away, or set one of "
            f"{axes} axes" + (f" ({', '.join(_of(axes))})" if _of(axes) else "")
        )
    if not _of(axes):
        return (
            "which is none of vectors, signals, images or volumes: reshape it to two to five axes, the first of them N"
        )
    return f"whose axes are not plain: set dataset.layout to one of {', '.join(fitting or _of(axes))}"


def _of(axes: int) -> list[str]:
    """The layouts of so many axes."""
    return [name for name in LAYOUTS if len(name) == axes]
