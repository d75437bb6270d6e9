"""The text of a report: captions, notes, what was run and what failed."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from vaekl.measures.held import held
from vaekl.store.schema import Images
from vaekl.verbs.report.collect import Run
from vaekl.verbs.report.dispersions import learned
from vaekl.verbs.report.groups import Group, example_of, repeats, swept
from vaekl.verbs.report.measure import Theory

CURVES, PICTURES = "Figures", "Samples and latents"
_PACKAGES = ("vaekl", "python", "torch", "torchvision", "numpy", "scikit-learn", "platform")
#: how examples that are no images are drawn
_DRAWN = {
    "row": " Each bar is a column of the table, between its smallest and its largest input.",
    "vector": " Each bar is a value, between the smallest and the largest of the inputs, or 0 and 1 where values have "
    "these ends.",
    "signal": " Each strip is a channel, between its smallest and its largest input, or 0 and 1 where values have "
    "these ends.",
    "volume": " The middle slice of each volume.",
    "example": " Of volumes the middle slice, of signals a strip for each channel, of vectors a bar for each value.",
}


def captions(theories: Sequence[Theory], groups: int, seed: int, example: str) -> dict[str, tuple[str, str, str]]:
    """Section, title and caption of each figure, by its name, in their order.

    Args:
        theories: the exact lines that are drawn.
        groups: how many there are.
        seed: of the pictures.
        example: what one example of the data is called.
    """
    drawn = _DRAWN.get(example, "")
    means = (
        "Marks are means over seeds with their standard errors, dots the runs; filled where φ is learned or solved "
        "from the data, open where the weight is set."
    )
    exact = "".join(
        f" Black: {one.name}, trained to its optimum, exact on the test {example}s (grey: on its training {example}s); "
        f"best at φ = {one.noise_variance:.4g}, probabilistic PCA's noise on the training {example}s."
        for one in theories
    )
    many = " The first 24 groups of the table." if groups > 24 else ""
    same = f"the same latents z ~ N(0, I) in every row (seed {seed}; a model with fewer latents takes the first ones)"
    one = f"One run of each group, its lowest seed.{many}{drawn}"
    return {
        "ruler": (
            CURVES,
            "Fair ruler",
            "Bits/dim of the integers, comparable between all likelihoods on the same integers; lower is better. Marks "
            "are means over seeds with their standard errors, ticks the runs; filled where φ is learned or solved from "
            f"the data.{many}",
        ),
        "rate_distortion": (
            CURVES,
            "Rate and distortion",
            f"Rate R = KL against distortion D = E/φ − ln C on the test {example}s, nats per {example}, at the "
            "dispersion φ that the loss implies. Grey: lines of equal ELBO = −D − R. A line is one strategy in the "
            f"order of β_KL, or one multi-rate run at each θ, whose ends may be out of view. {means}",
        ),
        "elbo_against_beta": (
            CURVES,
            "ELBO against β_KL",
            f"Test ELBO of the implied density, nats per {example}, of runs whose ELBOs are comparable. A loss without "
            f"a weight of the KL is not on this axis. {means}{exact}",
        ),
        "bits_against_beta": (
            CURVES,
            "Bits/dim against β_KL",
            f"Bits/dim of the integers on the fair ruler, comparable between all likelihoods. {means}",
        ),
        "calibration": (
            CURVES,
            "Calibration during training",
            "Implied σ, the root of the density's average variance, over the RMSE of its mean, of the training batch "
            "at each step; a line a run, with its β_KL beside it where a strategy has several. 1 is calibrated; the "
            f"band is 0.9 to 1.1.{many}",
        ),
        "kl_spectrum": (
            CURVES,
            "KL of each latent",
            f"KL of each latent on the test {example}s, nats per {example}, largest first in each run, then averaged "
            "over seeds. Logarithmic above 0.001, linear below. Groups of one strategy are paler for larger β_KL.",
        ),
        "samples_mean": (PICTURES, "Prior samples: means", f"The mean of p(x|z), with {same}. {one}"),
        "samples_draw": (
            PICTURES,
            "Prior samples: draws",
            f"A draw from p(x|z), with the latents of the means.{many}{drawn}",
        ),
        "reconstructions": (
            PICTURES,
            "Reconstructions",
            f"Reconstructions of the first test {example}s: the mean of p(x|z) at the posterior's mean. The "
            f"inputs are drawn as the first group's likelihood sees them. {one}",
        ),
        "latent_planes": (
            PICTURES,
            "Latent planes",
            f"The plane of the two latents with most KL: posterior means of test {example}s, 2,000 at most, by their "
            "labels if there are any, with circles at 1 and 2 standard deviations of the prior; beside them means of "
            f"p(x|z) from −3 to 3 with all other latents at 0. {one}",
        ),
    }


def lead(groups: Sequence[Group], runs: Sequence[Run]) -> str:
    """The sentence below the heading."""
    done = sum(run.finished for run in runs)
    what = f"{len(groups)} groups that differ in {', '.join(swept(groups))}" if swept(groups) else "one group"
    return f"{done} finished of {len(runs)} runs, in {what}."


def notes(groups: Sequence[Group]) -> list[str]:
    """What the table's figures are, and which of them can be compared."""
    word = example_of(groups)
    lines = [
        "n: runs with different seeds, folded into mean ± standard error of the mean (s/√n); one run has none. "
        "“2 of 3” means that one is not finished or repeats a seed; see Failures.",
        "Fair ruler: −log2 P(k)/D of the integers that the data really are, from eval.json; lower is better; "
        "comparable between all likelihoods on the same integers.",
        f"ELBO = −D − R of the density that the loss implies, KL unweighted, nats per test {word}, of real values on "
        "their own scale, from results.json; "
        "comparable only on the same data, protocol and support.",
        "Marginal KL: KL(q(z) ‖ p(z)) from eval.json, the part of the rate that is not I(x; z); where it is large, "
        "prior samples are not like the data, however good the reconstructions. I(x; z) is estimated as at most ln N "
        f"of the N test {word}s: of models that say more, the marginal KL is too large by the rest.",
        "Bold: the best mean of those that can be compared, where there are at least two; not a test of significance. "
        "Only the ruler and the ELBO have a best.",
    ]
    densities = list(dict.fromkeys(group.counted[0].density for group in groups if group.counted))
    integers = list(dict.fromkeys(group.counted[0].integers for group in groups if group.counted))
    lines.append(f"ELBOs here: {_sets(densities)}.")
    lines.append(f"Ruler here: {_sets(integers)}.")
    lines += _targets(groups) + learned(groups)
    lines += [
        "Effective β_KL = φ · λ, the KL's weight over the energy's; λ, the information weight, is what of it is no φ.",
        f"σ/RMSE: implied σ over the RMSE of the density's mean on the test {word}s; 1 is calibrated. Active units: "
        "variance of the posterior mean above 0.01.",
        "Training, s: Σ steps · batch size / examples per second over the rows of metrics.csv, so without validation, "
        "test and pictures; examples per s are over the same time. Both depend on the machine and its load.",
    ]
    return lines


def _targets(groups: Sequence[Group]) -> list[str]:
    """How near each group came to what its control holds, on average over its runs."""
    lines = []
    for group in groups:
        tests = [run.test for run in group.counted]
        control = next((run.facts.control for run in group.counted if run.facts), None)
        if control is None:
            continue
        means = (fmean(getattr(one, key) for one in tests) for key in ("kl_nats", "rmse", "distortion_nats"))
        if result := held(control, *means):
            lines.append(f"{group.name} holds a target: {': '.join(result)}.")
    return lines


def _sets(words: Sequence[str]) -> str:
    if len(words) < 2:
        return f"all comparable ({words[0]})" if words else "none"
    return f"{len(words)} sets that are not comparable with each other: " + "; ".join(words)


def remarks(groups: Sequence[Group], runs: Sequence[Run], failures: Sequence[str]) -> list[str]:
    """What is wrong with finished runs."""
    lines = [
        f"{run.name} repeats seed {run.seed} of {group.name}: not counted" for group in groups for run in repeats(group)
    ]
    lines += [f"{run.name}: bits/dim on the fair ruler {run.unmeasured}" for run in runs if run.unmeasured]
    lines += [f"{run.name}: {run.unlogged}" for run in runs if run.unlogged]
    lines += [f"{run.name}: {run.moving}" for run in runs if run.finished and run.moving]
    return lines + list(failures)


def facts(runs: Sequence[Run]) -> dict[str, list[str]]:
    """What the figures depend on, each with the number of runs where they differ."""
    run_facts = [run.facts for run in runs if run.facts]
    revisions = [one.git_revision or "none: not run from a checkout" for one in run_facts]
    tallies = {"revision": _tallied(revisions) or ["unknown"]}
    versions = [{"python": one.python, "platform": one.platform, **one.packages} for one in run_facts]
    for package in _PACKAGES:
        values = [version[package] for version in versions if package in version]
        if values:
            tallies[package] = _tallied(values)
    begun = [one.init and f"{one.init.run}, {one.init.weights} at step {one.init.step:,}" for one in run_facts]
    if any(begun):
        tallies["first weights"] = _tallied([init or "their own" for init in begun])
    tallies["strategy"] = _tallied([run.strategy for run in runs if run.config]) or ["unknown"]
    tallies["data protocol"] = _tallied([run.density for run in runs if run.finished]) or ["unknown"]
    rulers = [run.evaluation.protocol.ruler for run in runs if run.evaluation]
    tallies["fair ruler"] = _tallied(rulers) or ["not measured"]
    tallies["examples"] = _tallied([_counts(run.results.images) for run in runs if run.results]) or ["unknown"]
    tallies["seeds"] = [", ".join(map(str, sorted({run.seed for run in runs if run.seed is not None})))]
    return tallies


def _counts(images: Images) -> str:
    return f"{images.train:,} train, {images.valid:,} valid, {images.test:,} test"


def _tallied(values: Sequence[str]) -> list[str]:
    counts = Counter(values)
    return [value if len(counts) == 1 else f"{value} ({number} runs)" for value, number in counts.items()]
