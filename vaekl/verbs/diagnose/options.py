"""The keys of `vaekl diagnose`, checked."""

from dataclasses import dataclass
from typing import Any

from vaekl.system.checks import flag, one_of, optional, whole


@dataclass(frozen=True)
class DiagnoseOptions:
    """The keys of `conf/diagnose.yaml`; their meanings stand there."""

    images: int
    k: int
    trial_steps: int
    seed: int
    checkpoint: str | None
    device: str
    json: bool

    @classmethod
    def checked(cls, options: dict[str, Any]) -> "DiagnoseOptions":
        """Refuse what makes no sense, before anything is loaded.

        Raises:
            VaeklError: names the key.
        """
        return cls(
            images=whole(options["images"], "diagnose.images", 2),
            k=whole(options["k"], "diagnose.k", 2),
            trial_steps=whole(options["trial_steps"], "diagnose.trial_steps"),
            seed=whole(options["seed"], "diagnose.seed"),
            checkpoint=optional(one_of, options["checkpoint"], "diagnose.checkpoint", ("last", "best")),
            device=str(options["device"]),
            json=flag(options["json"], "diagnose.json"),
        )
