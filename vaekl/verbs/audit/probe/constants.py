"""The constant that a loss holds beside its terms, and the one that it would have to hold."""

from math import isclose, log

from vaekl.verbs.audit.loss import Loss
from vaekl.verbs.audit.probe.reading import Reading
from vaekl.verbs.audit.probe.statement import Statement
from vaekl.verbs.audit.text import number


def constant(reading: Reading, loss: Loss | None) -> list[Statement]:
    """What stands beside the terms of one image, in nats: nothing where that is so, or cannot be told."""
    if reading.constant is None or not reading.kl.weight or reading.latents is None:
        return []
    is_open = any(slot.assumed or slot.role == "class_scores" for slot in reading.call.caller.slots)
    if is_open and reading.constant:
        return []  # of what nobody gave it cannot be told whether it moves
    sizes = reading.call.point.sizes
    if reading.reconstruction.data_part == "lgamma":
        return [Statement("constant", "ln x! is in it")]
    if reading.reconstruction.data_part == "stirling":
        return [Statement("constant", "ln x! is in it, as Stirling's formula has it")]
    if reading.constant == 0:
        return [Statement("constant", "nothing stands beside the terms")]
    per_image = reading.constant / reading.kl.weight
    if isclose(per_image, 0.5 * sizes.codes, rel_tol=1e-6):
        return [Statement("constant", "the KL lacks its −½ of each latent, which moves nothing")]
    if holds_log_norm_const(reading, loss):
        return [Statement("constant", "ln C is in it: the loss is the negative ELBO itself, and lacks nothing")]
    text = f"{number(per_image)} nats of an image on these sizes stand beside the terms, and move nothing"
    return [Statement("constant", text)]


def holds_log_norm_const(reading: Reading, loss: Loss | None) -> bool:
    """Whether what stands beside the terms is the constant of the density that the loss implies."""
    if loss is None or loss.density.scale_power is None or not reading.constant:
        return False
    values = reading.call.point.sizes.values
    right = -values * (loss.density.unit_log_norm_const - loss.density.scale_power * log(loss.phi))
    return isclose(reading.constant / reading.kl.weight, right, rel_tol=1e-5, abs_tol=1e-6)
