"""The importance-weighted bound and its two gradients, against SciPy and against posteriors that are known."""

from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest
import torch
from helpers import model_of, seeded, spec_of, split_of, trainer_of
from scipy import stats
from scipy.special import logsumexp

from vaekl.data import Data
from vaekl.measures.elbo import evaluate
from vaekl.measures.importance import importance_bounds
from vaekl.model.control import Capacity, InformationWeight
from vaekl.model.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from vaekl.model.objective import Iwae
from vaekl.model.weighting import FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision
from vaekl.system.errors import VaeklError

SHAPE = (1, 1, 3)
GRADIENTS = ("reparameterized", "doubly_reparameterized")


def linear_model(objective, dispersion=0.5, latents=2):
    """x = W z + b + noise, and an encoder that has never seen x; float64."""
    likelihood = Gaussian()
    spec = spec_of(torch.zeros(1, *SHAPE), "real")
    weighting = FixedDispersion(likelihood, SHAPE, dispersion)
    model = model_of(spec, likelihood, weighting, latents, hidden=()).double().train()
    model.encode = lambda x: tuple(part.double() for part in model.encoder(x.double()))
    model.decode = lambda z, x=None: model.decoder(z)
    model.objective = objective
    return model


def numbers(model):
    """Decoder and encoder as NumPy arrays."""
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    encoder = state["encoder.mean.weight"], state["encoder.mean.bias"], np.exp(state["encoder.log_std"])
    return state["decoder.0.weight"], state["decoder.0.bias"], *encoder


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(("k", "schedule"), [(1, 1.0), (4, 1.0), (4, 0.3)])
def test_the_loss_is_scipy_s(k, schedule, gradient):
    model = linear_model(Iwae(k, gradient))
    x, noise = torch.randn(5, *SHAPE, generator=seeded()).double(), torch.randn(5, k, 2, generator=seeded(1)).double()
    decoder, bias, weight, offset, std = numbers(model)
    bounds = []
    for image, draws in zip(x.flatten(1).numpy(), noise.numpy(), strict=True):
        mean = weight @ image + offset
        z = mean + std * draws
        density = stats.norm.logpdf(image, z @ decoder.T + bias, sqrt(0.5)).sum(1)
        ratio = stats.norm.logpdf(z).sum(1) - stats.norm.logpdf(z, mean, std).sum(1)
        bounds.append(logsumexp(density + schedule * ratio) - log(k))
    loss = model.loss(model(x, noise if k > 1 else noise[:, 0]), schedule)
    assert loss.item() == pytest.approx(-np.mean(bounds), rel=1e-8)


def gradients(model, x, noise, schedule=1.0):
    """Of the encoder and of the decoder, flat."""
    model.zero_grad()
    model.loss(model(x, noise), schedule).backward()
    parts = (model.encoder, model.decoder)
    return [torch.cat([parameter.grad.flatten() for parameter in part.parameters()]) for part in parts]


@pytest.mark.parametrize("schedule", [1.0, 0.4])
def test_both_gradients_are_the_same_on_average(schedule):
    """300 batches of 50 draws for one image; of the decoder they are the same in each."""
    one, two = (linear_model(Iwae(3, gradient)) for gradient in GRADIENTS)
    two.load_state_dict(one.state_dict())
    x, generator = torch.tensor([[[[0.3, -1.2, 2.0]]]]).double().expand(50, *SHAPE), seeded()
    differences = []
    for _ in range(300):
        noise = torch.randn(50, 3, 2, generator=generator).double()
        (first, decoder), (second, same) = (gradients(model, x, noise, schedule) for model in (one, two))
        assert torch.allclose(decoder, same, rtol=1e-9)
        differences.append(first - second)
    stacked = torch.stack(differences)
    error = stacked.std(0) / sqrt(len(stacked))
    assert (error > 0).all() and (stacked.mean(0).abs() < 4 * error).all()


def test_at_the_exact_posterior_the_doubly_reparameterized_gradient_has_no_noise():
    """There w is p(x) whatever z is, the bound is ln p(x), and nothing is left to learn for the encoder."""
    for gradient in GRADIENTS:
        model = linear_model(Iwae(5, gradient), latents=1)
        with torch.no_grad():
            variance = 1 / (1 + model.decoder[0].weight.square().sum() / 0.5)
            model.encoder.mean.weight.copy_(variance * model.decoder[0].weight.T / 0.5)
            model.encoder.mean.bias.copy_(-model.encoder.mean.weight @ model.decoder[0].bias)
            model.encoder.log_std.fill_(0.5 * variance.log())
        x = torch.randn(6, *SHAPE, generator=seeded()).double()
        noise = torch.randn(6, 5, 1, generator=seeded(2)).double()
        decoder, bias, *_ = numbers(model)
        exact = stats.multivariate_normal(bias, decoder @ decoder.T + 0.5 * np.eye(3)).logpdf(x.flatten(1).numpy())
        assert model.loss(model(x, noise), 1.0).item() == pytest.approx(-exact.mean(), rel=1e-8)
        encoder, _ = gradients(model, x, noise)
        assert (encoder.abs().max() < 1e-7) == (gradient == "doubly_reparameterized")


def test_validation_sees_the_bound_and_the_same_elbo_as_ever():
    """The loss of an evaluation is −L_K; its other figures do not depend on the objective."""
    images = torch.randn(400, *SHAPE, generator=seeded())
    spec = spec_of(images, "real")
    model = model_of(spec, Gaussian(), FixedDispersion(Gaussian(), SHAPE, 0.5), 2, hidden=())
    plain = evaluate(model, split_of(images), seeded())
    model.objective = Iwae(8)
    evaluation = evaluate(model, split_of(images), seeded())
    assert evaluation.elbo == plain.elbo == pytest.approx(-plain.loss)
    bound = importance_bounds(model.eval(), split_of(images), model.log_prob, [8], seeded(5)).bound[8]
    assert -evaluation.loss == pytest.approx(bound.mean().item(), abs=4 * bound.std().item() / sqrt(400) / 5)
    assert -evaluation.loss > plain.elbo + 0.1


@pytest.mark.parametrize("better", [True, False])
def test_patience_goes_by_the_bound(better):
    """An encoder that widens may lose in the ELBO what it wins in L_K."""
    images = torch.randn(60, *SHAPE, generator=seeded())
    spec, split = spec_of(images, "real"), split_of(images)
    model = model_of(spec, Gaussian(), FixedDispersion(Gaussian(), SHAPE), 2, hidden=())
    model.objective = Iwae(4)
    trainer, recorder = trainer_of(Data(spec, spec, split, split, split), model, steps=2, valid_every=1, patience=9)
    bounds = iter([1.0, 2.0 if better else 0.5])
    judged = evaluate(model, split, seeded())
    with pytest.MonkeyPatch.context() as patch:
        # the ELBO falls all the while
        patch.setattr(
            "vaekl.training.judging.evaluate", lambda *_: replace(judged, elbo=-trainer.step, loss=-next(bounds))
        )
        trainer.fit()
    assert [improved for *_, improved in recorder.evaluations] == [True, better]
    assert trainer.best_elbo == (2.0 if better else 1.0)


REFUSED = {
    "another loss": (FixedBeta, None, "weighting=fixed_beta has another loss"),
    "solved": (OptimalPrecision, None, "weighting=optimal_precision solves φ"),
    "capacity": (LearnedPrecision, Capacity, "control=capacity"),
    "λ": (LearnedPrecision, lambda *a: InformationWeight(*a, 2.0), "control=information_weight"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_cannot_be_combined_with(case):
    make, control, words = REFUSED[case]
    spec, likelihood = spec_of(torch.zeros(1, *SHAPE), "real"), Gaussian()
    control = (control or InformationWeight)(likelihood, spec, 10)
    with pytest.raises(VaeklError, match=words) as caught:
        Iwae().check(make(likelihood, SHAPE), control)
    assert "use " in str(caught.value)


@pytest.mark.parametrize("likelihood", [Gaussian, ContinuousBernoulli, Bernoulli])
def test_what_it_can_be_combined_with(likelihood):
    family = likelihood()
    Iwae().check(FixedDispersion(family, SHAPE), InformationWeight(family, spec_of(torch.zeros(1, *SHAPE)), 10))


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 2.5}, {"gradient": "double"}])
def test_settings_are_refused_by_their_names(options):
    with pytest.raises(VaeklError, match=f"objective.{next(iter(options))}"):
        Iwae(**options)
