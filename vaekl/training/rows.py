"""The parameters of several runs as the rows of a matrix, and what the optimiser remembers of them as rows of more."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

#: the numbers of a row are a multiple of this, so that no vector of a kernel holds parts of two runs
_WIDEST = 16


def _of_adam(group: Mapping[str, Any]) -> list[str]:
    return ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])]


#: the optimisers whose step is one of each number by itself, and what they remember of it, which is 0 at first
MEMORY: dict[type, Callable[[Mapping[str, Any]], list[str]]] = {
    torch.optim.Adam: _of_adam,
    torch.optim.AdamW: _of_adam,
    torch.optim.SGD: lambda group: ["momentum_buffer"] if group["momentum"] else [],
}


class Rows:
    """The parameters of one group of the runs' optimisers.

    Args:
        modules: the runs' objectives.
        optimizers: of the runs.
        index: of the group.

    Attributes:
        values: a run's parameters in each row, [N, T].
        gradient: of each, in the same form.
        begun: how many steps the optimiser had taken of each run when it was put in its place.
    """

    def __init__(self, modules: Sequence[nn.Module], optimizers: Sequence[torch.optim.Optimizer], index: int) -> None:
        self.index, group = index, optimizers[0].param_groups[index]
        own = {id(parameter) for parameter in group["params"]}
        parameters = {name: value for name, value in modules[0].named_parameters() if id(value) in own}
        self._shapes = {name: value.shape for name, value in parameters.items()}
        self._sizes = [prod(shape) for shape in self._shapes.values()]
        padding = -sum(self._sizes) % _WIDEST
        device = group["params"][0].device
        self.values = torch.zeros(len(modules), sum(self._sizes) + padding, device=device)
        self._padding = [padding] if padding else []
        # one run may have momentum, and another none
        self._keys = [MEMORY[type(own)](own.param_groups[index]) for own in optimizers]
        self._memory = {key: torch.zeros_like(self.values) for keys in self._keys for key in keys}
        self._counts = type(optimizers[0]) is not torch.optim.SGD
        # one number for each optimiser's step, where PyTorch would have made it
        self._counter_device = device if group.get("fused") or group.get("capturable") else torch.device("cpu")
        self._own_counts = torch.zeros(len(modules), len(parameters), device=self._counter_device)
        self.gradient = torch.zeros_like(self.values)
        self.begun = [0.0] * len(modules)

    def parameters(self) -> dict[str, Tensor]:
        """Those of all runs under their names, [N, *shape]."""
        return self._parts(self.values)

    def gradients(self) -> dict[str, Tensor]:
        """Their gradients."""
        return self._parts(self.gradient)

    def set_gradients(self, gradients: Iterator[Tensor]) -> None:
        """Of each parameter, in their order, [N, *shape]: they are copied to where they always are."""
        for place in self.gradients().values():
            place.copy_(next(gradients))

    def _parts(self, values: Tensor) -> dict[str, Tensor]:
        parts = values.split([*self._sizes, *self._padding], 1)
        return {
            name: part.unflatten(1, shape) if shape else part.squeeze(1)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=False)
        }

    def take_in(self, place: int, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put a run's numbers into its row, and views of the row into the run."""
        own, values = dict(module.named_parameters()), self._of(self.values, place)
        memory = {key: self._of(self._memory[key], place) for key in self._keys[place]}
        for number, (name, value) in enumerate(values.items()):
            parameter = own[name]
            parameter.grad = None
            value.copy_(parameter.detach())
            parameter.data = value
            before = optimizer.state.get(parameter, {})
            self.begun[place] = float(before.get("step", 0.0))
            views = {key: kept[name] for key, kept in memory.items()}
            for key, view in views.items():
                kept = before.get(key)
                view.zero_() if kept is None else view.copy_(kept)
            if views:
                if self._counts:
                    self._own_counts[place, number] = self.begun[place]
                    views["step"] = self._own_counts[place, number]
                optimizer.state[parameter] = views

    def _of(self, values: Tensor, place: int) -> dict[str, Tensor]:
        return {name: part[place] for name, part in self._parts(values).items()}

    def counted(self) -> None:
        """A step was taken: every run remembers it."""
        if self._counts:
            self._own_counts += 1

    def part(self, places: slice, taken: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The rows of some runs as one parameter, and what is remembered of it.

        Args:
            places: of runs that have taken the same number of steps, with equal settings.
            taken: how many were taken since all were put in their places.
        """
        memory = {key: self._memory[key][places] for key in self._keys[places.start]}
        if self._counts:
            memory["step"] = torch.tensor(self.begun[places.start] + taken, device=self._counter_device)
        return self.values[places], memory
