"""From words to objects: what a setting does to the trainer that is built, and which random streams a seed gives."""

import numpy as np
import pytest
import torch
from cli_helpers import SMALL, built, refused, vaekl

from vaekl.run.execute import execute


def test_ln_phi_learns_at_its_own_rate_and_does_not_decay(tmp_path):
    words = ["likelihood=gaussian", "optim=adamw", "optim.lr=0.002", "optim.weight_decay=0.3", "weighting.lr_factor=7"]
    trainer = built(tmp_path, *words, "weighting=learned_precision").trainer
    networks, own = trainer.optimizer.param_groups
    assert [id(p) for p in own["params"]] == [id(trainer.model.weighting.log_dispersion)]
    assert {id(p) for p in networks["params"]} == {
        id(p) for net in (trainer.model.encoder, trainer.model.decoder) for p in net.parameters()
    }
    assert (networks["lr"], networks["weight_decay"]) == (0.002, 0.3)
    assert (own["lr"], own["weight_decay"]) == (pytest.approx(0.014), 0)
    trainer.fit()
    assert [group["lr"] for group in trainer.optimizer.param_groups] == pytest.approx([0.002, 0.014])


def test_a_batch_larger_than_the_data_is_one_full_batch(tmp_path):
    trainer = built(tmp_path, "trainer.batch_size=5000", "trainer.steps=null", "trainer.epochs=3").trainer
    assert (trainer.plan.batch_size, trainer.plan.total_steps) == (1294, 3)
    trainer.fit()
    assert (trainer.step, len(trainer.last_x)) == (3, 1294)


@pytest.mark.parametrize(("likelihood", "ends"), [("censored_gaussian", True), ("truncated_gaussian", False)])
def test_levels_keep_their_ends_for_a_law_that_has_probabilities_there(likelihood, ends, tmp_path):
    data = built(tmp_path, f"likelihood={likelihood}").trainer.data
    x = data.train.batch(slice(0, 9), torch.Generator())
    assert ((x == 0).any() and (x == 1).any()).item() is ends
    assert ("scaled k/16" if ends else "dequantized") in data.spec.protocol


@pytest.mark.parametrize(("typed", "kind"), [("null", None), ("bfloat16", torch.bfloat16)])
def test_the_networks_alone_run_in_half_precision(typed, kind, tmp_path):
    trainer = built(tmp_path, f"trainer.autocast={typed}").trainer
    model, x = trainer.model, trainer.data.train.batch(slice(0, 9), torch.Generator())
    assert model.autocast is kind
    noise = torch.zeros(9, model.latents)
    terms, eta = model.terms(x, noise)
    values = (eta, *terms.posterior, *(value for name, value in vars(terms).items() if name != "posterior"))
    assert {value.dtype for value in values} == {torch.float32}
    # the density of that η, to float32's last digits, of which bfloat16 has three
    a, exact = eta[:, 0].double(), x.double()
    log_prob = a * exact - torch.log(torch.expm1(a) / a)
    torch.testing.assert_close(
        (terms.log_norm_const - terms.energy_nats).double(), log_prob.sum((1, 2, 3)), rtol=1e-5, atol=1e-4
    )
    model.autocast = None
    plain = model.terms(x, noise)[1]
    assert torch.equal(plain, eta) is (kind is None)
    torch.testing.assert_close(plain, eta, rtol=0.01, atol=0.02)


def streams(folder, seed):
    """The first weights, and the first noise of training, validation and test, of `seed=...`."""
    # scaled and not dequantised, so that noise is what each stream begins with
    run = built(folder, f"seed={seed}", "likelihood=gaussian", "transform=scale", "trainer.steps=1")
    trainer, model, seen = run.trainer, run.trainer.model, []
    first_numbers = {"weights": model.encoder[1].weight.detach().flatten().clone()}
    terms = model.terms

    def remember(x, noise):
        seen.append(noise)
        return terms(x, noise)

    model.terms, trainer.callbacks = remember, []
    execute(run)
    # in the order of the calls: the step, the log's look at its batch, the validation (and again at the end), the test
    assert [len(noise) for noise in seen] == [100, 100, 143, 143, 360]
    assert torch.equal(seen[2], seen.pop(3))
    names = ("noise", "log", "valid", "test")
    return first_numbers | dict(zip(names, (noise.flatten() for noise in seen), strict=True))


def correlation(one, other):
    return torch.corrcoef(torch.stack([one, other]))[0, 1].abs().item()


def radii(normal):
    """Torch makes 16 normal draws of 16 uniform ones, the first eight of which are 1 − exp(−(n² + n'²)/2)."""
    pairs = normal[:400].view(-1, 2, 8)
    return -torch.expm1(-pairs.square().sum(1) / 2).flatten()


@pytest.fixture(scope="module")
def of_zero(tmp_path_factory):
    """The streams of seed 0."""
    return streams(tmp_path_factory.mktemp("zero"), 0)


def test_a_seed_s_streams_have_nothing_in_common(of_zero):
    streams = dict(of_zero)
    weights = streams.pop("weights")
    uniform = weights[:400].view(-1, 2, 8)[:, 0].flatten()
    names = list(streams)
    # 400 and 200 pairs of independent numbers: a standard error of 0.05 and 0.07
    for place, name in enumerate(names):
        assert correlation(weights[:400], streams[name][:400]) < 0.2, name
        assert correlation(uniform, radii(streams[name])) < 0.28, name
        for other in names[place + 1 :]:
            assert correlation(streams[name][:400], streams[other][:400]) < 0.2, (name, other)


@pytest.mark.parametrize("seed", [1, 2**32])
def test_another_seed_has_other_streams(seed, of_zero, tmp_path):
    """Also one that differs in the high bits alone, which torch's generator does not keep."""
    second = streams(tmp_path, seed)
    for name, first in of_zero.items():
        assert correlation(first[:400], second[name][:400]) < 0.2, name


def test_equal_seeds_have_equal_streams(of_zero, tmp_path):
    again = streams(tmp_path, 0)
    assert all(torch.equal(again[name], value) for name, value in of_zero.items())


def test_a_single_zero_beyond_the_first_images_is_refused_where_it_would_be_fatal(tmp_path):
    images = np.full((1700, 4, 4), 0.5, dtype=np.float32)
    images[1500] = 0
    np.savez(tmp_path / "x.npz", x_train=images, x_test=images[:20])
    words = ("dataset=npz", "dataset.path=x.npz", "valid=0", "likelihood=beta")
    refused(vaekl(tmp_path, "train", "hydra.run.dir=run", *SMALL, *words), "0 or 1 exactly", "likelihood.clamp")
