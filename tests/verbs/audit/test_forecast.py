"""The forecast's numbers against scikit-learn's PCA and closed forms, and the files that it writes."""

import json
import re

import numpy as np
import pytest
import torch
from cli_helpers import contents
from PIL import Image
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from vaekl.data import Data, Split
from vaekl.data.spec import DataSpec
from vaekl.data.transforms import AsStored
from vaekl.system.errors import VaeklError
from vaekl.verbs.audit import collapse as module
from vaekl.verbs.audit.collapse import forecast, predict
from vaekl.verbs.audit.spectrum import above, eigenvalues, elbo, grid, noise_variance, survivors

IMAGES = load_digits().data[:1437] / 16
COUNT, D = IMAGES.shape


@pytest.mark.parametrize("count", [1437, 300, 40], ids=["all", "some", "fewer than values"])
def test_eigenvalues_are_scikit_learn_s(count):
    """explained_variance_ divides by n − 1, the maximum likelihood estimate by n."""
    images = IMAGES[:count]
    ours = eigenvalues(lambda: np.array_split(images, 7))
    pca = PCA(svd_solver="full").fit(images)
    theirs = pca.explained_variance_ * (count - 1) / count
    assert len(ours) == D
    np.testing.assert_allclose(ours[: len(theirs)], theirs, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(ours[len(theirs) :], 0, atol=1e-12)
    assert ours.sum() == pytest.approx(images.var(0).sum(), rel=1e-10)


def test_rows_of_few_values_get_fewer_latents(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 7))
    np.savez(tmp_path / "mine.npz", x_train=rows)
    words = ["dataset=npz", f"dataset.path={tmp_path / 'mine.npz'}", f"output_dir={tmp_path}"]
    assert forecast(words).latents == 6
    with pytest.raises(VaeklError, match="latents=7 explain every one of the 7 values"):
        forecast([*words, "latents=7"])


@pytest.mark.parametrize("latents", [1, 8, 20])
def test_noise_variance_and_elbo_are_scikit_learn_s(latents):
    spectrum = eigenvalues(lambda: [IMAGES])
    pca = PCA(latents, svd_solver="full").fit(IMAGES)
    ratio = COUNT / (COUNT - 1)
    phi = noise_variance(spectrum, latents)
    assert phi * ratio == pytest.approx(pca.noise_variance_, rel=1e-9)
    density = stats.multivariate_normal(IMAGES.mean(0), pca.get_covariance() / ratio)
    assert elbo(spectrum, phi, latents) == pytest.approx(density.logpdf(IMAGES).mean(), rel=1e-9)


def test_the_elbo_at_a_given_phi_is_the_likelihood_of_the_collapsed_model():
    """At φ = 0.25 five eigenvalues are above φ: W has five columns of length √(λ − φ), whatever Z."""
    spectrum = eigenvalues(lambda: [IMAGES])
    values, vectors = np.linalg.eigh(np.cov(IMAGES.T, bias=True))
    kept = np.where(values > 0.25, values, 0.25)
    density = stats.multivariate_normal(IMAGES.mean(0), vectors * kept @ vectors.T)
    assert survivors(spectrum, 0.25, 8) == 5
    assert elbo(spectrum, 0.25, 8) == pytest.approx(density.logpdf(IMAGES).mean(), rel=1e-9)
    # the best φ of all is that of probabilistic PCA
    best = elbo(spectrum, noise_variance(spectrum, 8), 8)
    assert all(elbo(spectrum, phi, 8) < best for phi in np.geomspace(1e-3, 1, 50))


@pytest.mark.parametrize("latents", [1, 3, 8, 16, 40])
def test_the_grid_spreads_over_the_spectrum(latents):
    spectrum = eigenvalues(lambda: [IMAGES])
    betas = grid(spectrum, latents)
    counts = [survivors(spectrum, beta, latents) for beta in betas]
    assert betas == sorted(betas, reverse=True)
    assert counts[0] == 0 and counts == sorted(counts)
    assert len(set(counts)) == min(latents + 1, 10)
    assert len(betas) == (10 if latents > 1 else len(betas))
    # each lies between neighbours, so rounding decides no count
    assert all(abs(np.log(spectrum[spectrum > 0] / beta)).min() > 1e-3 for beta in betas)


def test_small_spectra_have_small_grids():
    assert grid(np.array([2.0, 0.0, 0.0]), 2) == [pytest.approx(4.0)]
    assert [above(np.array([4.0, 1.0]), beta) for beta in grid(np.array([4.0, 1.0]), 1)] == [0, 1]


def run(folder, monkeypatch, words):
    monkeypatch.chdir(folder)
    return forecast(words.split())


def test_digits(tmp_path, monkeypatch, capsys):
    result = run(tmp_path, monkeypatch, "dataset=digits transform=scale valid=0")
    assert set(contents(tmp_path)) == {"outputs/audit_digits.png", "outputs/audit_digits.json"}
    picture = Image.open(tmp_path / "outputs/audit_digits.png")
    assert picture.size[0] > 800 and len(picture.convert("RGB").getcolors(1 << 20)) > 20
    written = json.loads((tmp_path / "outputs/audit_digits.json").read_text())
    assert written["eigenvalues"] == result.eigenvalues
    np.testing.assert_allclose(result.eigenvalues, np.linalg.eigvalsh(np.cov(IMAGES.T, bias=True))[::-1], atol=1e-7)
    # 14.322 nats and φ = 0.02721 are in docs/figures.md
    assert written["elbo_nats"] == pytest.approx(14.322, abs=1e-3)
    assert written["noise_variance"] == pytest.approx(0.02721, abs=1e-5)
    assert [row["survivors"] for row in written["rows"]] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    out = capsys.readouterr().out
    assert "1,437 training images of 1×8×8; scaled k/16" in out
    assert "σ = 0.165 = 2.64 grey levels of 16" in out and "  grey levels  " in out
    assert len(re.findall(r"of 8 +[−\d]", out)) == 10


def test_the_user_s_values_and_folder(tmp_path, monkeypatch, capsys):
    result = run(tmp_path, monkeypatch, "dataset=digits beta_kl=[0.25,1.5] latents=3 output_dir=there")
    assert set(contents(tmp_path)) == {"there/audit_digits.png", "there/audit_digits.json"}
    assert [(row.beta_kl, row.survivors) for row in result.rows] == [(1.5, 0), (0.25, 3)]
    assert result.protocol == "dequantized (k + U)/17" and result.train_images == 1294
    # (k + U)/17 scales k/16 by 16/17, and U adds its variance, 1/(12 · 17²), to every eigenvalue
    order = run(tmp_path, monkeypatch, "dataset=digits transform=scale output_dir=there")
    expected = np.array(order.eigenvalues) * (16 / 17) ** 2 + 1 / (12 * 17**2)
    np.testing.assert_allclose(result.eigenvalues[:10], expected[:10], rtol=0.02)
    again = run(tmp_path, monkeypatch, "dataset=digits beta_kl=[0.25,1.5] latents=3 output_dir=there")
    assert again == result


def test_own_data_sets(tmp_path, monkeypatch, capsys):
    images = np.random.default_rng(0).normal(3, 2, (50, 4, 4, 1)).astype("float32")
    np.savez(tmp_path / "mine.npz", x_train=images, x_test=images[:5])
    result = run(tmp_path, monkeypatch, "dataset=npz dataset.path=mine.npz valid=0 latents=2")
    # of the standardized values, which a run's φ is measured by
    expected = np.linalg.eigvalsh(np.cov(images.reshape(50, -1).T, bias=True))[::-1] / images.var()
    np.testing.assert_allclose(result.eigenvalues, expected, rtol=1e-5)
    assert "grey level" not in capsys.readouterr().out, "real values have none"
    np.savez(tmp_path / "flat.npz", x_train=np.ones((9, 4, 4, 1), "float32"), x_test=images[:5])
    with pytest.raises(VaeklError, match="all alike"):
        run(tmp_path, monkeypatch, "dataset=npz dataset.path=flat.npz latents=2 output_dir=no")
    assert not (tmp_path / "no").exists()


def test_large_images_are_subsampled(monkeypatch):
    images = torch.rand(60, 1, 10, 10, generator=torch.Generator().manual_seed(0))
    split = Split(images, None, AsStored())
    spec = DataSpec("large", (1, 10, 10), None, "unit_interval")
    data = Data(spec, spec, split, None, split)
    assert predict(data, "large", 4).images == 60
    monkeypatch.setattr(module, "_MOST", 50)
    result = predict(data, "large", 4)
    assert result.images == 50 and result.train_images == 60
    assert "that of 50 of them" in module.table(result)


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    with pytest.raises(VaeklError, match=r"taken is no folder\): set output_dir=FOLDER"):
        run(tmp_path, monkeypatch, "dataset=digits output_dir=taken")
    assert (tmp_path / "taken").read_text() == ""
