"""A model that was trained elsewhere: its figures are those of the run whose weights it has."""

import json

import numpy as np
import pytest
import torch
from cli_helpers import refused, trained, vaekl
from scipy import stats

from vaekl.run.own_model import own_model

THEIRS = """
import torch
import vaekl

run = vaekl.load({run!r})

class Model:
    latents, likelihood = run.model.latents, vaekl.Gaussian()
    dispersion = run.model.weighting.dispersion.item()

    def encode(self, x):
        return run.model.encoder(x)

    def decode(self, z):
        return run.model.decoder(z)

model = Model()

class Short(Model):
    def encode(self, x):
        return x.flatten(1)[:, :2], x.flatten(1)[:, :2]

class Failing(Model):
    def decode(self, z):
        raise KeyError("oops")

class Density(Model):
    class Wrong(vaekl.Gaussian):
        def log_norm_const(self, eta, dispersion):
            return super().log_norm_const(eta, dispersion) + 1

    likelihood = Wrong()

class PerValue(Model):
    dispersion = torch.linspace(0.1, 0.4, 64).view(1, 8, 8).requires_grad_()

class Binary(Model):
    likelihood = vaekl.Bernoulli()

class Cold(Model):
    likelihood, dispersion = vaekl.Beta(), 0.5

class Negative(Model):
    dispersion = -1.0

class Crooked(Model):
    dispersion = torch.ones(5)

class Counts(Model):
    likelihood, dispersion = vaekl.Poisson(), 1.0
    seen = []

    def encode(self, x):
        self.seen.append(x.max().item())
        return torch.zeros(len(x), self.latents), torch.zeros(len(x), self.latents)

    def decode(self, z):
        return torch.ones(len(z), 1, 1, 8, 8)

nothing = 3
"""
FIGURES = ("energy_nats", "log_norm_const_nats", "kl_nats", "elbo_nats", "rmse", "bits_per_dim")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    run = trained(folder, "dataset=digits", "likelihood=gaussian", "trainer.steps=20")
    (folder / "theirs.py").write_text(THEIRS.format(run=str(run)), encoding="utf-8")
    return folder, run


def test_its_figures_are_those_of_the_same_weights_as_a_run(place):
    folder, run = place
    options = ["eval.k=1,3", "eval.images=50", "eval.knn=false"]
    assert vaekl(folder, "eval", str(run), *options).code == 0
    for word in ("theirs.py:model", "theirs.py:Model"):
        answer = vaekl(folder, "eval", word, "dataset=digits", *options)
        assert answer.code == 0 and word in answer.out, answer
        (own,) = folder.glob(f"eval_{word.replace('.', '_').replace(':', '_')}*.json")
        (of_run,) = run.glob("eval_*.json")
        ours, theirs = (json.loads(file.read_text()) for file in (own, of_run))
        assert theirs["images"] == ours["images"] == 50
        for name in FIGURES:
            assert ours["elbo"][name] == pytest.approx(theirs["elbo"][name], rel=1e-5), name
        assert ours["ruler"]["nats"] == pytest.approx(theirs["ruler"]["nats"], rel=1e-5)
        assert ours["iwae"][1]["nats"] == pytest.approx(theirs["iwae"][1]["nats"], rel=1e-5)


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("theirs.py:Short", ["encode of theirs.py:Short returns the shape (2, 2), not (2, 4)"]),
        ("theirs.py:Failing", ["decode of theirs.py:Failing failed on two images (KeyError: 'oops')"]),
        (
            "theirs.py:Density",
            ["theirs.py:Density: likelihood=Wrong is not the density that it says it is", "integral 2.718"],
        ),
        ("theirs.py:Binary", ["theirs.py:Binary: likelihood=bernoulli takes binary data"]),
        ("theirs.py:Cold", ["theirs.py:Cold: the dispersion of likelihood=beta must be at least 1"]),
        ("theirs.py:Negative", ["theirs.py:Negative.dispersion must be positive"]),
        ("theirs.py:Crooked", ["theirs.py:Crooked.dispersion does not fit", "broadcasts to (1, 8, 8)"]),
        ("theirs.py:nothing", ["theirs.py:nothing has no latents"]),
        ("theirs.py:nope", ["theirs.py has no nope"]),
        ("other.py:model", ["there is no file other.py"]),
    ],
)
def test_what_is_no_such_model_is_one_sentence(place, word, parts):
    refused(vaekl(place[0], "eval", word, "dataset=digits"), *parts)


def test_a_phi_for_each_value_and_counts_as_they_are(place):
    phi = torch.linspace(0.1, 0.4, 64)
    run = own_model(place[0] / "theirs.py:PerValue", "cpu", ("dataset=digits",))
    assert (
        torch.equal(run.model.weighting.dispersion.flatten(), phi) and not run.model.weighting.dispersion.requires_grad
    )
    counts = own_model(place[0] / "theirs.py:Counts", "cpu", ("dataset=digits_counts",))
    x = counts.data.test.batch(slice(0, 40))
    terms = counts.model(x, torch.zeros(40, 4))
    # a Poisson of mean e, and an encoder that sees the counts themselves
    expected = stats.poisson(np.e).logpmf(x.flatten(1).numpy()).sum(1)
    np.testing.assert_allclose(-terms.energy_nats.numpy(), expected, rtol=1e-5)
    assert counts.model.encoder.thing.seen[-1] == x.max() == 16
