"""Whether a loss is the negative ELBO of a density up to a factor and a number, and the sentence that says why not."""

from math import isclose
from typing import Any

from vaekl.verbs.audit.probe.card_words import CARDS, weight_ratio
from vaekl.verbs.audit.probe.energy import LARGEST_RESIDUAL
from vaekl.verbs.audit.probe.kl_words import mistakes as kl_mistakes
from vaekl.verbs.audit.probe.reading import Reading
from vaekl.verbs.audit.probe.signature import WEIGHTS
from vaekl.verbs.audit.text import number

#: of densities whose constant no x̂ changes, whatever the weight
_LOCATION = ("mse", "l1", "huber", "logcosh", "charbonnier", "student_t", "power")


def mistakes(reading: Reading) -> list[str]:
    """Sentences for what is wrong with the loss as a negative ELBO, the gravest first."""
    wrong = [*_unknown(reading), *_unseen(reading)]
    if reading.sign < 0:
        wrong.append("it is the ELBO and not its negative: minimise −loss")
    if (
        not reading.reconstruction.together
        and reading.reconstruction.term is None
        and "x_hat" not in reading.call.reach
    ):
        wrong.append("there is no reconstruction: x̂ changes nothing")
    if reading.whole.entangled:
        # what either costs is a matter of the other, and so would be every further sentence
        return [
            *wrong,
            "reconstruction and KL are no sum: what one costs depends on the other, and no weight is between them",
        ]
    wrong += kl_mistakes(reading.kl, reading.call.caller.name_of("spread"))
    wrong += [each for each in (reading.whole.values, reading.whole.latents) if each]
    wrong += [*_of_groups(reading), *_of_classifier(reading), *_signs(reading)]
    wrong += [*_of_kink(reading), *_of_family(reading), *_of_sizes(reading), *_of_scale(reading)]
    for each in reading.numbers:
        if each.does == "nothing" and WEIGHTS.match(each.name.lower()):
            wrong.append(f"{each.name} changes nothing: the loss is the same whatever it is")
    return wrong


def what_hides_a_weight(reading: Reading) -> list[str]:
    """Sentences for what leaves the KL no one weight beside the reconstruction, whichever number is read for it."""
    kl = reading.kl
    wrong = [*_unknown(reading), *_unseen(reading), reading.whole.values, reading.whole.latents, *_signs(reading)]
    if reading.whole.entangled:
        wrong.append("reconstruction and KL are no sum")
    if not kl.is_right or kl.kink is not None:
        wrong += [*kl_mistakes(kl, ""), *_of_kink(reading)]
    return [sentence for sentence in wrong if sentence]


def _unknown(reading: Reading) -> list[str]:
    wrong = []
    if reading.reconstruction.residual > LARGEST_RESIDUAL and reading.reconstruction.together != "unknown":
        wrong.append(f"the reconstruction cannot be told (a residual of {reading.reconstruction.residual:.2g})")
    if reading.kl.residual > LARGEST_RESIDUAL:
        wrong.append(f"the KL cannot be told (a residual of {reading.kl.residual:.2g})")
    return wrong


def _unseen(reading: Reading) -> list[str]:
    wrong: list[str] = []
    if reading.slopes and all(slope.is_lost for slope in reading.slopes):
        return ["nothing of it has a gradient, as of a loss that is returned by .item()"]
    for name in _without_optimiser(reading):
        wrong.append(f"{name} is a parameter that configure_optimizers gives to no optimiser: it stays what it is")
    caller = reading.call.caller
    named = [
        (caller.name_of(slope.role) or {"x_hat": "x̂", "mu": "μ", "spread": "σ"}.get(slope.role, slope.role), slope)
        for slope in reading.slopes
    ]
    for group in reading.groups:
        named += [(group.names[slope.role == "spread"], slope) for slope in group.slopes]
    for name, slope in named:
        if slope.is_lost:
            wrong.append(f"no gradient reaches {name}, though it changes the loss: the optimiser never sees that term")
        elif slope.is_another:
            wrong.append(
                f"a part of the loss gives {name} no gradient: where its slope is {number(slope.real)}, the optimiser "
                f"gets {number(slope.seen or 0.0)}"
            )
    return wrong


def _without_optimiser(reading: Reading) -> list[str]:
    """Scales that the loss has as parameters, and of which a Lightning module's optimisers hold none."""
    caller = reading.call.caller
    slots = [slot for slot in caller.slots if slot.how == "parameter"]
    made = getattr(caller.owner, "configure_optimizers", None) if slots else None
    if made is None:
        return []
    try:
        optimisers = _optimisers(made())
    except Exception:  # whatever the user's method does without a trainer
        return []
    held = {id(each) for one in optimisers for group in one.param_groups for each in group["params"]}
    return [slot.name for slot in slots if optimisers and id(caller.parameter(slot)) not in held]


def _optimisers(result: Any) -> list[Any]:
    """Every optimiser in what configure_optimizers returned."""
    if hasattr(result, "param_groups"):
        return [result]
    if isinstance(result, dict):
        return _optimisers(result.get("optimizer"))
    if isinstance(result, list | tuple):
        return [one for each in result for one in _optimisers(each)]
    return []


def _of_groups(reading: Reading) -> list[str]:
    """What is wrong with the KL of further groups of latents, by itself and beside that of the first."""
    wrong: list[str] = []
    for group in reading.groups:
        if group.latents is None:
            unread = "cannot be told" if group.kl.residual else "there is none: neither of them changes the loss"
            why = "; ".join(kl_mistakes(group.kl, group.names[1])) or unread
            wrong.append(f"the KL of {group.title}: {why}")
        elif reading.latents is not None and not group.is_as(reading.latents):
            first = reading.call.caller.name_of("mu") or "μ"
            wrong.append(f"the KL of {group.title} has another weight than that of {first}, and both are of one ELBO")
    return wrong


def _of_classifier(reading: Reading) -> list[str]:
    """A term of which nothing else is said."""
    return [
        f"{name} changes the loss: a classifier's term, of no ELBO of x; the rest is read with it held"
        for name in reading.classifier
    ]


def _signs(reading: Reading) -> list[str]:
    pixels = reading.reconstruction.term.weight if reading.reconstruction.term else reading.reconstruction.weight
    if reading.doubt < LARGEST_RESIDUAL and reading.kl.is_right and pixels and (pixels < 0) != (reading.kl.weight < 0):
        return ["the KL is subtracted where it is to be added: its sign is wrong" if pixels > 0 else
                "the reconstruction is subtracted where it is to be added: its sign is wrong"]  # fmt: skip
    return []


def _of_kink(reading: Reading) -> list[str]:
    kink = reading.kl.kink
    if kink is None:
        return []
    nats = number(kink.nats)
    if kink.shape == "floor":
        return [
            f"free bits: below {nats} nats the KL has no gradient, so that no one weight is the same: control=free_bits"
        ]
    if kink.shape == "cap":
        return [f"the KL is cut off: above {nats} nats of a latent it has no gradient, and nothing holds q(z|x)"]
    if kink.shape == "distance":
        return [
            f"a capacity: γ·|KL − C| is least at a KL of C = {nats} nats, and the ELBO of nothing: control=capacity"
        ]
    if kink.shape == "square":
        return [f"the KL is squared: (KL − {nats})² weighs it by how large it is, and is the ELBO of nothing"]
    return []


def _of_family(reading: Reading) -> list[str]:
    read = reading.reconstruction
    if read.together == "unknown":
        return ["the reconstruction is not a function of pixels alone: it is the density of nothing that can be named"]
    if read.together == "rmse":
        return ["the root of the error is no ln p(x|z) of values that are independent: take its square, or ½N ln of it"]
    if read.together in ("log_mean_square", "log_mean_absolute"):
        return _of_logarithm(reading)
    if read.term is None or read.residual > LARGEST_RESIDUAL:
        return []
    wrong = []
    name = read.term.family.name
    if name == "bce_swapped":
        wrong.append("x and x̂ are exchanged in the cross-entropy, which takes x̂ first")
    elif name == "bce_half":
        wrong.append("the cross-entropy lacks (1 − x) ln(1 − x̂): nothing keeps x̂ from 1")
    elif len(read.term.families) > 1 and any(family.name not in _LOCATION for family, _ in read.term.families):
        wrong.append("two reconstruction terms are added: of one density each, and the sum is that of none")
    if name in ("bce", "bce_logits"):
        wrong += _of_cross_entropy(reading)
    elif (name not in _LOCATION and name in CARDS) or name in ("cb", "cb_logits"):
        ratio = weight_ratio(reading)
        if ratio is not None and not isclose(ratio, 1, rel_tol=1e-4):
            wrong.append(_beta_vae(ratio))
    return wrong


def _of_cross_entropy(reading: Reading) -> list[str]:
    if reading.words.data != "binary":
        return ["cross-entropy on grey values lacks ln C of the continuous Bernoulli, which depends on x̂ and moves the "
                "optimum; on data that are 0 or 1 say data=binary"]  # fmt: skip
    ratio = weight_ratio(reading)
    if ratio is not None and not isclose(ratio, 1, rel_tol=1e-4):
        return [_beta_vae(ratio)]
    return []


def _beta_vae(ratio: float) -> str:
    return f"the KL counts {number(ratio)} times what it does in the ELBO: a β-VAE with β = {number(ratio)}"


def _of_logarithm(reading: Reading) -> list[str]:
    """½N ln Σ (x − x̂)² is the Gaussian at its best σ: N/2 of a KL of weight 1."""
    read, kl, sizes = reading.reconstruction, reading.kl, reading.call.point.sizes
    if not kl.is_right:
        return []
    images = sizes.batch if read.across_batch else 1
    right = sizes.values * images / (2 if read.together == "log_mean_square" else 1)
    latents = kl.weight / (sizes.batch if reading.latents and reading.latents.batch == -1 else 1)
    share = read.weight / latents / right
    if isclose(share, 1, rel_tol=1e-4):
        return []
    return [f"the logarithm of the error counts {number(share)} of what the density at its best σ gives it"]


def _of_sizes(reading: Reading) -> list[str]:
    wrong: list[str] = []
    pixels, latents = reading.pixels, reading.latents
    if pixels is None or latents is None:
        return wrong
    is_square = reading.kl.kink is not None and reading.kl.kink.shape == "square"
    twice = [name for name, part in (("reconstruction", pixels), ("KL", latents)) if part.batch == -2]
    if twice and not is_square:
        wrong.append(f"the {' and the '.join(twice)} is divided by the batch size twice")
    elif (
        None not in (pixels.batch, latents.batch)
        and pixels.batch != latents.batch
        and not is_square
        and not reading.kl_is_given
    ):
        summed, averaged = (
            ("reconstruction", "KL") if (pixels.batch or 0) > (latents.batch or 0) else ("KL", "reconstruction")
        )
        size = f" = {reading.words.batch_size}" if reading.words.batch_size else ""
        wrong.append(
            f"the {summed} is summed over the batch and the {averaged} averaged: the {summed} counts B{size} times as "
            "much, and with another batch size it is another loss"
        )
    if pixels.channels is not None and pixels.values is not None and pixels.channels != pixels.values:
        wrong.append("the reconstruction is summed over some axes of an image and averaged over others")
    if latents.codes == -1:
        wrong.append("the KL is averaged over the latents, and is a sum by definition: its weight falls as 1/Z")
    return wrong


def _of_scale(reading: Reading) -> list[str]:
    scale = reading.scale
    if scale is None:
        return []
    name = reading.call.caller.name_of("x_scale") or "the scale"
    if scale.residual > LARGEST_RESIDUAL:
        return [f"what {name} does cannot be told (a residual of {scale.residual:.2g})"]
    if abs(scale.share) < 1e-6:
        return [f"{name} divides the error without its logarithm: the loss falls without end as it grows"]
    if not isclose(scale.share, 1, rel_tol=1e-4):
        return [f"the logarithm of {name} counts {number(scale.share)} of what the density has"]
    ratio = weight_ratio(reading)
    return [_beta_vae(ratio)] if ratio is not None and not isclose(ratio, 1, rel_tol=1e-4) else []
