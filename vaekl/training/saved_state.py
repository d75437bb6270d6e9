"""What a run's checkpoint must be like before anything of it is loaded: a stranger may have written it."""

from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from math import inf, isfinite
from struct import unpack_from
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from vaekl.data import seed_of
from vaekl.model.vae import VAE
from vaekl.store.match import MisfitError, Rule, check_matches, check_sound, whole_number
from vaekl.training.plan import Plan

#: how often a run goes back with half the learning rate; by then that is a thousandth
MOST_RESTORES = 10
#: bytes of the state of a GPU's generator: its seed, and how far it is
_GPU_GENERATOR = 16
#: words that the Mersenne Twister makes at once
_TWISTER = 624
_ANYTHING = Rule("anything", lambda _: True)


def check_state(state: Mapping[str, Any], own: Mapping[str, Any], model: VAE, optimizer: Optimizer, plan: Plan) -> None:
    """Refuse a state that this run cannot have saved, whatever is wrong with it.

    Not seen are other finite numbers of the right shape and range.

    Args:
        state: what was read.
        own: the state of the run's trainer as it is now.
        model: the trainer's.
        optimizer: the trainer's.
        plan: the trainer's.

    Raises:
        MisfitError: names the place.
    """
    step = state.get("step")
    form = {
        "step": whole_number(0, plan.total_steps),
        "model": _weights_form(own["model"]),
        "average": _weights_form(own["average"]) if own["average"] is not None else None,
        "optimizer": Rule("a table", lambda value: type(value) is dict),
        "restores": whole_number(0, MOST_RESTORES),
        "compiled": Rule("None, True or False", lambda value: value is None or type(value) is bool)
        if plan.compile is None
        else plan.compile is True,
        "threads": whole_number(1, 2**31),
        "data": Rule("the digest of this run's images", lambda value: type(value) is str and value == own["data"]),
        "device": Rule("cpu or cuda", lambda value: type(value) is str and value in ("cpu", "cuda")),
        "generator": _generator_form(state.get("device"), own),
        "rows": _rows_form(state.get("rows"), own["rows"], step),
        "best_elbo": Rule("a number", lambda value: type(value) is float and value < inf),
        "stale_validations": whole_number(0, plan.total_steps),
    }
    check_matches(dict(state), form)
    assert type(step) is int
    _check_optimizer(state, own, model, optimizer)
    _check_weights(state, model, step)
    since_log = plan.since_log(step) if step else 0
    _check_finite(state["rows"][:since_log], "rows")
    if state["device"] == own["device"]:
        _check_generator(state["generator"], own["device"])


def check_weights(state: Mapping[str, Any], model: VAE, is_averaged: bool) -> None:
    """Refuse weights that are not a trained model's: the part of a state that one needs to judge it.

    Args:
        state: what was read.
        model: as the run's config makes it.
        is_averaged: whether the run keeps a moving average of the weights.

    Raises:
        MisfitError: names the place.
    """
    form = {
        "step": whole_number(0, 2**53),
        "model": _weights_form(model.state_dict()),
        "average": _weights_form(AveragedModel(model).state_dict()) if is_averaged else None,
    }
    check_matches({key: state[key] for key in form if key in state}, form)
    _check_weights(state, model, state["step"])


def check_optimizer_state(state: Mapping[str, Any], model: VAE, optimizer: Optimizer) -> None:
    """Refuse an optimiser's state that is not of this model: the part of a state that further steps need.

    Args:
        state: what was read, whose weights fit.
        model: whose parameters the optimiser has.
        optimizer: as the run's config makes it.

    Raises:
        MisfitError: names the place.
    """
    check_matches({"optimizer": state.get("optimizer")}, {"optimizer": _same_type({})})
    _check_optimizer(state, {"optimizer": optimizer.state_dict(), "model": model.state_dict()}, model, optimizer)


def networks_of(state: Mapping[str, Any], model: VAE, is_averaged: bool) -> dict[str, Any]:
    """The weights of a model's networks in a state that another run saved; nothing else of it is looked at.

    Args:
        state: what was read.
        model: whose networks they must fit.
        is_averaged: whether the other run kept a moving average of the weights, which is then taken.

    Returns:
        encoder.* and decoder.*.

    Raises:
        MisfitError: names the first parameter that differs.
    """
    part, prefix = ("average", "module.") if is_averaged else ("model", "")
    networks = (f"{prefix}encoder.", f"{prefix}decoder.")
    own = {f"{prefix}{name}": value for name, value in _weights_form(model.state_dict()).items()}
    form = {name: value for name, value in own.items() if name.startswith(networks)}
    saved: Any = state.get(part)
    if type(saved) not in (dict, OrderedDict):
        raise MisfitError(part, "holds no weights")
    weights = {name: value for name, value in saved.items() if type(name) is str and name.startswith(networks)}
    check_matches({"step": state.get("step"), part: weights}, {"step": whole_number(0, 2**53), part: form})
    for name, value in weights.items():
        if isinstance(value, Tensor):
            _check_finite(value, f"{part}.{name}")
    return {name.removeprefix(prefix): value for name, value in weights.items()}


def with_versions_of(own: Mapping[str, Any], weights: Mapping[str, Any]) -> Mapping[str, Any]:
    """Weights with the module versions of the model that takes them, not those that their file names."""
    taken = OrderedDict(weights)
    taken._metadata = getattr(own, "_metadata", None)  # type: ignore[attr-defined]
    return taken


def restore_noise(generator: torch.Generator, state: Mapping[str, Any], seed: int) -> None:
    """Give the trainer's generator its state; one of another kind of device does not fit, and has a seed instead."""
    if state["device"] == generator.device.type:
        generator.set_state(state["generator"].cpu())
    else:
        generator.manual_seed(seed_of(f"noise from step {state['step']}", seed))


def _weights_form(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors; of a module's own extra state only the type can be known."""
    return {name: value if isinstance(value, Tensor) else _same_type(value) for name, value in weights.items()}


def _rows_form(rows: Any, own: Tensor, step: Any) -> Tensor:
    """The run's rows; fewer where it had fewer steps in all when it was saved, and has got more since."""
    is_shorter = isinstance(rows, Tensor) and rows.ndim == own.ndim and type(step) is int
    return own[: len(rows)].clone() if is_shorter and 0 < step <= len(rows) < len(own) else own


def _same_type(example: Any) -> Rule:
    kind = type(example)
    return Rule(f"of the type {kind.__name__}", lambda value: type(value) is kind)


def _generator_form(device: Any, own: Mapping[str, Any]) -> Tensor:
    """The generator's state on the kind of device where the checkpoint was written."""
    if device == own["device"]:
        generator: Tensor = own["generator"]
        return generator
    return torch.Generator().get_state() if device == "cpu" else torch.empty(_GPU_GENERATOR, dtype=torch.uint8)


def _check_generator(state: Tensor, device: str) -> None:
    try:
        torch.Generator(device).set_state(state.cpu())
    except RuntimeError as error:
        raise MisfitError("generator", "is no generator's state") from error
    if device == "cpu":
        # PyTorch believes these two, and would read beyond the words
        left, _, following = unpack_from("=iiQ", state.numpy().tobytes(), 8)
        if (left, following) != (1, 0) and not (1 <= left <= _TWISTER and left + following == _TWISTER + 1):
            raise MisfitError("generator", "is no generator's state")


def _check_weights(state: Mapping[str, Any], model: VAE, step: int) -> None:
    average = state["average"]
    for name, _ in model.named_parameters(remove_duplicate=False):
        _check_finite(state["model"][name], f"model.{name}")
        if average is not None:
            _check_finite(average[f"module.{name}"], f"average.module.{name}")
    if average is not None and average["n_averaged"].item() != step:
        raise MisfitError("average.n_averaged", f"is not the step, {step}")


def _check_optimizer(state: Mapping[str, Any], own: Mapping[str, Any], model: VAE, optimizer: Optimizer) -> None:
    """The optimiser's settings, and what it remembers of each parameter.

    PyTorch's own optimisers keep the same form from their first step on. Of somebody's own class that need not be so:
    there only those tensors are compared that exist after one step, and all others must be plain.
    """
    is_torchs = type(optimizer) is getattr(torch.optim, type(optimizer).__name__, None)
    form = _form_after_a_step(optimizer, is_torchs)
    saved = state["optimizer"]
    groups: Any = own["optimizer"]["param_groups"]
    if is_torchs:
        rate = Rule("a number from 0", lambda value: type(value) is float and 0 <= value < inf)
        groups = [group | {"lr": rate} for group in groups]
    else:
        check_sound(saved, "optimizer")
        groups = _parameters_only(groups, saved.get("param_groups"))
    table = Rule("a table", lambda value: type(value) is dict)
    check_matches(saved, {"state": table, "param_groups": groups}, "optimizer")

    memory = saved["state"]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names = {parameter: name for name, parameter in model.named_parameters()}
    expected: dict[int, Any] = {}
    for number, entry in form.items():
        name = names[parameters[number]]
        # a parameter that the loss does not use has neither a memory nor another value than at first
        if number in memory or not torch.equal(state["model"][name].cpu(), own["model"][name].cpu()):
            expected[number] = entry
    if not is_torchs:
        expected = {number: _known_tensors(entry, expected.get(number, {})) for number, entry in memory.items()}
    check_matches(memory, expected, "optimizer.state")

    for number, entry in memory.items():
        for key, value in entry.items() if isinstance(entry, dict) else ():
            if isinstance(value, Tensor):
                _check_finite(value, f"optimizer.state.{number}.{key}")
            if is_torchs and key == "step":
                taken = float(value)
                if not (isfinite(taken) and taken.is_integer() and 0 <= taken <= state["step"]):
                    raise MisfitError(
                        f"optimizer.state.{number}.step", f"is {taken:g}, where the run is at step {state['step']}"
                    )


def _form_after_a_step(optimizer: Optimizer, is_torchs: bool) -> dict[int, Any]:
    """What the optimiser remembers after a step, by the number of the parameter: of zeros on the CPU, with no gradient.

    Its own parameters and memory stay as they are.
    """
    stands_for: dict[int, Any] = {
        id(parameter): nn.Parameter(torch.zeros_like(parameter, device="cpu"), parameter.requires_grad)
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for entry in optimizer.state.values():
        for value in entry.values():
            if isinstance(value, Tensor):
                stands_for[id(value)] = torch.zeros_like(value, device="cpu")
    try:
        copy = deepcopy(optimizer, stands_for)
        for group in copy.param_groups:
            if "capturable" in group:  # on a GPU only
                group["capturable"] = False
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        copy.step()
        memory = copy.state_dict()["state"]
    except Exception:
        if is_torchs:
            raise
        return {}  # somebody's own class may need more than this
    return {
        number: {key: value if isinstance(value, Tensor) else _same_type(value) for key, value in entry.items()}
        for number, entry in memory.items()
    }


def _known_tensors(entry: Any, form: Mapping[str, Any]) -> Any:
    """A form for the memory of somebody's own optimiser: tensors that it has after one step; the rest as it is."""
    if type(entry) is not dict:
        return _ANYTHING
    return {key: form[key] if isinstance(form.get(key), Tensor) else _ANYTHING for key in entry}


def _parameters_only(groups: list[dict[str, Any]], saved: Any) -> list[dict[str, Any]]:
    """A form for the groups of somebody's own optimiser, which may keep its memory there."""
    if type(saved) is not list or len(saved) != len(groups) or any(type(group) is not dict for group in saved):
        return groups
    return [
        dict.fromkeys(there, _ANYTHING) | {"params": group["params"]}
        for group, there in zip(groups, saved, strict=True)
    ]


def _check_finite(tensor: Tensor, place: str) -> None:
    if not tensor.isfinite().all():
        raise MisfitError(place, "holds numbers that are not finite")
