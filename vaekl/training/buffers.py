"""The buffers of a module where a CUDA graph reads them."""

import torch
from torch import Tensor, nn


class Buffers:
    """Remembers where a module's buffers are, since a graph that was recorded there reads them there again.

    Args:
        module: with all its parts.
    """

    def __init__(self, module: nn.Module) -> None:
        self._places: list[tuple[nn.Module, str, Tensor]] = [
            (owner, name, buffer) for owner in module.modules() for name, buffer in owner.named_buffers(recurse=False)
        ]

    @torch.no_grad()
    def put_back(self) -> None:
        """Copy what a step has assigned to buffers to where they were: the next step overwrites the graph's memory."""
        for owner, name, buffer in self._places:
            assigned = owner._buffers[name]
            if assigned is not None and assigned is not buffer:
                buffer.copy_(assigned)
                owner._buffers[name] = buffer
