"""The weights of a run as safetensors: what `vaekl export` writes, and `vaekl.load` reads as it reads a checkpoint."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vaekl.store.read import UnreadableError, opened
from vaekl.system.errors import VaeklError, first_line
from vaekl.system.libraries import formats

EXPORTED = "model.safetensors"
#: how the names of exported networks end, by the word of `vaekl export --to`
NETWORKS = {"onnx": ".onnx", "torch-export": ".pt2"}
#: bytes that are read
_MOST = 1 << 34
_KIND = "a safetensors file"
_CURE = "export the run again"


def save(file: Path, weights: Mapping[str, Tensor], step: int) -> None:
    """Write weights and the step at which they were written.

    Raises:
        VaeklError: safetensors is not installed.
        OSError: the file cannot be written.
    """
    library = formats("safetensors.torch", _KIND, file)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    file.write_bytes(library.save(tensors, {"format": "pt", "step": str(step)}))


def load(file: Path) -> dict[str, Any]:
    """What a checkpoint holds of a model: its weights, no moving average, and the step.

    Raises:
        VaeklError: it cannot be read, or is no such file.
    """
    library = formats("safetensors.torch", _KIND, file)
    try:
        with opened(file, _MOST, _CURE) as source:
            raw = source.read()
        length = int.from_bytes(raw[:8], "little")
        step = int(json.loads(raw[8 : 8 + length])["__metadata__"]["step"])
        return {"model": library.load(raw), "average": None, "step": step}
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:  # what is no such file can fail in any way while it is read
        raise VaeklError(f"{file} cannot be read as safetensors ({first_line(error)}): {_CURE}.") from error
