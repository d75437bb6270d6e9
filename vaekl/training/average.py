"""The moving average of a model's weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vaekl.model.vae import VAE


class MovingAverage(AveragedModel):
    """PyTorch's average, updated without a question to the device how often that was done before.

    Args:
        model: whose weights are averaged; buffers are copied.
        decay: the weight of the former average in the next one.
    """

    def __init__(self, model: VAE, decay: float) -> None:
        super().__init__(model)
        self._decay, self._has_begun = decay, False

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the weights after a step in."""
        own: list[Tensor] = list(self.module.parameters())
        new: list[Tensor] = list(model.parameters())
        if self._has_begun:
            torch._foreach_lerp_(own, new, 1 - self._decay)
        else:
            torch._foreach_copy_(own, new)
        for buffer, value in zip(self.module.buffers(), model.buffers(), strict=True):
            buffer.copy_(value)
        self.n_averaged += 1
        self._has_begun = True

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As PyTorch has it; the next update averages if the state has seen one."""
        missing = super().load_state_dict(*args, **kwargs)
        self._has_begun = bool(self.n_averaged > 0)
        return missing
