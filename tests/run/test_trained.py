"""`vaekl.load`: a trained model takes arrays as its user has them, and says what `vaekl eval` says of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import results, trained
from cli_helpers import vaekl as typed
from pca_model import SPEC, TEST, pca, vae
from scipy import stats
from sklearn.datasets import load_digits

import vaekl
from vaekl.data.converted import converted
from vaekl.data.transforms import Scale
from vaekl.run import trained as trained_module

DIGITS = load_digits().images[1437:].astype(np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on digits, which no test changes."""
    return trained(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def model(run):
    return vaekl.load(run)


def test_figures_are_those_of_the_run_and_of_eval(run):
    model = vaekl.load(run, noise="eval")
    answer = typed(run.parent, "eval", "run", "eval.k=1,50", "eval.knn=false")
    assert answer.code == 0, answer.err
    measured = json.loads((run / "eval.json").read_text())
    elbo = model.elbo(DIGITS)
    assert elbo.shape == (360,) and elbo.mean().item() == pytest.approx(results(run)["test"]["elbo_nats"], abs=1e-4)
    assert model.log_prob(DIGITS, k=50).mean().item() == pytest.approx(measured["iwae"][1]["nats"], abs=1e-9)
    assert model.bits_per_dim(DIGITS).mean().item() == pytest.approx(measured["ruler"]["bits_per_dim"], abs=1e-9)
    assert model.results.test.elbo_nats == results(run)["test"]["elbo_nats"] and model.config["seed"] == 0
    posterior = model.encode(DIGITS)
    kl = torch.distributions.kl_divergence(posterior.base_dist, torch.distributions.Normal(0.0, 1.0)).sum(1)
    assert kl.mean().item() == pytest.approx(results(run)["test"]["kl_nats"], rel=1e-5)
    # one sample of each posterior, so the same up to its error
    of_x = model.decode(posterior.sample()).log_prob(model.prepare(DIGITS)) - kl
    assert of_x.mean().item() == pytest.approx(elbo.mean().item(), abs=5 * elbo.std().item() / 360**0.5)


def test_an_example_has_the_figures_of_its_own_whatever_is_beside_it(run, model):
    """By its values as stored, the seed, and nothing else; the noise of eval belongs to places."""
    some = [7, 3, 200]
    for figures in (model.elbo, lambda x: model.log_prob(x, k=5), lambda x: model.encode(x).mean, model.bits_per_dim):
        of_all = figures(DIGITS)
        assert figures(DIGITS[some]).numpy() == pytest.approx(of_all[some].numpy(), rel=1e-5, abs=1e-5)
        assert figures(DIGITS[7:8] / 16).numpy() == pytest.approx(of_all[7:8].numpy(), rel=1e-5, abs=1e-5)
    assert torch.equal(model.prepare(DIGITS[some]), model.prepare(DIGITS)[some])
    assert not torch.equal(model.prepare(DIGITS[some], seed=1), model.prepare(DIGITS)[some])
    by_place = vaekl.load(run, noise="eval")
    assert (by_place.elbo(DIGITS[some]) - by_place.elbo(DIGITS)[some]).abs().max() > 0.1
    # another draw of the same expectation
    differences = model.elbo(DIGITS) - by_place.elbo(DIGITS)
    assert differences.std() > 0.1 and abs(differences.mean()) < 4 * differences.std() / 360**0.5
    with pytest.raises(vaekl.VaeklError, match="noise must be rows or eval, not 'place'"):
        vaekl.load(run, noise="place")


def test_latents_may_be_used_in_a_computation_with_gradients(model):
    z = model.encode(DIGITS[:4]).mean.requires_grad_()
    model.model.decode(z).sum().backward()
    assert z.grad is not None and z.grad.abs().sum() > 0


def test_samples_are_those_of_the_verb(run, model):
    words = ("sample.what=prior", "sample.count=5", "sample.format=npz", "sample.seed=3")
    assert typed(run.parent, "sample", "run", *words).code == 0
    for name, mean in (("sample", False), ("mean", True)):
        drawn = np.load(run / "samples" / f"prior_{name}.npz")["images"]
        assert np.array_equal(model.sample(5, seed=3, mean=mean).numpy(), drawn)


LAYOUTS = {
    "NHW": lambda x: x,
    "NCHW": lambda x: x[:, None],
    "NHWC": lambda x: x[..., None],
    "int64": lambda x: x.astype(np.int64),
    "shades": lambda x: x / 16,
    "half": lambda x: (x / 16).astype(np.float16),
    "tensor": lambda x: torch.from_numpy(x / 16).float(),
    "bfloat16": lambda x: torch.from_numpy(x / 16).bfloat16(),
    "list": lambda x: x.tolist(),
}


#: an image of the levels 0 and 1, which as floats are black and white
DIM = (DIGITS[:1] > 8).astype(np.uint8)


@pytest.mark.parametrize("images", [DIGITS[:40], DIM], ids=["digits", "dim"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_form_of_the_same_images_is_the_same(model, name, images):
    x = LAYOUTS[name](images)
    assert torch.equal(model.encode(x).mean, model.encode(images).mean)
    shape = np.shape(x)
    assert model.reconstruct(x).shape == shape
    assert torch.equal(model.reconstruct(x).reshape(-1, 8, 8), model.reconstruct(images))


def test_a_reconstruction_looks_over_x_once(model, monkeypatch):
    looks = []
    monkeypatch.setattr(trained_module, "converted", lambda *parts: looks.append(parts) or converted(*parts))
    model.reconstruct(DIGITS[:2])
    assert len(looks) == 1


def test_a_float_is_a_shade_whatever_is_beside_it(model):
    """Black and white as floats; beside floats up to 16 they would be levels."""
    white = DIM.astype(np.float32)
    assert torch.equal(model.elbo(white), model.elbo(16 * DIM))
    assert not torch.equal(model.elbo(white), model.elbo(DIM))
    beside = np.concatenate([white, DIGITS[:3]])
    with pytest.raises(ValueError, match=r"floats from 0 to 16.*shades k/16 in \[0, 1\].*astype\(int\)"):
        model.elbo(beside)


def test_a_mapped_file_is_read_batch_by_batch(model, tmp_path):
    np.save(tmp_path / "x.npy", DIGITS)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert torch.equal(model.elbo(mapped), model.elbo(DIGITS))


WRONG = {
    "a side too few": (DIGITS[:, :7], ("[360, 7, 8]", "images of 1×8×8", "[N, 8, 8]")),
    "one image": (DIGITS[0], ("[8, 8]", "[N, 8, 8]")),
    "none": (DIGITS[:0], ("x holds no examples", "[0, 8, 8]")),
    "too bright": (DIGITS + 5, ("from 5 to 21", "the levels 0 to 16")),
    "between levels": (DIGITS / 17, ("between the levels k/16", "from 0 to 16")),
    "negative": (-DIGITS.astype(int), ("from -16 to 0", "the levels 0 to 16")),
    "not finite": (np.full((2, 8, 8), np.nan), ("128 values that are NaN or infinite",)),
    "words": (DIGITS.astype(str), ("no numbers", "the levels 0 to 16")),
    "ragged": ([[1], [1, 2]], ("no array",)),
    "a number": (3, ("no array of examples",)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_of_the_run_is_refused(model, name):
    x, parts = WRONG[name]
    with pytest.raises(vaekl.VaeklError) as refusal:
        model.elbo(x)
    assert isinstance(refusal.value, ValueError) and "\n" not in str(refusal.value)
    assert all(part in str(refusal.value) for part in parts), refusal.value


@pytest.mark.parametrize(
    ("z", "says"),
    [
        (np.zeros((2, 3)), r"the shape \[2, 3\].*4 latents: give \[N, 4\]"),
        (torch.zeros(0, 4), r"the shape \[0, 4\]"),
        (np.zeros(4), r"the shape \[4\]"),
        (np.full((2, 4), np.nan), "8 values that are NaN or infinite"),
        (None, "no array of numbers"),
        ("z", "no array of numbers"),
    ],
    ids=str,
)
def test_latents_that_are_none(model, z, says):
    with pytest.raises(ValueError, match=says) as refusal:
        model.decode(z)
    assert isinstance(refusal.value, vaekl.VaeklError) and "\n" not in str(refusal.value)


def test_probabilistic_pca_scores_as_scikit_learn_does():
    """Its posterior is exact, so that every bound is ln p(x) itself."""
    fitted = pca()
    trained_vae = vaekl.TrainedVAE(Path("none"), {}, None, vae(fitted), SPEC.with_(support="levels"), Scale(16))
    images = TEST.reshape(-1, 8, 8)
    exact = fitted.score_samples(TEST)
    assert trained_vae.log_prob(images, k=3).numpy() == pytest.approx(exact, abs=2e-3)
    assert trained_vae.encode(images).mean.numpy() == pytest.approx(
        fitted.transform(TEST) * np.sqrt(1 - fitted.noise_variance_ / fitted.explained_variance_)
        / np.sqrt(fitted.explained_variance_), abs=1e-4
    )  # fmt: skip
    z = np.zeros((2, 8))
    law = stats.norm(fitted.mean_, np.sqrt(fitted.noise_variance_))
    assert trained_vae.decode(z).log_prob(torch.zeros(2, 1, 8, 8)).numpy() == pytest.approx(
        np.repeat(law.logpdf(0).sum(), 2), rel=1e-5
    )


def test_a_posterior_narrower_than_any_number_and_one_that_is_none():
    model = vae(pca())
    trained_vae = vaekl.TrainedVAE(Path("none"), {}, None, model, SPEC.with_(support="levels"), Scale(16))
    with torch.no_grad():
        model.encoder.log_std.fill_(-500.0)
        law = trained_vae.encode(DIGITS[:2])
        assert (law.stddev > 0).all() and law.log_prob(law.mean).isfinite().all()
        model.encoder.log_std.fill_(torch.nan)
    with pytest.raises(
        ValueError, match=r"q\(z\|x\) is no finite number for 2 of 2 images \(numbers 0, 1, from 0\): leave out"
    ):
        trained_vae.encode(DIGITS[:2])


def edited(run, folder, change):
    """The run with other facts."""
    run = shutil.copytree(run, folder / "run")
    facts = json.loads((run / "facts.json").read_text())
    change(facts["data"])
    (run / "facts.json").write_text(json.dumps(facts))
    return run


def test_a_run_of_an_earlier_vaekl_has_its_data_at_hand(run, model, tmp_path):
    earlier = vaekl.load(edited(run, tmp_path, lambda data: data.pop("stored")))
    assert torch.equal(earlier.elbo(DIGITS[:9]), model.elbo(DIGITS[:9]))


CHANGES = {
    "another shape": lambda data: data.update(shape=[1, 4, 8]),
    "more levels": lambda data: data["stored"].update(levels=256),
    "another support": lambda data: data["stored"].update(support="unit_interval", levels=None),
    "gigabytes in a small run": lambda data: data.update(shape=[1, 4000, 2500]),
    "no memory is large enough": lambda data: data.update(shape=[2**31, 2**20]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_facts_of_another_run_are_not_believed(run, tmp_path, name):
    with pytest.raises(vaekl.VaeklError) as refusal:
        vaekl.load(edited(run, tmp_path, CHANGES[name]))
    assert "\n" not in str(refusal.value)


def test_no_layer_larger_than_the_checkpoint_is_filled(run, tmp_path, monkeypatch):
    def filled(layer):
        assert layer.weight.numel() < 10**6, "the memory of a model that cannot be the run's was taken"

    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", filled)
    with pytest.raises(
        vaekl.VaeklError, match=r"does not fit the model for digits, images of 1×4000×2500.* than the file"
    ):
        vaekl.load(edited(run, tmp_path, CHANGES["gigabytes in a small run"]))
    assert not torch.nn.modules.module._global_parameter_registration_hooks


def test_a_stranger_s_folder_runs_no_code(run, tmp_path, monkeypatch):
    stranger = shutil.copytree(run, tmp_path / "run")
    text = (stranger / "config.yaml").read_text()
    (stranger / "config.yaml").write_text(text.replace("vaekl.mlp", "evil.model"))
    (tmp_path / "evil.py").write_text("raise SystemExit('the folder of a stranger has run code')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(vaekl.VaeklError, match=r"evil\.model"):
        vaekl.load(stranger)
    (tmp_path / "evil.py").write_text(
        "from vaekl import mlp as model\n\ndef mine(**settings): return model(**settings)\n"
    )
    (stranger / "config.yaml").write_text(text.replace("vaekl.mlp", "evil.mine"))
    monkeypatch.setattr("vaekl.config.trust._vouched", [])
    assert vaekl.load(stranger, trust=["evil"]).latents == 4
