"""The suggested model in a loop of one's own: three lines of PyTorch."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import vaekl
from vaekl.store.schema import Facts


def torch_lines(config: Mapping[str, Any], facts: Facts) -> list[str]:
    """The lines that make the density and its loss.

    Args:
        config: the resolved config of a run.
        facts: of the same run.
    """
    shape, levels = tuple(facts.data.shape), facts.data.levels
    likelihood = _call("likelihood", config["likelihood"], levels=levels)
    weighting = _call("weighting", config["weighting"], ("likelihood", repr(shape)))
    multiplier = config["control"].get("weight")
    more = f", multiplier={multiplier:g}" if isinstance(multiplier, int | float) else ""
    return [
        f"likelihood = {likelihood}",
        f"weighting = {weighting}  # ln φ is its parameter, if it has one: 10 times the learning rate",
        f"loss = vaekl.elbo(likelihood, weighting, eta, x, mean, log_std{more}).loss  # eta: [B, P, {_axes(shape)}]",
    ]


def _axes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _call(group: str, settings: Mapping[str, Any], positional: tuple[str, ...] = (), **named: Any) -> str:
    """The call that makes an object of a config, without the options that are its defaults."""
    target = str(settings["_target_"])
    made = getattr(vaekl, target.removeprefix("vaekl."), None) if target.startswith("vaekl.") else None
    parameters = signature(made).parameters if made is not None else {}
    own = {key: value for key, value in settings.items() if key not in ("_target_", "check", "latents")}
    own |= {key: value for key, value in named.items() if key in parameters}
    words = [
        f"{key}={value!r}" for key, value in own.items() if key not in parameters or parameters[key].default != value
    ]
    return f"{target}({', '.join([*positional, *words])})"
