"""The settings by which runs are compared, in TensorBoard's HParams tab."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from vaekl.system.checks import is_number
from vaekl.system.terminal import printable

#: often swept numbers that only some options have, or that may be null: columns for runs without them too
_ALWAYS = (
    "weighting.beta", "weighting.dispersion", "likelihood.max_logit", "schedule.fraction", "model.latents", "optim.lr",
    "trainer.epochs", "trainer.steps", "trainer.ema", "trainer.clip_norm", "trainer.patience",
)  # fmt: skip
_NEVER = ("choices", "data_dir", "output_dir", "run_name", "dataset.name", "dataset.root", "tracker")


def compared(content: Mapping[str, Any]) -> dict[str, str | float | None]:
    """The name of what stands in each group, and every key that can be swept; None for what this run lacks.

    Args:
        content: a run's whole config.
    """
    settings: dict[str, str | float | None] = {
        str(group): str(name or "none") for group, name in content["choices"].items()
    }
    settings |= dict.fromkeys(_ALWAYS)
    for key, value in _leaves(content, ""):
        if not key.startswith(_NEVER):
            # TensorBoard would show a seed's number as 0.0000
            kept = value is None or isinstance(value, str) or (is_number(value) and not key.endswith("seed"))
            settings[key] = value if kept else json.dumps(value, ensure_ascii=False)
    return {printable(key): printable(value) if isinstance(value, str) else value for key, value in settings.items()}


def _leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """The dotted keys of a config with their values, without what names classes."""
    if not isinstance(node, Mapping):
        yield key, node
        return
    for name, child in node.items():
        if not str(name).startswith("_"):
            yield from _leaves(child, f"{key}.{name}" if key else str(name))
