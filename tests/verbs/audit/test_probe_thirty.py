"""Thirty losses as people write them, and what was derived by hand of each: the probe is told none of it."""

from types import SimpleNamespace

import gallery_cases
import losses_unusual as unusual
import losses_with_mistakes as mistaken
import pytest
from cli_helpers import built

from vaekl.verbs.audit.probe.entry import read
from vaekl.verbs.audit.probe.load import target
from vaekl.verbs.audit.probe.report import report
from vaekl.verbs.audit.probe.words import Words

#: the ten that are made of well-known repositories
real = SimpleNamespace(**{case.name.split(".")[0]: case.thing for case in gallery_cases.cases()})

SUM_MEAN = "summed over the values and averaged over the batch"
SUM_SUM = "summed over the values and summed over the batch"
MEAN_MEAN = "averaged over the values and averaged over the batch"
KL_MEAN = "KL(N(μ, σ²)‖N(0, 1)), summed over the latents and averaged over the batch"
KL_SUM = "KL(N(μ, σ²)‖N(0, 1)), summed over the latents and summed over the batch"
GREY = "cross-entropy on grey values lacks ln C"

#: the loss; words typed beside it; what must be said; the mistakes, of which there are no others; φ or λ of the card
REAL = [
    (real.mnist_example, Words(), ["BCE(x̂, x), summed over the values", KL_SUM], [GREY], 1),
    (real.mnist_example, Words(data="binary"), ["exact: the loss is the negative ELBO"], [], 1),
    (
        real.VanillaVAE, Words({"M_N": 0.00025}, shape=(3, 64, 64), latents=128),
        [f"(x − x̂)², {MEAN_MEAN}", f"0.00025 · {KL_MEAN}", "M_N = 0.00025 multiplies the KL"], [], 1.536,
    ),
    (
        real.CapacityVAE, Words({"M_N": 0.005}, shape=(3, 8, 8)),
        [f"(x − x̂)², {MEAN_MEAN}", "from C = 25 nats, γ = 5", "control.gamma=480", "long after its start"],
        ["a capacity", "beta changes nothing"], None,
    ),
    (
        real.ContinuousPerceptual, Words(),
        [
            f"|x − x̂|, {SUM_MEAN}", f"1e-06 · {KL_MEAN}", "divided by exp(logvar), one for all",
            "learned_precision", "logvar is a parameter of the loss alone",
        ],
        ["β = 1e-06"], None,
    ),
    (real.AutoencoderKL, Words(), [f"(x − x̂)², {SUM_MEAN}", f"1e-06 · {KL_MEAN}"], ["no gradient"], 5e-7),
    (real.single_cell, Words(), [f"−ln NB(x; x̂, θ), {SUM_MEAN}", KL_MEAN, "has its end at step 400"], [], 1),
    (real.pythae_vae, Words(), [f"BCE(x̂, x), {SUM_MEAN}", KL_MEAN, "[0]; beside it"], [GREY], 1),
    (
        real.world_model, Words(), [f"(x − x̂)², {SUM_MEAN}", "below 2 nats of an image", "weighting.dispersion=0.5"],
        ["free bits: below 2 nats"], None,
    ),
    (real.beta_vae, Words(data="binary"), [f"BCE(sigmoid(x̂), x), {SUM_MEAN}", f"4 · {KL_MEAN}"], ["β = 4"], 4),
    (
        real.BoltsVAE, Words(),
        [f"(x − x̂)², {SUM_MEAN}", KL_MEAN, "exp(2·log_scale), one for all", "learned_precision"], [], None,
    ),
]  # fmt: skip
CASES = [
    # what is said of these in make test is in test_gallery.py
    *[pytest.param(*case, marks=pytest.mark.nightly) for case in REAL],
    (mistaken.wrong_sign, Words(), [f"(x − x̂)², {SUM_SUM}", f"−1 · {KL_SUM}"], ["its sign is wrong"], None),
    (mistaken.squared_logvar, Words(), ["0.5 μ² − 0.5 s + 0.5 s²"], ["no KL of normals"], None),
    (
        mistaken.mean_over_latents, Words(latents=8), [f"(x − x̂)², {SUM_MEAN}", "averaged over the latents"],
        ["the KL is averaged over the latents"], 1 / 16,
    ),
    (
        mistaken.logvar_as_log_sigma, Words(), [f"|x − x̂|, {SUM_MEAN}", KL_MEAN],
        ["logvar is used as ln σ, where its name says ln σ²"], 1,
    ),
    (
        mistaken.sum_beside_mean, Words(batch_size=50), [f"(x − x̂)², {SUM_SUM}", KL_MEAN],
        ["the reconstruction counts B = 50 times as much"], 0.01,
    ),
    (
        mistaken.detached_kl, Words(data="binary"), [f"BCE(x̂, x), {SUM_MEAN}", KL_MEAN],
        ["no gradient reaches mu", "no gradient reaches logvar"], 1,
    ),
    (mistaken.IgnoredBeta, Words(), [f"(x − x̂)², {SUM_MEAN}", KL_MEAN], ["beta changes nothing"], 0.5),
    (mistaken.swapped_cross_entropy, Words(), [f"BCE(x, x̂), {SUM_SUM}", KL_SUM], ["are exchanged"], None),
    (
        mistaken.half_of_one_part, Words(), [f"(x − x̂)², {SUM_SUM}", "1 μ² + 0.5 σ² − 0.5 ln σ²"],
        ["parts of the KL have different weights"], None,
    ),
    (
        mistaken.PerceptualWithoutGradient, Words(),
        [f"|x − x̂|, {SUM_MEAN}", f"0.001 · {KL_MEAN}", "of which the optimiser sees nothing"],
        ["gives recon no gradient"], 0.001,
    ),
    (unusual.letters, Words(data="binary"), ["a = x, b = x̂, c = ln σ² of q, d = μ", f"BCE(x̂, x), {SUM_MEAN}"], [], 1),
    (
        unusual.of_a_dict, Words(), [f"(x − x̂)², {SUM_MEAN}", f"0.5 · {KL_MEAN}", "beside it the loss returns rec, kl"],
        [], 0.5,
    ),
    (unusual.huber, Words(), [f"Huber's loss of x − x̂ with δ = 0.5, {SUM_MEAN}", KL_MEAN], [], None),
    (unusual.log_cosh, Words(), ["with α = 10", f"0.05 · {KL_MEAN}", "logistic of scale φ = 1/(2α) = 0.05"], [], None),
    (unusual.sigma_vae, Words(), ["32 · ln Σ (x − x̂)² over the batch", KL_SUM, "optimal_precision"], [], None),
    (unusual.predicted_variance, Words(), [f"(x − x̂)², {SUM_MEAN}", "exp(x_logvar), one for each value"], [], 1),
    (unusual.warm_up, Words(), ["step is a schedule", "begins at 0 of its last"], [], 1),
    (unusual.continuous_bernoulli, Words(), [f"BCE(x̂, x) − ln C(x̂), {SUM_MEAN}", KL_MEAN], [], None),
    (unusual.counts_by_a_draw, Words(), [f"(x̂ − x ln x̂), {SUM_MEAN}", KL_MEAN, "ln x! is in it"], [], 1),
    (
        unusual.LightningLike, Words({}, shape=(2, 4, 4), latents=4), [f"(x − x̂)², {MEAN_MEAN}", f"0.001 · {KL_MEAN}"],
        [], 0.016,
    ),
    (unusual.Perceptual, Words(), [KL_MEAN], ["not a function of pixels alone"], None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("thing", "words", "parts", "mistakes", "phi"), CASES, ids=lambda value: getattr(value, "__name__", "")
)
def test_what_is_said_of_it(thing, words, parts, mistakes, phi):
    loss = target(thing, None, thing.__name__, thing.__name__)
    its_report = report(read(loss.function, words, loss.owner))
    text = its_report.text()
    for part in parts:
        assert part in text, text
    assert len(its_report.mistakes) == len(mistakes), its_report.mistakes
    for sentence in mistakes:
        assert any(sentence in each for each in its_report.mistakes), its_report.mistakes
    assert (its_report.loss.phi if its_report.loss else None) == (pytest.approx(phi, rel=1e-5) if phi else None)
    assert all(
        each.residual is None or each.residual < 1e-6
        for each in its_report.statements
        if "function of single" not in each.text
    )


@pytest.mark.nightly
@pytest.mark.parametrize(
    "thing",
    [
        real.CapacityVAE, real.ContinuousPerceptual, real.world_model, real.BoltsVAE, unusual.huber, unusual.log_cosh,
        unusual.sigma_vae, unusual.predicted_variance, unusual.continuous_bernoulli,
    ],
    ids=lambda thing: thing.__name__,
)  # fmt: skip
def test_the_train_line_builds_a_run(thing, tmp_path):
    loss = target(thing, None, thing.__name__, thing.__name__)
    numbers = {"M_N": 0.005} if thing is real.CapacityVAE else {}
    line = report(read(loss.function, Words(numbers, shape=(1, 8, 8)), loss.owner)).train
    words = [word for word in line.removeprefix("vaekl train ").split() if not word.startswith("dataset.path")]
    assert built(tmp_path, *words).trainer.model.likelihood.name in line
