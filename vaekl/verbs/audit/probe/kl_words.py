"""What is wrong with a KL, in a sentence."""

from vaekl.verbs.audit.probe.energy import LARGEST_RESIDUAL
from vaekl.verbs.audit.probe.kl import VARIANCES, Kl
from vaekl.verbs.audit.probe.roles import parametrisation
from vaekl.verbs.audit.text import number

_NAMES = {"logvar": "ln σ²", "logstd": "ln σ", "std": "σ", "var": "σ²"}


def formula(kl: Kl) -> str:
    """The function of μ and the second parameter that was fitted."""
    if kl.pieces:
        return _sum([(value, name) for name, value in kl.pieces.items()]) + ", s the second parameter"
    parts = [(kl.square, "μ²"), (kl.variance, "σ²"), (kl.logarithm, "ln σ²")]
    return _sum([(value, name) for value, name in parts if abs(value) > 1e-9 * abs(kl.weight or 1)])


def mistakes(kl: Kl, name: str) -> list[str]:
    """Sentences for what makes it no KL of q(z|x) beside a standard normal.

    Args:
        kl: as it was read.
        name: of the second parameter in the loss.
    """
    if not kl.reads:
        return ["there is no KL: neither μ nor σ changes the loss, which is that of an autoencoder"]
    if kl.pieces:
        return [_of_pieces(kl)]
    if not kl.kind or kl.residual > LARGEST_RESIDUAL:
        return []
    sentences = []
    meant = parametrisation(name)
    if meant and kl.kind in _NAMES and kl.kind != meant and not (kl.square and not kl.variance):
        sentences.append(f"{name} is used as {_NAMES[kl.kind]}, where its name says {_NAMES[meant]}")
    if kl.is_right or kl.kink is not None:
        return sentences
    size = max(abs(kl.square), abs(kl.variance), abs(kl.logarithm))
    square, variance, logarithm = (value / size for value in (kl.square, kl.variance, kl.logarithm))
    small = 1e-4
    if abs(variance) < small and abs(logarithm) < small:
        return [*sentences, "σ is in no term of it: only μ² is held, and σ may be anything"]
    if abs(square) < small:
        sentences.append("μ² is missing from the KL: nothing holds the means")
    if abs(variance) < small:
        sentences.append("σ² is missing from the KL, which falls without end as σ grows")
    if abs(logarithm) < small:
        sentences.append("ln σ² is missing from the KL: its least is at σ = 0, an autoencoder with a penalty")
    present = [value for value in (square, variance, -logarithm) if abs(value) >= small]
    if min(present) < 0 < max(present):
        wrong = [
            name
            for value, name in ((square, "μ²"), (variance, "σ²"), (-logarithm, "ln σ²"))
            if abs(value) >= small and (value < 0) == (sum(v < 0 for v in present) * 2 <= len(present))
        ]
        sentences.append(f"the sign of {' and '.join(wrong)} in the KL is wrong: it reads {formula(kl)}")
    elif max(map(abs, present)) - min(map(abs, present)) > small:
        sentences.append(
            f"the parts of the KL have different weights: it reads {formula(kl)}, where μ² and σ² have one weight and "
            f"ln σ² its negative{_of_a_prior(kl)}"
        )
    return sentences


def _of_a_prior(kl: Kl) -> str:
    """What it is where the prior is a wider or narrower one."""
    if abs(kl.square - kl.variance) > 1e-4 * abs(kl.square):
        return ""
    return f"; with a prior of variance {number(-kl.logarithm / kl.square)} it would be right"


def _of_pieces(kl: Kl) -> str:
    pieces = kl.pieces
    if {"exp(−s)", "μ² exp(−s)"} <= pieces.keys() and pieces.keys() <= {"exp(−s)", "μ² exp(−s)", "s"}:
        return "it is the KL the wrong way round, of the prior beside q(z|x)"
    names = set(pieces)
    if names == {"exp(μ)", "μ", "s²"}:
        return "μ and the second parameter are exchanged in the KL"
    if names == {"μ²", "s²"}:
        return f"the second parameter is held at 0 by its square, not σ at 1: it reads {formula(kl)}, which is no KL"
    if {"exp(2s)", "s"} <= names and abs(pieces["exp(2s)"] + pieces["s"]) < 1e-6 * abs(pieces["s"]):
        return f"σ² is exp(2s) in one part and exp(s) in another: it reads {formula(kl)}"
    if {"exp(s/2)", "s"} <= names or {"exp(s)", "s"} <= names:
        return f"it is no KL: it reads {formula(kl)}, where exp(s) − s − 1 + μ² is meant"
    return f"it is no KL of normals: it reads {formula(kl)}"


def meaning(kl: Kl) -> str:
    """What the second parameter is, in words."""
    what = VARIANCES[kl.kind][0] if kl.kind and kl.residual < LARGEST_RESIDUAL else "the second parameter"
    return f"{what} of q"


def _sum(parts: list[tuple[float, str]]) -> str:
    text = ""
    for value, name in parts:
        sign = "−" if value < 0 else "+"
        size = number(abs(value))
        text += f" {sign} {'' if size == '1' else size + ' '}{name}" if text else f"{'−' * (value < 0)}{size} {name}"
    return text
