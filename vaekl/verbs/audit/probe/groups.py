"""What stands beside one group of latents: further ones, each read with the others at the prior, and a classifier."""

from dataclasses import dataclass, replace
from math import isclose

from vaekl.verbs.audit.probe.caller import Caller, Slot
from vaekl.verbs.audit.probe.gradients import Slope, slopes
from vaekl.verbs.audit.probe.kl import Kl, of_one_image, read_kl
from vaekl.verbs.audit.probe.roles import parametrisation
from vaekl.verbs.audit.probe.scaling import Scaling, scaling, step_cost
from vaekl.verbs.audit.probe.search import Call, reach_of


@dataclass(frozen=True)
class Group:
    """A further group.

    Args:
        names: of its two parameters in the loss.
        kl: as it was read.
        latents: how its weight depends on the sizes; None where that is not told.
        slopes: of the loss along its two parameters beside autograd's.
    """

    names: tuple[str, str]
    kl: Kl
    latents: Scaling | None
    slopes: list[Slope]

    @property
    def title(self) -> str:
        """How a sentence names it."""
        return " and ".join(self.names)

    def is_as(self, first: Scaling) -> bool:
        """Whether its KL has the weight of the first group's."""
        own = self.latents
        if own is None or not isclose(own.weight, first.weight, rel_tol=1e-4):
            return False
        return (own.batch, own.codes, own.values) == (first.batch, first.codes, first.values)


def read_groups(call: Call) -> list[Group]:
    """What the loss makes of each pair of arguments that is held where the first group of latents is looked at."""
    means = [slot for slot in call.caller.slots if slot.role == "held_mu"]
    spreads = [slot for slot in call.caller.slots if slot.role == "held_spread"]
    return [_read(call, mean, spread) for mean, spread in zip(means, spreads, strict=False)]


def _read(call: Call, mean: Slot, spread: Slot) -> Group:
    """One group in the place of the first, which is held."""
    roles = {"mu": "held_mu", "spread": "held_spread"}
    slots = tuple(
        replace(slot, role=slot.role.removeprefix("held_"))
        if slot in (mean, spread)
        else replace(slot, role=roles.get(slot.role, slot.role))
        for slot in call.caller.slots
    )
    caller: Caller = replace(call.caller, slots=slots, kind=parametrisation(spread.name) or "logvar")
    other = replace(call, caller=caller, reach=reach_of(caller, call.point))
    kl = read_kl(other)
    latents = None
    if kl.is_right and kl.kink is None:
        step = step_cost(lambda point: (point, point.put("mu", 1.3).put("spread", 1.4)))
        latents = scaling(of_one_image(other), kl.weight, step)
    along = [slope for slope in slopes(other) if slope.role in ("mu", "spread")]
    return Group((mean.name, spread.name), kl, latents, along)


def classifier_terms(call: Call) -> list[str]:
    """Scores of classes that change the loss, as a classifier's beside a VAE do."""
    caller, start = call.caller, call.caller.value(call.point)
    names = [slot.name for slot in caller.slots if slot.role == "class_scores"]
    return [name for name in names if caller.with_number(name, 0.5).value(call.point) != start]
