"""What was read of a loss, in sentences with the residual of the fit that each rests on."""

import re
from dataclasses import dataclass
from math import prod

from vaekl.verbs.audit.probe.card_words import weight_of_latents, weight_of_pixels
from vaekl.verbs.audit.probe.energy import LARGEST_RESIDUAL
from vaekl.verbs.audit.probe.kl_words import formula, meaning
from vaekl.verbs.audit.probe.numbers import Number
from vaekl.verbs.audit.probe.reading import Reading
from vaekl.verbs.audit.probe.roles import parametrisation
from vaekl.verbs.audit.probe.scaling import Scaling
from vaekl.verbs.audit.text import number

_MEANINGS = {
    "x_hat": "x̂", "x": "x", "mu": "μ", "z": "a draw of z", "x_scale": "a scale of p(x|z)", "theta": "θ of counts",
    "prior_mu": "μ of the prior, held at 0", "mask": "a mask of ones",
    "classes": "labels, all 0", "class_scores": "scores of classes, held at 0",
    "kl": "the KL of each image",
    "posterior": "q(z|x) as an object", "held_mu": "μ of further latents",
    "batch_size": "B", "values": "N", "codes": "Z",
}  # fmt: skip

_SPREADS = {"logvar": "ln σ²", "logstd": "ln σ", "var": "σ²"}


@dataclass(frozen=True)
class Statement:
    """One thing that was read.

    Args:
        topic: of the line.
        text: a sentence or a formula.
        residual: of the fit; None where nothing was fitted.
    """

    topic: str
    text: str
    residual: float | None = None


def statements(reading: Reading) -> list[Statement]:
    """Everything that was read, mistakes apart."""
    sentences = [Statement("called with", _arguments(reading))]
    sentences += [Statement("audited", note) for note in reading.call.notes]
    sentences += _reconstruction(reading)
    sentences += _kl(reading)
    sentences += [
        Statement("KL", f"of {group.title}: {_weight_words(group.latents)}", group.kl.residual)
        for group in reading.groups
        if group.latents is not None
    ]
    sentences += [
        Statement("number", _number(each, reading.kl.kink is not None))
        for each in reading.numbers
        if each.where == "argument" or each.does in ("weighs", "schedule")
    ]
    if reading.whole.failure:
        why = f"where all are moved the loss fails ({reading.whole.failure})"
        text = f"what is said holds of the first value and latent: {why}"
        sentences.append(Statement("all at once", text))
    if reading.call.caller.samples:
        sentences.append(
            Statement("noise", "it draws random numbers: held at +1 and −1, of which the mean is exact for quadratics")
        )
    if reading.kl_is_given:
        sentences.append(
            Statement("KL", "is handed over, and taken as that of each image: how it is reduced is not seen here")
        )
    elif prod(reading.per_example) > 1:
        shape = "×".join(map(str, reading.per_example))
        sentences.append(Statement("returns", f"{shape} numbers, no single one: audited is their mean"))
    return sentences


def _arguments(reading: Reading) -> str:
    parts = []
    for slot in reading.call.caller.slots:
        if slot.how in ("attribute", "parameter"):
            continue
        if slot.role == "spread":
            what = meaning(reading.kl)
        elif slot.role == "bundle":
            used = reading.call.caller.used
            roles = [
                f"{_MEANINGS.get(role, 'σ of q')}{f' as {used[role]}' if role in used else ''}" for role in slot.order
            ]
            what = f"({', '.join(roles)})"
        elif slot.role == "number":
            what = f"{slot.number:g}" + (" as nothing else was given" if slot.assumed else "")
        elif slot.role in ("prior_spread", "held_spread"):
            of = "the prior, held where σ is 1" if slot.role == "prior_spread" else "further latents"
            what = f"{_SPREADS.get(parametrisation(slot.name) or '', 'σ')} of {of}"
        else:
            what = _MEANINGS[slot.role]
        parts.append(f"{slot.name} = {what}" if slot.name else what)
    return f"{', '.join(parts)}\non batches {reading.call.point.sizes.words()}"


def _reconstruction(reading: Reading) -> list[Statement]:
    read, topic = reading.reconstruction, "reconstruction"
    if read.together == "unknown":
        where = "over the batch" if read.across_batch else "over an image"
        text = f"no function of single values: they act together, {where}, as in a perceptual or structural loss"
        return [Statement(topic, text, read.residual)]
    if read.together:
        what = {
            "rmse": "√Σ (x − x̂)²",
            "log_mean_square": "ln Σ (x − x̂)²",
            "log_mean_absolute": "ln Σ |x − x̂|",
        }[read.together]
        where = "over the batch" if read.across_batch else "over an image"
        return [Statement(topic, f"{number(read.weight)} · {what} {where}", read.residual)]
    if read.term is None:
        return [Statement(topic, f"cannot be told: {reading.whole.values}")] if reading.whole.values else []
    if read.residual > LARGEST_RESIDUAL:
        text = f"cannot be told: nearest is {read.term.family.text}, which leaves {read.residual:.1%} unexplained"
        return [Statement(topic, text, read.residual)]
    parts = [
        f"{number(weight / read.term.weight)} · {family.text}" if family is not read.term.family else family.text
        for family, weight in read.term.families
    ]
    text = " + ".join(parts)
    if read.term.family.parameter:
        text += f" with {read.term.family.parameter} = {number(read.term.parameter)}"
    weight = weight_of_pixels(reading)
    # of a loss that takes one shape alone the weight says what it is
    power = reading.pixels.values if reading.pixels else None
    if power is None and weight is not None:
        power = -1.0 if weight.reduction == "mean" else 0.0
    text += (
        f" at the first value: {reading.whole.values}"
        if reading.whole.values
        else (f", {_reduced(reading.pixels, 'values', power)}")
    )
    if read.is_seen_part:
        text += "\nas its gradient has it: the value has a further part, of which the optimiser sees nothing"
    sentences = [Statement(topic, text, read.residual)]
    if reading.scale is not None and reading.scale.residual < LARGEST_RESIDUAL:
        scale = reading.scale
        name = reading.call.caller.name_of("x_scale") or "s"
        which = "one for all values" if scale.single else "one for each value"
        divisor = re.sub(r"\bs(?=[)²]|$)", name, scale.divisor)
        sentences.append(Statement("scale", f"the error is divided by {divisor}, {which}", scale.residual))
        if _is_of_the_loss_alone(reading):
            sentences.append(
                Statement(
                    "scale",
                    f"{name} is a parameter of the loss alone: an optimiser that is given a model's parameters never "
                    "moves it",
                )
            )
    return sentences


def _is_of_the_loss_alone(reading: Reading) -> bool:
    """Whether a learned scale belongs to an object that is no model."""
    caller = reading.call.caller
    if getattr(caller.function, "__name__", "") != "forward":
        return False  # a model's loss is a method beside its forward
    is_parameter = any(slot.how == "parameter" for slot in caller.slots)
    return is_parameter and not any(hasattr(caller.owner, part) for part in ("encode", "encoder", "decode", "decoder"))


def _kl(reading: Reading) -> list[Statement]:
    kl, topic = reading.kl, "KL"
    if not kl.reads:
        return [Statement(topic, "none")]
    if kl.kink is not None and kl.kink.shape == "unknown":
        return [Statement(topic, "cannot be told: it is no straight line in the KL", kl.residual or kl.kink.residual)]
    if kl.between_images:
        text = "cannot be told: the latents of one image act on those of another, as in a total correlation or an MMD"
        return [Statement(topic, text, kl.residual)]
    if reading.whole.latents and not kl.kind:
        return [Statement(topic, f"cannot be told: {reading.whole.latents}")]
    if kl.residual > LARGEST_RESIDUAL or not (kl.kind or kl.pieces):
        return [Statement(topic, "cannot be told: no KL of normals fits", kl.residual)]
    if kl.pieces or (not kl.is_right and kl.kink is None):
        return [Statement(topic, f"reads {formula(kl)} of one latent", kl.residual)]
    weight = _number_before(reading.latents)
    of_latents = weight_of_latents(reading)
    power = reading.latents.codes if reading.latents else None
    if power is None and of_latents is not None:
        power = -1.0 if of_latents.reduction == "mean" else 0.0
    reduced = _reduced(reading.latents, "latents", power)
    if reading.whole.latents:
        return [Statement(topic, f"KL(N(μ, σ²)‖N(0, 1)) at the first latent: {reading.whole.latents}", kl.residual)]
    text = f"{weight}KL(N(μ, σ²)‖N(0, 1)), {reduced}"
    if kl.kink is not None:
        size = number(kl.kink.nats)
        over = {
            "latent": "each latent of each image",
            "image": "an image",
            "batch": "each latent, averaged over the batch",
        }
        text += {
            "cap": f"; above {size} nats of one latent alone it costs no more",
            "floor": f"; below {size} nats of {over[kl.kink.over or 'image']} it costs nothing",
            "distance": f"; as the distance γ·|KL − C| from C = {size} nats, γ = {number(kl.kink.weight)}",
            "square": f"; as the square γ·(KL − C)² from C = {size} nats, γ = {number(kl.kink.weight)}",
        }[kl.kink.shape]
    return [Statement(topic, text, kl.residual)]


def _weight_words(scaled: Scaling) -> str:
    weight = _number_before(scaled)
    return f"{weight}KL(N(μ, σ²)‖N(0, 1)), {_reduced(scaled, 'latents', scaled.codes)}"


def _number_before(scaled: Scaling | None) -> str:
    if scaled is None:
        return ""
    sizes = scaled.sizes
    value = scaled.weight
    for power, size in ((scaled.batch, sizes.batch), (scaled.codes, sizes.codes), (scaled.values, sizes.values)):
        value *= size ** -(power or 0)
    return "" if abs(value - 1) < 1e-6 else f"{number(value)} · "


def _reduced(scaled: Scaling | None, what: str, power: float | None) -> str:
    """How a term is reduced, over its own axis and over the batch."""
    if scaled is None:
        return "with a weight that cannot be told"
    mixed: dict[tuple[float | None, float | None], str] = {
        (0, -1): "summed over the first axis of an image alone, averaged over the others",
        (-1, 0): "averaged over the first axis of an image alone, summed over the others",
    }
    if what == "values" and scaled.channels not in (None, scaled.values):
        own = mixed.get((scaled.channels, scaled.values), "reduced over the axes of an image in different ways")
    else:
        own = _over(power, what)
    if scaled.batch is not None:
        own += f" and {_over(scaled.batch, 'batch')}"
    if what == "latents" and scaled.values:
        own += ", divided by the number of values too" if scaled.values == -1 else f", times N^{scaled.values:.2g}"
    return own


def _over(power: float | None, what: str) -> str:
    if power is None:
        return f"over {what} of one fixed number"
    if power in (0, -1):
        return f"{'averaged' if power else 'summed'} over the {what}"
    return f"divided by the size of the {what} {'twice' if power == -2 else f'to the power {-power:.2g}'}"


def _number(each: Number, is_bent: bool) -> str:
    if each.does == "nothing":
        return f"{each.name} = {each.value:g} changes nothing"
    if each.does == "schedule" and is_bent:
        return f"{each.name} is a schedule: the loss is looked at long after its start"
    if each.does == "schedule":
        (_, start), (last, share) = each.ramp[0], each.ramp[-1]
        end = f"its end at step {last:,}" if abs(share - 1) < 1e-6 else "no end within a million steps"
        return f"{each.name} is a schedule: the KL's weight begins at {start:.2g} of its last, and has {end}"
    if each.does == "other":
        return f"{each.name} = {each.value:g} changes the loss, and no weight of a term alone"
    powers = {1: "multiplies", -1: "divides"}
    parts = [
        f"{powers.get(int(power), f'to the power {power:g} multiplies')} {what}"
        for power, what in ((each.reconstruction, "the reconstruction"), (each.kl, "the KL"))
        if power
    ]
    return f"{each.name} = {each.value:g} {' and '.join(parts)}"
