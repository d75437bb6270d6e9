"""What every fork of the tests has loaded before it begins; see `forks`."""

import gc
import os
from importlib import import_module

from hydra.core.plugins import Plugins
from PIL import Image

for _name in (
    "vaekl.cli",
    "vaekl.config.multirun",
    "vaekl.data.sources.embedded",
    "vaekl.run.start",
    "vaekl.verbs.eval",
    "sklearn.datasets",
    "tensorboard.main",
    "torch._dynamo",
    "torch.utils.serialization.config",
    "torchvision.datasets",
):
    import_module(_name)
# as in `conftest`
os.fsync = lambda descriptor: None
Plugins.instance()
Image.preinit()
# otherwise each fork's garbage collector walks over all of that, and so copies it
gc.freeze()
