"""The axes of an array of images: which is N, C, H and W."""

from vaekl.data.ondisk import Array, OnDisk
from vaekl.system.errors import VaeklError

#: which axis of each layout is N, C, H and W; one without C gets a last axis of length 1 for it
TO_NCHW = {
    "NHW": (0, 3, 1, 2), "NCHW": (0, 1, 2, 3), "NHWC": (0, 3, 1, 2), "HWN": (2, 3, 0, 1), "HWCN": (3, 2, 0, 1),
}  # fmt: skip
_CHANNELS = (1, 3)


def to_nchw(
    array: Array | OnDisk, layout: str | None, title: str, labels: int | None = None, columns_first: bool = False
) -> Array | OnDisk:
    """The images as [N, C, H, W].

    Args:
        array: of three or four axes.
        layout: a key of `TO_NCHW`; None finds it by where an axis of length 1 or 3 lies.
        title: how a sentence names the array.
        labels: how many labels there are, which says which axis is N.
        columns_first: whether it comes from a program that puts N last.

    Raises:
        VaeklError: the layout is not plain, or does not fit.
    """
    fitting = [name for name in TO_NCHW if len(name) == array.ndim]
    if layout is not None:
        fitting = [layout] if layout in fitting else []
    elif fitting:
        fitting = [name for name in fitting if "C" not in name or array.shape[name.index("C")] in _CHANNELS]
        fitting = [name for name in fitting if array.shape[name.index("N")] == labels] or fitting
        rowwise = [name for name in fitting if name.startswith("N")]
        if not columns_first and (rowwise or labels is None):
            fitting = rowwise
    if len(fitting) != 1:
        if array.ndim not in (3, 4):
            cure = "store images as NHWC, NCHW or NHW, with numpy.reshape where they are flat"
        elif layout is not None:
            cure = f"dataset.layout={layout} has {len(layout)} axes: leave it away, or store the images so"
        else:
            names = fitting or [name for name in TO_NCHW if len(name) == array.ndim]
            cure = f"set dataset.layout to {', '.join(names[:-1])} or {names[-1]}"
        raise VaeklError(f"{title} has the shape {array.shape}, whose axes are not those of images: {cure}.")
    axes = TO_NCHW[fitting[0]]
    if isinstance(array, OnDisk):
        if axes[0] == 0:
            return array.moved(*axes)
        array = array.read(slice(None))
    return (array if array.ndim == 4 else array[..., None]).transpose(axes)
