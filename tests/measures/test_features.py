"""Fréchet distance and inception score against closed forms, with injected networks; Inception's real path."""

import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn

from vaekl.measures.features import Inception, inception, scores
from vaekl.system.errors import VaeklError


class Pixels(nn.Module):
    """An image's pixels as features, and multiples of them as logits."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return x.flatten(1), self.scale * x.flatten(1)


def images(count, seed=0, pixels=6):
    """Dependent pixels in [0.1, 0.9], so that no value is clamped."""
    mixed = np.random.default_rng(seed).normal(size=(count, pixels)) @ np.random.default_rng(9).normal(size=(pixels, 6))
    return torch.from_numpy(0.5 + 0.4 * np.tanh(mixed / 4)).float().view(count, 1, 2, 3)


def by_scipy(real, generated):
    real, generated = (x.flatten(1).double().numpy() for x in (real, generated))
    s, t = np.cov(real.T), np.cov(generated.T)
    return ((real.mean(0) - generated.mean(0)) ** 2).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real)


def by_numpy(logits):
    """exp(H(y) − H(y|x)) from float64 logits."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    marginal = p.mean(0)
    return np.exp((p * np.log(p)).sum(1).mean() - (marginal * np.log(marginal)).sum())


def test_frechet_distance_is_scipys():
    real, generated = images(300), images(200, seed=1) ** 2
    quality = scores(real.split(64), generated.split(50), Pixels())
    assert quality.frechet == pytest.approx(by_scipy(real, generated), rel=1e-9)
    assert (quality.real, quality.generated) == (300, 200)


def test_frechet_distance_of_a_scaled_and_shifted_copy_in_closed_form():
    real = images(500)
    generated = 0.5 * real + 0.2
    x = real.flatten(1).double().numpy()
    # S' = a² S, so that (S S')^½ = a S
    expected = ((0.5 * x.mean(0) - 0.2) ** 2).sum() + (1 - 0.5) ** 2 * np.trace(np.cov(x.T))
    assert scores([real], [generated], Pixels()).frechet == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("count", [4, 300])
def test_frechet_distance_of_equal_images_is_zero_even_where_the_covariance_has_no_full_rank(count):
    x = images(count)
    assert 0 <= scores([x], [x.flip(0)], Pixels()).frechet < 1e-6


def one_hot(classes, each, size=6):
    return torch.eye(size)[:classes].repeat(each, 1).view(-1, 1, 2, size // 2)


@pytest.mark.parametrize("scale", [50.0, 1e5])
@pytest.mark.parametrize("classes", [3, 6])
def test_inception_score_of_sure_and_even_guesses_is_the_number_of_classes(classes, scale):
    quality = scores([images(10)], [one_hot(classes, 9)], Pixels(scale))
    assert quality.inception_mean == pytest.approx(classes, rel=1e-9)
    assert quality.inception_std is None


def test_inception_score_of_guesses_that_do_not_depend_on_the_image_is_one():
    quality = scores([images(10)], [images(1).expand(200, -1, -1, -1)], Pixels())
    assert quality.inception_mean == pytest.approx(1.0, abs=1e-9)
    assert quality.inception_std == pytest.approx(0.0, abs=1e-9)


def test_inception_score_of_unsure_guesses():
    x = images(99)
    expected = by_numpy(10 * x.flatten(1).numpy().astype(float))
    assert 1.05 < expected < 5
    assert scores([x], x.split(20), Pixels(10.0)).inception_mean == pytest.approx(expected, rel=1e-6)


def test_inception_score_is_averaged_over_ten_random_parts_of_a_hundred_images_or_more():
    x = images(1000, seed=3)
    logits = 10 * x.flatten(1).numpy().astype(float)
    whole = by_numpy(logits)
    quality = scores([x], [x], Pixels(10.0))
    rng = np.random.default_rng(0)
    parts = [[by_numpy(part) for part in np.array_split(rng.permutation(logits), 10)] for _ in range(50)]
    means = np.mean(parts, axis=1)
    assert abs(quality.inception_mean - means.mean()) < 5 * means.std()
    assert quality.inception_mean < whole
    assert quality.inception_std == pytest.approx(np.std(parts, axis=1, ddof=1).mean(), rel=0.8)


def test_the_same_seed_gives_the_same_scores_and_the_global_stream_is_left_alone():
    x = images(200)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    quality = scores([x], [x], Pixels(10.0), seed=4)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert scores([x], [x], Pixels(10.0), seed=4) == quality
    other = scores([x], [x], Pixels(10.0), seed=5)
    assert other.inception_std != quality.inception_std
    assert other.frechet == quality.frechet


def test_values_outside_pictures_are_clamped():
    x = images(50)
    far = x.clone()
    far[:, 0, 0, 0] = torch.where(torch.arange(50) % 2 == 0, 1.7, -0.3)
    near = far.clamp(0, 1)
    assert scores([far], [x], Pixels()) == scores([near], [x], Pixels())


def test_too_few_images_are_refused():
    with pytest.raises(VaeklError, match=r"^FID and inception score .* there are 40 and 1: raise .*\.$"):
        scores([images(40)], [images(1)], Pixels())
    with pytest.raises(VaeklError, match=r"there are 0 and 40"):
        scores([], [images(40)], Pixels())


def test_images_that_are_not_finite_are_refused():
    x = images(10)
    x[2, 0, 0, 0] = float("nan")
    with pytest.raises(VaeklError, match=r"^the generated images have no FID .*\.$"):
        scores([images(10)], [x], Pixels())


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Where torch.hub keeps Inception's weights, in an empty cache and without a network."""

    def refuse(*_, **__):
        raise urllib.error.URLError("no network in tests")

    library = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    return tmp_path / "hub" / "checkpoints" / library.URL_INCEPTION_V3.rsplit("/", 1)[1]


def test_missing_weights_get_a_sentence(weights):
    with pytest.raises(VaeklError) as refused:
        inception()
    sentence = str(refused.value)
    assert "\n" not in sentence
    for part in (str(weights), "missing", "no network in tests", "https://", "eval.features=classifier"):
        assert part in sentence


def test_damaged_weights_get_a_sentence(weights):
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"PK half a download")
    with pytest.raises(VaeklError, match=r"cannot be read \(.*\); delete it .*eval\.features=classifier"):
        inception()


def test_weights_in_the_cache_are_used_on_bytes_of_three_channels(weights, monkeypatch):
    from torch_fidelity import feature_extractor_inceptionv3 as library

    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(library.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        patch.setattr(library, "load_state_dict_from_url", lambda *_, **__: {})
        random = library.FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"]).eval()
    weights.parent.mkdir(parents=True)
    torch.save(random.state_dict(), weights)

    network = inception()
    assert isinstance(network, Inception)
    x = (torch.arange(8 * 64) % 256).view(8, 1, 8, 8).float() / 255
    with torch.no_grad():
        features, logits = network(x[:2])
        expected = random((x[:2] * 255).round().to(torch.uint8).repeat(1, 3, 1, 1))
    assert (features.shape, logits.shape) == ((2, 2048), (2, 1008))
    assert torch.equal(features, expected[0])
    assert torch.equal(logits, expected[1])
    with pytest.raises(VaeklError, match=r"^Inception sees pictures of 1 or 3 channels, not of 2: .*\.$"):
        network(torch.zeros(1, 2, 8, 8))


def test_the_extra_that_is_not_installed_gets_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(VaeklError, match=r'^eval\.features=inception needs .*pip install "vaekl\[fid\]"`.*classifier'):
        inception()
