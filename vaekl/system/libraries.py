"""Libraries that are imported only when needed, with one sentence where that fails."""

import importlib
from pathlib import Path
from types import ModuleType

from vaekl.system.errors import VaeklError, first_line


def torchvision(module: str = "") -> ModuleType:
    """torchvision, or one of its modules.

    Raises:
        VaeklError: if the installed torch and torchvision are not a pair.
    """
    try:
        return importlib.import_module(f"torchvision.{module}" if module else "torchvision")
    except (ImportError, RuntimeError) as error:
        raise VaeklError(
            f"torchvision does not load beside this torch ({str(error).splitlines()[0]}): install the two together "
            "from one index, `pip install --force-reinstall torch torchvision`."
        ) from error


def torchmetrics(module: str) -> ModuleType:
    """A module of torchmetrics, whose import takes seconds.

    Raises:
        VaeklError: if it, or the torchvision that it imports, does not load.
    """
    try:
        return importlib.import_module(f"torchmetrics.{module}")
    except (ImportError, RuntimeError) as error:
        torchvision()
        raise VaeklError(
            f"torchmetrics does not load ({first_line(error)}): install it again, `pip install --force-reinstall "
            "torchmetrics`."
        ) from error


def torch_fidelity(module: str) -> ModuleType:
    """A module of torch-fidelity, which is in the extra `vaekl[fid]`.

    Raises:
        VaeklError: if it, or the torchvision that it imports, does not load.
    """
    try:
        return importlib.import_module(f"torch_fidelity.{module}")
    except (ImportError, RuntimeError) as error:
        torchvision()
        raise VaeklError(
            f"eval.features=inception needs torch-fidelity, which does not load ({first_line(error)}): install it, "
            '`pip install "vaekl[fid]"`, or set eval.features=classifier, which needs neither it nor a download.'
        ) from error


def formats(module: str, kind: str, file: Path) -> ModuleType:
    """A module of h5py or safetensors, which are in the extra `vaekl[formats]`.

    Args:
        module: its name.
        kind: what the file is, such as "an HDF5 file".
        file: which needs it.

    Raises:
        VaeklError: if it does not load.
    """
    return _of_extra(module, "formats", f"{file} is {kind}, which needs {module}, and that does not load")


def pyarrow(module: str) -> ModuleType:
    """A module of pyarrow, which is in the extra `vaekl[table]`.

    Raises:
        VaeklError: if it does not load.
    """
    return _of_extra(module, "table", "dataset=table needs pyarrow, which does not load")


def tracker(name: str) -> ModuleType:
    """A library of a tracker, which is in the extra of its name.

    Raises:
        VaeklError: if it does not load.
    """
    return _of_extra(name, name, f"tracker={name} needs {name}, which does not load")


def onnx_libraries() -> ModuleType:
    """onnxruntime, with what PyTorch's own converter needs, all of which are in the extra `vaekl[onnx]`.

    Raises:
        VaeklError: if one of them does not load.
    """
    for name in ("onnx", "onnxscript"):
        _of_extra(name, "onnx", f"--to onnx needs {name}, which does not load")
    return _of_extra("onnxruntime", "onnx", "--to onnx needs onnxruntime, which does not load")


def _of_extra(module: str, extra: str, need: str) -> ModuleType:
    """A module that comes with `vaekl[extra]`; `need` begins the sentence that is said where it does not load."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise VaeklError(f'{need} ({first_line(error)}): install it, `pip install "vaekl[{extra}]"`.') from error
