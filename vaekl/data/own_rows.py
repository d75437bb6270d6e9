"""What a user hands over in a program, as an array of NumPy: arrays, tensors, and tables with named columns."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from vaekl.data.coding import coded
from vaekl.data.ondisk import Array
from vaekl.data.spec import DataSpec
from vaekl.system.errors import InputError, VaeklError, first_line
from vaekl.system.libraries import pyarrow


def rows_of(x: Any, stored: DataSpec, title: str) -> Array:
    """An array of at least one axis, and no copy of it where it is one already.

    Args:
        x: an array, a tensor, nested lists; for a run on a table also a DataFrame, a table of pyarrow, or a dict of
            columns, whose columns are coded as the run's.
        stored: the run's data.
        title: how a sentence names x.

    Raises:
        InputError: x is none of them.
    """
    if stored.codes and (isinstance(x, Mapping) or hasattr(x, "columns") or hasattr(x, "__arrow_c_stream__")):
        return _coded(x, stored, title)
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu()
        x = (x.float() if x.dtype == torch.bfloat16 else x).numpy()
    try:
        array: Array = np.asanyarray(x)
    except ValueError as error:
        raise InputError(f"{title} is no array ({first_line(error)}): give one of N examples of one shape.") from error
    if array.ndim < 1:
        raise InputError(f"{title} is no array of examples: give one whose first axis counts them.")
    return array


def _coded(x: Any, stored: DataSpec, title: str) -> Array:
    from vaekl.data.sources.table_files import columns_of_arrow

    arrow: Any = pyarrow("pyarrow")
    try:
        table = arrow.table(dict(x) if isinstance(x, Mapping) else x)
        columns = columns_of_arrow(table, title)
    except (arrow.ArrowException, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{title} cannot be read as a table ({first_line(error)}): give a DataFrame.") from error
    except VaeklError as error:
        raise InputError(str(error)) from error
    return coded(columns, stored.codes, title)
