"""A first look at the data: what the values are, what a linear VAE would keep, and which likelihoods fit."""

from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import yaml

from vaekl.config.groups import CONF, options
from vaekl.config.instantiate import make
from vaekl.config.job import changed
from vaekl.data import Data, DataSpec
from vaekl.data.auto import AutoTransform
from vaekl.data.transforms import Transform
from vaekl.measures.ruler import why_no_ruler
from vaekl.model.likelihoods import Likelihood
from vaekl.model.likelihoods.choices import FAMILIES, data_words
from vaekl.model.weighting import CBNormalizer
from vaekl.run.build_data import build_likelihood_and_data, transform_for
from vaekl.run.config import RunConfig
from vaekl.store.suggest_schema import Look
from vaekl.suggest.shared import base
from vaekl.system.errors import VaeklError
from vaekl.verbs.audit.collapse import predict

#: training examples whose covariance is looked at, of few values and of many
_EXAMPLES, _FEWER, _MANY_VALUES = 5000, 2000, 1000
#: eigenvalues that are kept, and a forecast's latents at most
_EIGENVALUES, _LATENTS = 256, 20
#: where validation examples would be fewer, more of the training examples are held out
_LEAST_VALID, _MOST_VALID = 300, 0.3
#: options of a family that make another density of it, and the words for them
_VARIANTS: dict[str, tuple[str, ...]] = {
    "scale": ("decoder",),
    "dispersion": ("decoder",),
    "numeric": ("laplace",),
    "count": ("poisson",),
}
#: φ of each value: of more values than this there are too few examples for each
_MOST_DISPERSIONS = 4096


def held_out(train: int, words: Sequence[str]) -> list[str]:
    """Words that hold out enough validation examples of a small data set, unless the user says how many.

    Args:
        train: how many examples there are to train on.
        words: that were typed.
    """
    if any(word.startswith("valid=") for word in words) or train >= 10 * _LEAST_VALID:
        return []
    return [f"valid={min(_MOST_VALID, round(_LEAST_VALID / max(train, 1), 2)):g}"]


def look(words: Sequence[str], names: Sequence[str], latents: int | None) -> Look:
    """What the data are, and the variants of each likelihood that fits them.

    Args:
        words: of `vaekl train`, about data and networks.
        names: the likelihoods to look at; none for all.
        latents: Z where the user says so.

    Raises:
        VaeklError: the data cannot be read, or none of the likelihoods fits them.
    """
    held: list[str] = []
    cfg, auto, data = _built(words)
    if data.valid is not None and (held := held_out(len(data.train) + len(data.valid), words)):
        cfg, auto, data = _built([*words, *held])
    if data.valid is None:
        raise VaeklError("suggest judges by validation examples, but valid=0 holds out none: leave it away.")
    made = make("transform", cfg.data.transform, (Transform, AutoTransform))
    fitting, outputs, unfit = _fitting(data.stored, made, names or _families(), auto, data.spec)
    if not fitting:
        reasons = " ".join(unfit.values())
        raise VaeklError(f"none of the likelihoods fits {data.stored.name}: {reasons}")
    eigenvalues, forecast = _forecast(data, latents)
    return Look(
        name=data.stored.name,
        example=data.spec.example,
        shape=list(data.spec.shape),
        stored=data_words(data.stored.support),
        levels=data.stored.levels,
        train=len(data.train),
        valid=len(data.valid),
        auto=auto.name,
        why=auto.chosen_because,
        protocol=data.spec.protocol,
        ruler=why_no_ruler(data.spec, auto) is None,
        labelled=data.valid.labels is not None and data.train.labels is not None,
        eigenvalues=eigenvalues[:_EIGENVALUES],
        forecast=forecast,
        held=held,
        reference=_without_constant(fitting),
        fitting=fitting,
        outputs=outputs,
        unfit=unfit,
    )


def _built(words: Sequence[str]) -> tuple[RunConfig, Likelihood, Data]:
    """The config of some words, the likelihood that the data choose, and the data."""
    cfg = RunConfig.of(changed(base(tuple(words)), ["likelihood=auto"], Path()).content)
    return cfg, *build_likelihood_and_data(cfg)


def _without_constant(fitting: dict[str, list[list[str]]]) -> list[str]:
    """The words of cross-entropy on grey values whose constant is dropped, where a family that keeps it fits."""
    own = {family.name for family in FAMILIES if family.weighting == CBNormalizer.name}
    return next(
        (
            [*variants[0], "weighting=fixed_beta", "weighting.beta=1"]
            for name, variants in fitting.items()
            if name in own
        ),
        [],
    )


def _families() -> list[str]:
    return [name for name in options("likelihood") if name not in ("auto", "custom")]


def _fitting(
    stored: DataSpec, made: Transform | AutoTransform, names: Sequence[str], auto: Likelihood, own: DataSpec
) -> tuple[dict[str, list[list[str]]], dict[str, int], dict[str, str]]:
    """The variants of each likelihood that fits, how many outputs it has for a value, and why the others do not fit."""
    fitting: dict[str, list[list[str]]] = {}
    outputs: dict[str, int] = {}
    unfit: dict[str, str] = {}
    for name in sorted(names, key=lambda name: name != auto.name):
        try:
            settings = _settings(name)
            likelihood, spec = _seen(settings, stored, made)
            _check_comparable(likelihood, spec, auto, own)
        except VaeklError as error:
            unfit[name] = str(error)
            continue
        fitting[name] = _variants(name, settings, likelihood, spec)
        outputs[name] = likelihood.outputs
    return fitting, outputs, unfit


def _settings(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CONF / "likelihood" / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


def _seen(settings: dict[str, Any], stored: DataSpec, made: Transform | AutoTransform) -> tuple[Likelihood, DataSpec]:
    """A likelihood, and what the data are to it."""
    likelihood: Likelihood = make("likelihood", settings, Likelihood)
    spec = transform_for(likelihood, made).resolve(stored, likelihood.accepts).spec(stored)
    likelihood.check_spec(spec)
    return likelihood, spec


def _check_comparable(likelihood: Likelihood, spec: DataSpec, auto: Likelihood, own: DataSpec) -> None:
    """Refuse a density where others are probabilities, and other pairs of which neither's figure bounds the other's.

    Raises:
        VaeklError: says why the two cannot be compared.
    """
    if auto.discrete and not likelihood.discrete:
        raise VaeklError(
            f"likelihood={likelihood.name} is a density on real numbers, and the data are {data_words(own.support)}, "
            "which have probabilities."
        )
    has_ruler, want_ruler = why_no_ruler(spec, likelihood) is None, why_no_ruler(own, auto) is None
    if has_ruler and want_ruler:
        return
    if likelihood.atoms and not auto.atoms:
        raise VaeklError(
            f"likelihood={likelihood.name} gives single values a probability, and there is no ruler for it beside a "
            "density, since the data have no levels."
        )
    if has_ruler != want_ruler or ("mixed" in (spec.support, own.support) and spec.support != own.support):
        raise VaeklError(
            f"likelihood={likelihood.name} measures these data otherwise than likelihood={auto.name}, so that their "
            "figures cannot be compared."
        )


def _variants(name: str, settings: dict[str, Any], likelihood: Likelihood, spec: DataSpec) -> list[list[str]]:
    """The words of each density that a family has for these data; the plain one first."""
    plain = [f"likelihood={name}"]
    options_of = signature(type(likelihood)).parameters
    if "link" in options_of and spec.is_bounded:
        plain.append("likelihood.link=sigmoid")
    variants = [plain]
    if likelihood.scale_power is not None and 1 < spec.dims <= _MOST_DISPERSIONS:
        variants.append([*plain, "weighting=learned_precision", "weighting.per=value"])
    kinds = {kind for kind, _ in spec.kinds}
    for option, values in _VARIANTS.items():
        if option not in options_of or (option in ("numeric", "count") and option not in kinds):
            continue
        variants += [[*plain, f"likelihood.{option}={value}"] for value in values]
    return variants


def _forecast(data: Data, latents: int | None) -> tuple[list[float], str]:
    """The eigenvalues of the covariance, and what they say; none for data of which a Gaussian says nothing."""
    if data.spec.support in ("counts", "mixed", "levels") or data.spec.has_missing:
        return [], "no forecast: a linear Gaussian model says little of such values"
    count = _EXAMPLES if data.spec.dims <= _MANY_VALUES else _FEWER
    if data.spec.dims < 2:
        return [], "no forecast: an example has one value"
    some = replace(data, train=data.train.first(count))
    wanted = min(latents or _LATENTS, data.spec.dims - 1)
    try:
        result = predict(some, data.stored.name, wanted, [])
    except VaeklError as error:
        return [], f"no forecast: {error}"
    above = sum(value > result.noise_variance for value in result.eigenvalues)
    return result.eigenvalues, (
        f"a linear VAE with {wanted} latents would leave φ = {result.noise_variance:.4g}, above which lie {above} "
        "eigenvalues"
    )
