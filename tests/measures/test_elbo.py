"""The ruler against a numpy recomputation on a small model."""

import numpy as np
import pytest
import torch
from helpers import grey, model_of, seeded, spec_of, split_of
from scipy import stats
from scipy.special import softmax

from vaekl.data import DataSpec, Split
from vaekl.data.transforms import Dequantize
from vaekl.measures.elbo import evaluate
from vaekl.model.likelihoods import Categorical, ContinuousBernoulli, Gaussian, Mixture, StudentT
from vaekl.model.weighting import FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision
from vaekl.training.schedules import LinearSchedule

COUNT, LATENTS = 37, 3
SHAPE = (2, 3, 4)
WEIGHTINGS = {
    "fixed_beta": (lambda: FixedBeta(Gaussian(), SHAPE, 0.2), 0.2),
    "fixed_dispersion": (lambda: FixedDispersion(Gaussian(), SHAPE, 0.2), 1.0),
    "learned_precision": (lambda: LearnedPrecision(Gaussian(), SHAPE, "channel", 0.2), 1.0),
}


def by_numpy(model, x, seed, batch_size=500):
    """Everything again in float64, from the weights of a linear VAE; noise in the documented order."""
    weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    noise = torch.cat([torch.randn(len(part), LATENTS, generator=generator) for part in x.split(batch_size)])
    x = x.double().numpy().reshape(len(x), -1)
    mean = x @ weights["encoder.mean.weight"].T + weights["encoder.mean.bias"]
    std = np.exp(weights["encoder.log_std"])
    z = mean + std * noise.double().numpy()
    mu = z @ weights["decoder.0.weight"].T + weights["decoder.0.bias"]
    phi = np.broadcast_to(model.weighting.dispersion.detach().double().numpy(), SHAPE).ravel()
    kl = 0.5 * (mean**2 + std**2 - 1) - np.log(std)
    log_prob = stats.norm(mu, np.sqrt(phi)).logpdf(x)
    energy = 0.5 * (x - mu) ** 2
    elbo = log_prob.sum(1) - kl.sum(1)
    return {
        "energy_nats": (energy / phi).sum(1).mean(),
        "energy": energy.sum(1).mean(),
        "log_norm_const": -0.5 * np.log(2 * np.pi * phi).sum(),
        "kl": kl.sum(1).mean(),
        "elbo": elbo.mean(),
        "elbo_standard_error": elbo.std(ddof=1) / np.sqrt(len(x)),
        "dispersion": stats.gmean(phi),
        "implied_sigma": np.sqrt(phi.mean()),
        "rmse": np.sqrt(((x - mu) ** 2).mean()),
        "active_units": int((mean.var(0, ddof=1) > 0.01).sum()),
        "kl_per_latent": kl.mean(0),
        "images": len(x),
    }


def linear_model(weighting):
    model = model_of(spec_of(grey(1, SHAPE)), Gaussian(), weighting, LATENTS, hidden=())
    with torch.no_grad():
        model.encoder.log_std += torch.tensor([-0.5, 0.1, 0.2])
        model.encoder.mean.weight[1] *= 0.02  # a latent that says next to nothing
    return model


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("schedule", [0.25, 1.0])
def test_every_figure_is_numpy_s(name, schedule):
    make, beta_kl = WEIGHTINGS[name]
    model, x = linear_model(make()), grey(COUNT, SHAPE)
    evaluation = evaluate(model, split_of(x), seeded(5), schedule, batch_size=10)
    expected = by_numpy(model, x, seed=5, batch_size=10)
    for key, value in expected.items():
        assert np.asarray(getattr(evaluation, key)) == pytest.approx(value, rel=1e-5), key
    assert evaluation.bits_per_dim is None  # a density on values that were not dequantised
    assert 0 < evaluation.active_units < LATENTS
    assert evaluation.beta_kl == pytest.approx(beta_kl)
    assert evaluation.effective_beta_kl == pytest.approx(expected["dispersion"] * schedule, rel=1e-6)
    objective = expected["energy"] if name == "fixed_beta" else expected["energy_nats"] - expected["log_norm_const"]
    assert evaluation.loss == pytest.approx(objective + beta_kl * schedule * expected["kl"], rel=1e-5)


def test_categorical_figures_are_numpy_s_on_the_unit_scale():
    """Five levels k/4: the mean and the spread of softmax over them, from the weights of a linear VAE."""
    likelihood, levels = Categorical(5), np.arange(5) / 4
    model = model_of(DataSpec("x", SHAPE, 5, "levels"), likelihood, None, LATENTS, hidden=())
    with torch.no_grad():
        model.decoder[0].weight *= 5
    x = torch.randint(0, 5, (COUNT, *SHAPE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    evaluation = evaluate(model, split_of(x), seeded(5))

    weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
    noise = torch.randn(COUNT, LATENTS, generator=torch.Generator().manual_seed(5)).double().numpy()
    flat = x.numpy().reshape(COUNT, -1)
    mean = flat / 4 @ weights["encoder.mean.weight"].T + weights["encoder.mean.bias"]
    z = mean + np.exp(weights["encoder.log_std"]) * noise
    logits = (z @ weights["decoder.0.weight"].T + weights["decoder.0.bias"]).reshape(COUNT, 5, 24)
    mass = softmax(logits, 1)
    picture = np.einsum("nkd,k->nd", mass, levels)
    variance = np.einsum("nkd,k->nd", mass, levels**2) - picture**2
    energy = -np.log(np.take_along_axis(mass, flat[:, None].astype(int), 1)).sum((1, 2)).mean()
    assert evaluation.rmse == pytest.approx(np.sqrt(((picture - flat / 4) ** 2).mean()), rel=1e-5)
    assert evaluation.implied_sigma == pytest.approx(np.sqrt(variance.mean()), rel=1e-5)
    assert (evaluation.energy, evaluation.energy_nats) == pytest.approx((energy, energy), rel=1e-5)
    assert evaluation.log_norm_const == pytest.approx(0, abs=1e-5)
    assert evaluation.bits_per_dim == pytest.approx((energy + evaluation.kl) / (24 * np.log(2)), rel=1e-5)


def test_each_channel_with_a_phi_of_its_own_has_it_under_its_name():
    model = linear_model(LearnedPrecision(Gaussian(), SHAPE, "channel", 0.2))
    with torch.no_grad():
        model.weighting.log_dispersion[1] = np.log(0.09)
    channels = evaluate(model, split_of(grey(COUNT, SHAPE)), seeded(), batch_size=10).record()["dispersion_by_channel"]
    assert list(channels) == ["channel 0", "channel 1"]
    assert [channel["dispersion"] for channel in channels.values()] == pytest.approx([0.2, 0.09])
    assert [channel["implied_sigma"] for channel in channels.values()] == pytest.approx([0.2**0.5, 0.3])
    for one_or_many in ("scalar", "value"):
        other = linear_model(LearnedPrecision(Gaussian(), SHAPE, one_or_many, 0.2))
        assert evaluate(other, split_of(grey(2, SHAPE)), seeded()).dispersion_by_channel == {}


@pytest.mark.parametrize(
    ("likelihood", "beta", "expected"), [(Gaussian(), 0.2, 1.0), (ContinuousBernoulli(), 4.0, 4.0)]
)
def test_the_information_weight_is_what_of_the_effective_beta_is_no_phi(likelihood, beta, expected):
    model = model_of(spec_of(grey(1, SHAPE)), likelihood, FixedBeta(likelihood, SHAPE, beta))
    evaluation = evaluate(model, split_of(grey(8, SHAPE)), seeded(), 0.5)
    assert evaluation.information_weight == expected * 0.5
    assert evaluation.effective_beta_kl == pytest.approx(evaluation.dispersion * evaluation.information_weight)


def test_a_learned_option_is_a_figure():
    learned = model_of(spec_of(grey(1, SHAPE)), StudentT(df="learned", scale="decoder", min_scale="learned"))
    options = evaluate(learned, split_of(grey(8, SHAPE)), seeded()).learned_options
    assert options == pytest.approx({"df": 5.0, "min_scale": 1e-3})
    mixture = Mixture("student_t", 2, {"df": "learned"})
    assert mixture.learned_options == pytest.approx({"options.df": 5.0})
    assert Gaussian().learned_options == StudentT().learned_options == {}


def test_the_ledger_adds_up():
    evaluation = evaluate(
        linear_model(LearnedPrecision(Gaussian(), SHAPE, "pixel", 0.3)), split_of(grey(COUNT, SHAPE)), seeded()
    )
    parts = -evaluation.energy_nats + evaluation.log_norm_const - evaluation.kl
    assert evaluation.elbo == pytest.approx(parts, rel=1e-6)
    assert evaluation.kl == pytest.approx(evaluation.kl_per_latent.sum().item())


def test_figures_carry_their_units_and_every_scalar():
    evaluation = evaluate(linear_model(FixedDispersion(Gaussian(), SHAPE)), split_of(grey(COUNT, SHAPE)), seeded())
    in_nats = {"log_norm_const", "kl", "elbo", "elbo_standard_error"}
    no_scalars = {"kl_per_latent", "dispersions", "dispersion_by_channel", "learned_options"}
    scalars = set(vars(evaluation)) - no_scalars - {"images", "loss_standard_error", "schedule"}
    expected = {f"{name}_nats" if name in in_nats else name: getattr(evaluation, name) for name in scalars}
    assert expected.pop("bits_per_dim") is None
    assert evaluation.figures() == expected


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("step", [0, 3, 9])
def test_the_validation_loss_weighs_the_kl_as_training_does(name, step):
    """The field's mistake: the config's weight in training, 1.0 in validation."""
    model, x = linear_model(WEIGHTINGS[name][0]()), grey(COUNT, SHAPE)
    multiplier = LinearSchedule(10, steps=6)(step)
    noise = torch.randn(COUNT, LATENTS, generator=torch.Generator().manual_seed(0))
    training_loss = model.weighting.loss(model.train()(x, noise), multiplier).item()
    evaluation = evaluate(model, split_of(x), seeded(), multiplier)
    assert evaluation.loss == pytest.approx(training_loss, rel=1e-5)
    assert evaluation.elbo == evaluate(model, split_of(x), seeded()).elbo


def test_the_batch_size_of_an_evaluation_changes_no_average():
    """Nothing is dropped, and a ragged last batch weighs by its images; without noise nothing else is left."""
    model, x = linear_model(FixedDispersion(Gaussian(), SHAPE, 0.5)), grey(COUNT, SHAPE)
    with torch.no_grad():
        model.encoder.log_std.fill_(-30)
    whole = evaluate(model, split_of(x), seeded(), batch_size=COUNT)
    for size in (1, 10, 36, 500):
        other = evaluate(model, split_of(x), seeded(), batch_size=size)
        assert other.images == COUNT
        assert other.figures() == pytest.approx(whole.figures(), rel=1e-6)


def test_two_evaluations_agree_to_the_last_digit_and_another_seed_does_not():
    images = torch.randint(0, 256, (COUNT, *SHAPE), dtype=torch.uint8)
    split = Split(images, None, Dequantize(255))
    spec = DataSpec("bytes", SHAPE, 256, "unit_interval", dequantized=True)
    model = model_of(spec, Gaussian(), FixedDispersion(Gaussian(), SHAPE, 0.1), LATENTS, hidden=())
    first, second = evaluate(model, split, seeded()), evaluate(model, split, seeded())
    assert first.figures() == second.figures()
    assert torch.equal(first.kl_per_latent, second.kl_per_latent)
    assert evaluate(model, split, seeded(1)).elbo != first.elbo
    assert first.bits_per_dim == pytest.approx(8 - first.elbo / (24 * np.log(2)), rel=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_training_is_not_disturbed(training):
    model = linear_model(OptimalPrecision(Gaussian(), SHAPE)).train(training)
    x = grey(COUNT, SHAPE)
    model(x, torch.zeros(COUNT, LATENTS))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    global_state = torch.get_rng_state()
    evaluate(model, split_of(x), seeded())
    assert model.training is training
    assert all(module.training is training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), global_state)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_one_image_has_no_standard_error_and_no_active_units():
    evaluation = evaluate(linear_model(FixedDispersion(Gaussian(), SHAPE)), split_of(grey(1, SHAPE)), seeded())
    assert evaluation.elbo_standard_error is None
    assert not {"elbo_standard_error_nats", "bits_per_dim"} & set(evaluation.figures())
    assert None not in evaluation.figures().values()
    assert evaluation.active_units == 0
    assert np.isfinite(evaluation.elbo)


def test_an_exact_model_is_calibrated():
    """x = μ + σ ε with the model's own μ and σ: the implied σ and the RMSE are the same number."""
    spec = DataSpec("x", (1, 20, 20), None, "real")
    model = model_of(spec, Gaussian(), FixedDispersion(Gaussian(), spec.shape, 0.09), LATENTS, hidden=())
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
    x = 0.3 * torch.randn(200, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    evaluation = evaluate(model, split_of(x), seeded())
    assert evaluation.implied_sigma == pytest.approx(0.3)
    # of 80,000 draws, the RMSE has a standard error of 1/√(2n) = 0.25 %
    assert evaluation.rmse == pytest.approx(0.3, rel=0.01)
