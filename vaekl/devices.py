"""Where a run computes."""

import torch

from vaekl.errors import VaeklError


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` takes a GPU if there is one.

    Raises:
        VaeklError: names the devices that are there.
    """
    present = ["cpu"]
    if torch.cuda.is_available():
        present += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name == "auto":
        return torch.device("cuda" if "cuda" in present else "cpu")
    if name not in present:
        raise VaeklError(f"trainer.device={name} is not on this machine: choose auto or {', '.join(present)}.")
    return torch.device(name)


def prepare(device: torch.device) -> None:
    """Settings of the process that cost nothing in accuracy."""
    if device.type == "cpu":
        # a saturated net makes denormals, and each costs a hundred cycles
        torch.set_flush_denormal(True)
