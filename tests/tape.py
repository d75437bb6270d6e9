"""A tape in the place of a CUDA graph: it does what one does, the same kernels on the same places, and no Python."""

from contextlib import nullcontext

import torch

from vaekl.training.tape import NotRecordableError, Tape, tensors_in


class Noted(Tape):
    """Draws random numbers too, and knows what was there before."""

    refused = (torch.Tag.data_dependent_output,)

    def __init__(self):
        super().__init__()
        self.before = {}

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        values = {**dict(zip((one.name for one in operator._schema.arguments), args, strict=False)), **(kwargs or {})}
        for one in operator._schema.arguments:
            if one.alias_info is not None and one.alias_info.is_write:
                for tensor in tensors_in(values.get(one.name)):
                    self.before.setdefault(id(tensor), (tensor, tensor.clone()))
        try:
            return super().__torch_dispatch__(operator, types, args, kwargs)
        except NotRecordableError as error:
            raise RuntimeError("operation not permitted when stream is capturing") from error

    @torch.no_grad()
    def undo(self):
        """What is recorded for a CUDA graph is not done by that."""
        for tensor, before in reversed(self.before.values()):
            tensor.copy_(before)


class Taped:
    """In the place of `recording.Stream`."""

    def __init__(self, device):
        self.taken = nullcontext

    def recorded(self, step, noises):
        tape, states = Noted(), [noise.get_state() for noise in noises]
        with tape:
            step()
        tape.undo()
        for noise, state in zip(noises, states, strict=True):
            noise.set_state(state)
        return tape.play
