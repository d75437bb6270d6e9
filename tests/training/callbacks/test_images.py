"""Which images and which weights the pictures show, and what is drawn of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cli_helpers import built, results, trained
from helpers import data_of, model_of, trainer_of
from PIL import Image
from scipy.special import expit

from vaekl.data import Split
from vaekl.model.likelihoods import ContinuousBernoulli
from vaekl.store import checkpoint
from vaekl.training.callbacks import Images, TensorBoard
from vaekl.training.callbacks.images import pictures

COLUMNS = 8


def cells(grid, rows, side=4):
    """The images of a grid, each at its own size, [rows, 8, side, side]."""
    size, step = 32 // side * side, 32 // side
    tops, lefts = range(2, 2 + rows * (size + 2), size + 2), range(2, 2 + COLUMNS * (size + 2), size + 2)
    return torch.stack(
        [torch.stack([grid[0, t : t + size : step, left : left + size : step] for left in lefts]) for t in tops]
    )


class Forbidden(Split):
    """A split that nobody may look at."""

    def stored(self, index):
        raise AssertionError("the test images were looked at in training")


@pytest.mark.parametrize("valid", [0, 12])
def test_no_picture_in_training_shows_a_test_image(valid, tmp_path):
    data = data_of(valid=valid)
    data = replace(data, test=Forbidden(data.test.images, None, data.test.transform))
    trainer, _ = trainer_of(data, model_of(data.spec))
    tensorboard = TensorBoard(tmp_path, "", {})
    trainer.callbacks = [tensorboard, Images(tmp_path, tensorboard)]
    drawn = []
    tensorboard.show = lambda pictures, step: drawn.extend(pictures.items())
    trainer.fit()
    assert len(drawn) == 2 * 4
    held_out = data.valid if valid else data.train
    shown = cells(dict(drawn)["images/inputs_above_reconstructions"], 1)[0]
    torch.testing.assert_close(shown, held_out.images[:COLUMNS, 0])


def test_the_average_s_weights_are_shown():
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec), ema=0.8)
    trainer.fit()
    kl = torch.tensor([0.1, 2.0, 1.0])
    shown = pictures(trainer, kl)
    for state, same in ((trainer.average.module.state_dict(), True), (trainer.model.state_dict(), False)):
        other, _ = trainer_of(data, model_of(data.spec, seed=4))
        other.model.load_state_dict(state)
        for name, grid in pictures(other, kl).items():
            assert torch.equal(grid, shown[name]) is same, name


def test_a_reconstruction_is_the_density_s_mean_and_no_sigmoid():
    """At logit 5 the continuous Bernoulli's mean is 0.807 and the sigmoid 0.993."""
    data = data_of()
    model = model_of(data.spec, ContinuousBernoulli())
    with torch.no_grad():
        model.decoder[-2].bias.copy_(torch.tensor([-30.0, -5.0, 5.0, 30.0]).repeat(4))
    grids = pictures(trainer_of(data, model)[0], None)
    with torch.no_grad():
        a = model.decode(model.encode(data.valid.images[:COLUMNS])[0])[:, 0, 0].double().numpy()
    mean = 1 / -np.expm1(-a) - 1 / a
    assert np.abs(mean - expit(a)).min() > 0.02
    np.testing.assert_allclose(cells(grids["inputs_above_reconstructions"], 2)[1], mean, atol=1e-5)
    for name in ("prior_means", "latent_traversal"):
        row = cells(grids[name], 1)[0]
        assert row[:, :, 2].min() > 0.75 and row[:, :, 2].max() < 0.85


def test_rows_of_the_traversal_are_the_latents_that_carry_most():
    data = data_of()
    model = model_of(data.spec, latents=10)
    kl = torch.tensor([3.0, 0.1, 7.0, 1.0, 0.2, 9.0, 4.0, 2.0, 8.0, 5.0])
    rows = cells(pictures(trainer_of(data, model)[0], kl)["latent_traversal"], COLUMNS)
    for row, latent in zip(rows, (5, 8, 2, 9, 6, 0, 7, 3), strict=True):
        z = torch.zeros(COLUMNS, 10)
        z[:, latent] = torch.linspace(-3, 3, COLUMNS)
        with torch.no_grad():
            expected = model.decode(z)[:, 0, 0].clamp(0, 1)
        torch.testing.assert_close(row, expected, atol=1e-6, rtol=0)


def test_what_is_left_in_the_folder_shows_the_tested_weights(tmp_path):
    """Early stopping tests the best weights, not the last."""
    words = ["optim.lr=0.1", "trainer.steps=400", "trainer.valid_every=10", "trainer.patience=2"]
    run = trained(tmp_path, *words)
    record = results(run)
    assert record["weights"] == "best.pt"
    trainer = built(tmp_path, *words).trainer
    for name, same in (("best.pt", True), ("last.pt", False)):
        trainer.load_state_dict(checkpoint.load(run / name))
        assert (trainer.step == record["step"]) is same
        for title, grid in pictures(trainer, torch.tensor(record["test"]["kl_per_latent_nats"])).items():
            drawn = np.asarray(Image.open(run / f"{title}.png").convert("RGB")).transpose(2, 0, 1) / 255
            assert bool(np.abs(drawn - grid.numpy()).max() < 0.51 / 255) is same, (name, title)


def test_pictures_have_a_stream_of_their_own():
    """The prior's samples must not be decoded from the noise that training draws."""
    data = data_of()
    model = model_of(data.spec)
    trainer, _ = trainer_of(data, model)
    state = trainer.generator.get_state()
    seen, decode = [], model.decode
    model.decode = lambda z, rows=None: seen.append(z) or decode(z, rows)
    pictures(trainer, None)
    prior = next(z for z in seen if len(z) == COLUMNS**2)
    assert torch.equal(trainer.generator.get_state(), state)
    noise = torch.randn(COLUMNS**2, 3, generator=torch.Generator().set_state(state))
    assert torch.corrcoef(torch.stack([prior.flatten(), noise.flatten()]))[0, 1].abs() < 0.3
