"""A loss read by numbers alone: which terms it has, how they are reduced, and what the optimiser sees of them."""

from dataclasses import dataclass

from vaekl.verbs.audit.probe.designed import X_HAT, Point, X
from vaekl.verbs.audit.probe.energy import LARGEST_RESIDUAL
from vaekl.verbs.audit.probe.gradients import Slope, slopes
from vaekl.verbs.audit.probe.groups import Group, classifier_terms, read_groups
from vaekl.verbs.audit.probe.kl import Kl, of_one_image, read_kl
from vaekl.verbs.audit.probe.numbers import Number, read_numbers
from vaekl.verbs.audit.probe.pixels import Reconstruction, read_reconstruction
from vaekl.verbs.audit.probe.scale_term import ScaleTerm, read_scale
from vaekl.verbs.audit.probe.scaling import Scaling, scaling, step_cost
from vaekl.verbs.audit.probe.search import Call
from vaekl.verbs.audit.probe.seen import read_seen, seen_slope
from vaekl.verbs.audit.probe.whole import Whole, read_whole
from vaekl.verbs.audit.probe.words import Words


@dataclass(frozen=True)
class Reading:
    """What was read.

    Args:
        call: how the loss is called.
        words: what was typed beside it.
        reconstruction, kl: its terms.
        pixels, latents: how their weights depend on the sizes; None where a term is not there, or not told.
        scale: what is made of a scale that the loss is given.
        slopes: of the loss beside autograd's.
        numbers: what its numbers do.
        constant: what is left of the loss at the base point, over all images there.
        sign: −1 where the loss is to be maximised.
        per_example: the shape of what is returned, if that is no single number.
        whole: what of it does not hold of all values and latents.
        groups: further groups of latents.
        classifier: scores of classes that change the loss.
    """

    call: Call
    words: Words
    reconstruction: Reconstruction
    kl: Kl
    pixels: Scaling | None
    latents: Scaling | None
    scale: ScaleTerm | None
    slopes: list[Slope]
    numbers: list[Number]
    constant: float | None
    sign: int
    per_example: tuple[int, ...]
    whole: Whole
    groups: list[Group]
    classifier: list[str]

    @property
    def kl_is_given(self) -> bool:
        """Whether the loss is handed the KL itself, as a number."""
        return any(slot.role == "kl" for slot in self.call.caller.slots)

    @property
    def doubt(self) -> float:
        """How badly the terms are told: the larger of their residuals."""
        return max(self.reconstruction.residual, self.kl.residual, self.whole.entangled)


def read_call(call: Call, words: Words) -> Reading:
    """What one way to call a loss tells.

    Raises:
        CallError: the loss fails on inputs that it has to take.
    """
    reconstruction, kl, rises = read_reconstruction(call), read_kl(call), slopes(call)
    if any(slope.is_another for slope in rises if slope.role == "x_hat"):
        reconstruction = read_seen(call) or reconstruction
    scale = read_scale(call, reconstruction.term) if reconstruction.term is not None else None
    pixels = latents = None
    if reconstruction.term is not None:
        cost = _seen_cost if reconstruction.is_seen_part else step_cost(_step_of_pixel)
        pixels = scaling(call, reconstruction.term.weight, cost)
    if kl.kind and kl.weight:
        one = of_one_image(call)
        step = _step_of_latent if kl.kink is None or kl.kink.shape == "cap" else _far_step_of_latent
        latents = scaling(one, kl.weight, step_cost(step))
    signs = [
        part < 0
        for part in (
            reconstruction.term.weight if reconstruction.term else reconstruction.weight,
            kl.weight if kl.kind else 0.0,
        )
        if part
    ]
    whole = read_whole(call, reconstruction, kl)
    return Reading(
        call,
        words,
        reconstruction,
        kl,
        pixels,
        latents,
        scale,
        rises,
        read_numbers(call),
        None if whole.values or whole.latents else _constant(call, reconstruction, kl),
        -1 if signs and all(signs) else 1,
        call.caller.shape(call.point),
        whole,
        read_groups(call),
        classifier_terms(call),
    )


def _seen_cost(call: Call, point: Point) -> float | None:
    return seen_slope(call, point.put("x_hat", 0.8))


def _step_of_pixel(point: Point) -> tuple[Point, Point]:
    return point, point.put("x_hat", 0.8)


def _step_of_latent(point: Point) -> tuple[Point, Point]:
    return point, point.put("mu", 1.3).put("spread", 1.4)


def _far_step_of_latent(point: Point) -> tuple[Point, Point]:
    return point.put("mu", 40.0), point.put("mu", 50.0)


def _constant(call: Call, reconstruction: Reconstruction, kl: Kl) -> float | None:
    """What the loss holds beside its terms at the base point of one image."""
    if (
        reconstruction.term is None
        or reconstruction.is_seen_part
        or reconstruction.residual > LARGEST_RESIDUAL
        or "x_scale" in call.reach
    ):
        return None
    if not kl.is_right or kl.kink is not None:
        return None
    one = of_one_image(call)
    sizes = one.point.sizes
    if sizes.batch != 1:
        return None
    scale = call.caller.value(call.point.put("x_hat", 0.8)) - call.caller.value(call.point)
    single = one.caller.value(one.point.put("x_hat", 0.8)) - one.caller.value(one.point)
    # the term's coefficient is that of the base sizes
    energy = reconstruction.term.at(X_HAT, X) * single / scale * sizes.values
    divergence = kl.weight * sizes.codes * kl.of(one.point.level["mu"], one.point.level["spread"])
    rest = one.caller.value(one.point) - energy - divergence
    return rest if abs(rest) > 1e-9 * max(abs(energy), abs(divergence), 1e-12) else 0.0
