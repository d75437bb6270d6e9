"""A tape that does what a CUDA graph does: the same kernels on the same places, and no Python.

On it are the operators below autograd with their arguments. Played, it computes them from what the places hold then
and writes the results where they were: numbers of Python stay what they were at the recording.
"""

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only


class Tape(TorchDispatchMode):
    """Notes every operator."""

    def __init__(self):
        super().__init__()
        self.calls, self.before = [], {}

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        values = {**dict(zip((one.name for one in operator._schema.arguments), args, strict=False)), **(kwargs or {})}
        for one in operator._schema.arguments:
            if one.alias_info is not None and one.alias_info.is_write:
                for tensor in tree_leaves(values.get(one.name)):
                    self.before.setdefault(id(tensor), (tensor, tensor.clone()))
        result = operator(*args, **(kwargs or {}))
        # a graph knows memory and no tensor, which may get other memory later
        self.calls.append((operator, *tree_map_only(Tensor, Tensor.detach, (args, kwargs or {}, result))))
        return result

    @torch.no_grad()
    def undo(self):
        """What is recorded for a CUDA graph is not done by that."""
        for tensor, before in reversed(self.before.values()):
            tensor.copy_(before)

    @torch.no_grad()
    def play(self):
        for operator, args, kwargs, result in self.calls:
            again = operator(*args, **kwargs)
            if any(value.alias_info is not None for value in operator._schema.returns):
                continue  # a view, or what was changed in place
            for place, value in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(place, Tensor):
                    place.copy_(value)


class Taped:
    """In the place of `recording.Stream`."""

    def __init__(self, device):
        self.taken = nullcontext

    def recorded(self, step, noises):
        tape, states = Tape(), [noise.get_state() for noise in noises]
        with tape:
            step()
        tape.undo()
        for noise, state in zip(noises, states, strict=True):
            noise.set_state(state)
        return tape.play
