"""How long a run is, and how often something happens in it."""

from dataclasses import dataclass
from typing import Literal

Compile = bool | Literal["graph"] | None


@dataclass(frozen=True)
class Plan:
    """How long and how often, in steps.

    Args:
        total_steps: the run's length.
        batch_size: images per step.
        log_every: training figures are averaged over this many steps, and only then fetched from the device.
        valid_every: validation, images and a checkpoint.
        clip_norm: largest gradient norm, or None.
        ema: decay of an exponential moving average of the weights, which is then what is judged; or None.
        compile: whether to compile the step; None compiles where the first steps' times say that it saves time; graph
            records it, as a CUDA graph or a tape.
        patience: stop after this many validations without a better ELBO, and test the best; or None. Validations
            count only from when the KL has its full weight.
        save_minutes: a checkpoint also when so many minutes have passed since the last one; or None.
    """

    total_steps: int
    batch_size: int
    log_every: int = 50
    valid_every: int = 500
    clip_norm: float | None = None
    ema: float | None = None
    compile: Compile = False
    patience: int | None = None
    save_minutes: float | None = None

    def since_log(self, step: int) -> int:
        """How many steps have followed the last log, or led to the one that is due after this step."""
        return (step - 1) % self.log_every + 1

    def logs_after(self, step: int) -> bool:
        """Whether a log follows the step of this number, counted from 1."""
        return step % self.log_every == 0 or step == self.total_steps
