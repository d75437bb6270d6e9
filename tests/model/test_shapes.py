"""Vectors, signals, images and volumes: one equation, whatever the shape of x."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import model_of, seeded, split_of
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from torch import nn
from torch.testing import assert_close

from vaekl.data import Data, DataSpec
from vaekl.data.sources.build import Part, build_source
from vaekl.data.transforms import AsStored
from vaekl.measures.calibration import calibration, figures
from vaekl.measures.elbo import evaluate
from vaekl.model.likelihoods import Gaussian, Laplace
from vaekl.model.nets import conv, linear
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedDispersion, LearnedPrecision, OptimalPrecision
from vaekl.system.errors import VaeklError

#: 24 values each
SHAPES = {"vector": (24,), "signal": (2, 12), "image": (2, 3, 4), "volume": (2, 2, 3, 2)}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
WINE = load_wine().data[np.random.default_rng(0).permutation(178)]
TRAIN, TEST = np.split((WINE - WINE.mean(0)) / WINE.std(0), [120])


def wine(images):
    return split_of(torch.from_numpy(images).float())


def test_each_shape_has_a_word():
    assert {shape: DataSpec("x", shape, None, "real").example for shape in SHAPES.values()} == {
        shape: word for word, shape in SHAPES.items()
    }
    assert DataSpec("x", (13,), None, "real").channels == [f"value {i}" for i in range(13)]
    assert DataSpec("x", (2, 9), None, "real").channels == ["channel 0", "channel 1"]
    pictures = [DataSpec("x", shape, None, "unit_interval").is_picture for shape in SHAPES.values()]
    assert pictures == [False, False, True, False]
    assert not DataSpec("x", (1, 8, 8), None, "real").is_picture


@every_shape
def test_a_dispersion_for_each_channel_or_value_has_the_axes_of_the_shape(shape):
    ones = (1,) * len(shape)
    expected = {"scalar": ones, "channel": (shape[0], *ones[1:]), "value": shape, "pixel": shape}
    x = torch.rand(8, *shape, generator=seeded())
    for per, group in expected.items():
        for weighting in (LearnedPrecision(Gaussian(), shape, per), OptimalPrecision(Gaussian(), shape, per)):
            model = model_of(DataSpec("x", shape, None, "real"), weighting=weighting).train()
            terms = model(x, torch.zeros(8, 3))
            assert terms.dispersion.shape == group and terms.energy.shape == (8, *group)
            assert_close(terms.elbo, terms.log_norm_const - terms.energy_nats - terms.total_kl)
    assert FixedDispersion(Gaussian(), shape, 0.5).dispersion.shape == ones


@pytest.mark.parametrize("per", ["channel", "value"])
def test_the_dispersion_of_a_column_is_its_variance_around_the_decoder(per):
    """A decoder that always gives the columns' means leaves each column's variance; numpy computes that."""
    spread = np.geomspace(0.01, 30, 13)
    columns = np.random.default_rng(0).normal(5, 1, (400, 13)) * spread
    x = torch.from_numpy(columns).float()
    weighting = OptimalPrecision(Gaussian(), (13,), per)
    model = model_of(DataSpec("x", (13,), None, "real"), weighting=weighting, hidden=()).train()
    with torch.no_grad():
        model.decoder[0].weight.zero_()
        model.decoder[0].bias.copy_(x.mean(0))
    model(x, torch.zeros(400, 3))
    np.testing.assert_allclose(model.eval().weighting.dispersion.numpy(), columns.var(0), rtol=1e-3)
    table = figures(calibration(model, split_of(x), seeded()), model.spec.channels)
    assert list(table) == ["all", *(f"value {i}" for i in range(13))]
    for i in range(13):
        row = table[f"value {i}"]
        assert row["rmse"] == pytest.approx(columns[:, i].std(), rel=1e-3)
        assert row["sigma_over_rmse"] == pytest.approx(1, rel=1e-3)
        assert row["calibrated_beta_kl"] == pytest.approx(columns[:, i].var(), rel=1e-3)


def exact_linear_vae(mean, loadings, phi):
    """x = μ + W z + noise of variance φ, with its exact posterior where WᵀΦ⁻¹W is diagonal."""
    precision = 1 + (loadings**2 / phi[:, None]).sum(0)
    to_mean = (loadings / phi[:, None] / precision).T
    spec, latents = DataSpec("wine", (13,), None, "real"), loadings.shape[1]
    weighting = LearnedPrecision(Gaussian(), spec.shape, "value")
    model = VAE(spec, linear(spec.shape, 1, latents), Gaussian(), weighting, latents)
    values = {
        model.encoder.mean.weight: to_mean,
        model.encoder.mean.bias: -to_mean @ mean,
        model.encoder.log_std: -0.5 * np.log(precision),
        model.decoder[0].weight: loadings,
        model.decoder[0].bias: mean,
        weighting.log_dispersion: np.log(phi),
    }
    with torch.no_grad():
        for parameter, value in values.items():
            parameter.copy_(torch.from_numpy(value))
    return model.eval()


def test_on_vectors_a_linear_vae_with_one_dispersion_is_probabilistic_pca():
    pca = PCA(4).fit(TRAIN)
    phi = np.full(13, pca.noise_variance_)
    loadings = pca.components_.T * np.sqrt(pca.explained_variance_ - pca.noise_variance_)
    model = exact_linear_vae(pca.mean_, loadings, phi)
    # the posterior is exact, so that the ELBO has no gap but the noise of its one sample
    for images in (TRAIN, TEST):
        mean = np.mean([evaluate(model, wine(images), seeded(seed)).elbo for seed in range(300)])
        assert mean == pytest.approx(pca.score(images), abs=0.05)


def test_on_vectors_a_linear_vae_with_a_dispersion_for_each_value_is_factor_analysis():
    factors = FactorAnalysis(3, tol=1e-5, max_iter=5_000, svd_method="lapack").fit(TRAIN)
    model = exact_linear_vae(factors.mean_, factors.components_.T, factors.noise_variance_)
    mean = np.mean([evaluate(model, wine(TEST), seeded(seed)).elbo for seed in range(300)])
    assert mean == pytest.approx(factors.score(TEST), abs=0.1)
    assert factors.score(TEST) > PCA(3).fit(TRAIN).score(TEST) + 0.1, "one dispersion for all would be told apart"


def correlated(x, weight, bias):
    """A convolution with stride 2 and one value of padding a side, by loops."""
    x = np.pad(x, [(0, 0), *[(1, 1)] * (x.ndim - 1)])
    sides = [(size - 3) // 2 + 1 for size in x.shape[1:]]
    out = np.zeros((len(weight), *sides))
    for place in np.ndindex(*sides):
        window = x[(slice(None), *(slice(2 * at, 2 * at + 3) for at in place))]
        out[(slice(None), *place)] = (weight * window).reshape(len(weight), -1).sum(1) + bias
    return out


@pytest.mark.parametrize("shape", [(2, 11), (2, 9, 8), (2, 8, 9, 10)], ids=["signal", "image", "volume"])
def test_convolutions_reach_along_every_side(shape):
    encoder, decoder = (net.double() for net in conv(shape, 1, 2, width=3, hidden=4))
    x = torch.randn(1, *shape, generator=seeded(), dtype=torch.float64)
    first = encoder[0]
    expected = correlated(x[0].numpy(), first.weight.detach().numpy(), first.bias.detach().numpy())
    np.testing.assert_allclose(first(x)[0].detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    last = [
        layer for layer in decoder if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
    ]
    assert len(last) == len([layer for layer in encoder if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)])


@pytest.mark.parametrize("shape", [(1, 9), (1, 8, 9), (1, 8, 8, 9)], ids=["signal", "image", "volume"])
def test_gradients_of_convolutions_are_finite_differences(shape):
    encoder, decoder = (net.double() for net in conv(shape, 1, 2, width=1, hidden=3, activation="tanh"))
    x = torch.randn(2, *shape, generator=seeded(), dtype=torch.float64, requires_grad=True)
    z = torch.randn(2, 2, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    # the posterior's head, the last layer, gives float32
    for net, inputs in ((encoder[:-1], x), (decoder, z)):
        names = [name for name, parameter in net.named_parameters() if parameter.ndim == len(shape) + 1]

        def output(inputs, *weights, net=net, names=names):
            return torch.func.functional_call(net, dict(zip(names, weights, strict=True)), (inputs,)).square().mean()

        torch.autograd.gradcheck(output, (inputs, *(net.get_parameter(name) for name in names)))


def test_vectors_have_no_convolution_and_small_volumes_are_named():
    with pytest.raises(VaeklError, match=r"model=conv takes signals, images and volumes.*\(13,\).*model=mlp"):
        conv((13,), 1, 2)
    with pytest.raises(VaeklError, match="volumes of at least 8 × 8 × 8, but these are 4 × 32 × 32: use model=mlp"):
        conv((1, 4, 32, 32), 1, 2)
    with pytest.raises(VaeklError, match="signals of at least 8, but these are 7: use model=mlp"):
        conv((3, 7), 1, 2)


@every_shape
def test_a_source_of_any_shape_becomes_data(shape):
    images = np.random.default_rng(0).normal(size=(20, *shape)).astype(np.float32)
    source = build_source("x", {"train": Part(images[:15], None, "train"), "test": Part(images[15:], None, "test")})
    assert source.spec == DataSpec("x", shape, None, "real")
    data = Data.from_source(source, AsStored(), Laplace.accepts, valid=3)
    assert np.array_equal(np.sort(np.concatenate([data.train.images, data.valid.images]), 0), np.sort(images[:15], 0))
    assert data.test.batch(slice(0, 2)).shape == (2, *shape)
    assert replace(data.spec).facts()["shape"] == list(shape)
