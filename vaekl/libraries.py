"""Libraries that are imported only when needed, with a sentence where the import fails."""

import importlib
from types import ModuleType

from vaekl.errors import VaeklError


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
