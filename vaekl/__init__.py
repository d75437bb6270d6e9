"""vaekl: train VAEs, and know what the weight of the KL term means.

These are the names that configs, run folders and users' own code use. `__init__.pyi` lists them, each with the module
that defines it. A name is imported when it is first used, so that `import vaekl` takes no time and no torch.
"""

from typing import Any

import lazy_loader

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name != "__version__":
        return _public(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vaekl")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0+unknown"
