"""Real values on a scale of their own: moments by NumPy, and everything reported back on the user's scale."""

import numpy as np
import pytest
import torch
from scipy import stats

from vaekl.data import Data
from vaekl.data.auto import AutoTransform
from vaekl.data.spec import DataSpec, Source
from vaekl.data.standardize import Standardize
from vaekl.model.likelihoods import Gaussian
from vaekl.model.nets import linear
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedDispersion
from vaekl.system.errors import VaeklError

AXES = {"data": (0, 1, 2, 3), "channel": (0, 2, 3), "value": (0,)}


def real(count=30, shape=(2, 3, 4), seed=0):
    """Values whose columns differ in place and spread by orders of magnitude."""
    draw = np.random.default_rng(seed)
    place, spread = draw.normal(size=shape) * 1e3, 10 ** draw.uniform(-2, 3, shape)
    return torch.tensor(place + spread * draw.normal(size=(count, *shape)), dtype=torch.float32)


def data_of(train, test=None, transform=None, valid=0):
    spec = DataSpec("measurements", tuple(train.shape[1:]), None, "real")
    source = Source(spec, train, real(8, train.shape[1:], seed=1) if test is None else test)
    return Data.from_source(source, transform or AutoTransform(), Gaussian.accepts, valid)


@pytest.mark.parametrize("per", AXES)
def test_moments_are_those_of_the_training_images(per):
    train = real()
    data = data_of(train, transform=Standardize(per))
    values = train.double().numpy()
    mean, std = values.mean(AXES[per], keepdims=True), values.std(AXES[per], keepdims=True)
    np.testing.assert_allclose(data.train.batch(slice(None)).numpy(), (values - mean) / std, atol=2e-3)
    tested = (data.test.images.double().numpy() - mean) / std
    np.testing.assert_allclose(data.test.batch(slice(None)).numpy(), tested, rtol=1e-3, atol=2e-3)
    assert "standardized" in data.spec.protocol


def test_held_out_images_are_not_looked_at():
    train = real(40)
    whole, held = data_of(train), data_of(train, valid=20)
    assert held.spec.scaling.center != whole.spec.scaling.center
    left = held.train.images.double()
    assert held.spec.scaling.center.item() == pytest.approx(left.mean().item(), rel=1e-5)
    assert torch.equal(held.valid.transform.scaling.center, held.train.transform.scaling.center)


def test_auto_standardizes_real_values_alone():
    data = data_of(real())
    assert data.spec.scaling.per == "data"
    assert data_of(real(30, (7,))).spec.scaling.per == "value"
    unit = DataSpec("unit", (1, 2, 2), None, "unit_interval")
    source = Source(unit, torch.rand(9, 1, 2, 2), torch.rand(9, 1, 2, 2))
    assert Data.from_source(source, AutoTransform(), Gaussian.accepts, 0).spec.scaling is None
    with pytest.raises(VaeklError, match="transform=standardize needs real values"):
        Data.from_source(source, Standardize(), Gaussian.accepts, 0)


def test_a_column_that_never_varies_stays_finite():
    train = real(30, (5,))
    train[:, 2] = 7.0
    batch = data_of(train).train.batch(slice(None))
    assert batch.isfinite().all() and (batch[:, 2] == 0).all()


@pytest.mark.parametrize("per", AXES)
def test_the_density_is_one_of_the_user_s_values(per):
    """ln p of x itself, by SciPy: mean and σ of the decoder's Gaussian moved to the user's scale."""
    data = data_of(real(), transform=Standardize(per))
    torch.manual_seed(0)
    likelihood = Gaussian()
    weighting = FixedDispersion(likelihood, data.spec.shape, 0.3)
    model = VAE(data.spec, linear(data.spec.shape, 1, 2), likelihood, weighting, 2).eval()
    x, stored = data.test.batch(slice(None)), data.test.images.double()
    noise = torch.randn(len(x), 2)
    terms, eta = model.terms(x, noise)
    mean, variance = (part.detach().double().numpy() for part in model.moments(eta))
    log_prob = stats.norm(mean, np.sqrt(variance)).logpdf(stored.numpy()).sum((1, 2, 3))
    np.testing.assert_allclose(model.log_prob(eta, x).detach().numpy(), log_prob, rtol=2e-4)
    elbo = log_prob - terms.total_kl.detach().double().numpy()
    np.testing.assert_allclose(terms.elbo.detach().numpy(), elbo, rtol=2e-4)
    scaling = data.spec.scaling
    np.testing.assert_allclose(
        variance, np.broadcast_to(0.3 * scaling.spread.double().square(), variance.shape), rtol=1e-5
    )
    assert np.isclose(data.spec.log_volume, np.log(np.broadcast_to(scaling.spread.double(), (2, 3, 4))).sum())
