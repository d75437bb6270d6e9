"""What is decoded, and how it is laid out."""

import numpy as np
import pytest
import torch
from helpers import model_of, spec_of
from PIL import Image
from torch import nn
from torchvision.utils import make_grid, save_image

from vaekl.measures.pictures import (
    as_image,
    beside,
    captioned,
    decoded,
    grid,
    interpolation,
    most_kl,
    save_png,
    sheet,
    traversal,
)
from vaekl.model.likelihoods import ContinuousBernoulli
from vaekl.model.nets import Nets


class Logit(nn.Module):
    """A decoder whose every logit is its first latent."""

    def forward(self, z):
        return z[:, :1].reshape(-1, 1, 1, 1, 1).expand(-1, 1, 1, 4, 4)


def model_of_logits():
    spec = spec_of(torch.zeros(1, 1, 4, 4))
    model = model_of(spec, ContinuousBernoulli()).eval()
    model.encoder, model.decoder = Nets(model.encoder, Logit())
    return model


def test_the_mean_of_a_continuous_bernoulli_is_not_its_logit_s_sigmoid_and_draws_average_to_it():
    model, z = model_of_logits(), torch.zeros(400, 3)
    z[:, 0] = 4.0
    mean, draws = decoded(model, z), decoded(model, z, torch.Generator().manual_seed(0))
    exact = 1 / (1 - np.exp(-4.0)) - 1 / 4
    assert torch.allclose(mean, torch.tensor(exact).float()) and abs(exact - 1 / (1 + np.exp(-4.0))) > 0.2
    assert draws.std() > 0.1 and abs(draws.mean().item() - exact) < 4 * 0.2 / np.sqrt(draws.numel())


def test_a_picture_does_not_depend_on_how_many_follow():
    model, z = model_of(spec_of(torch.zeros(1, 1, 4, 4)), ContinuousBernoulli()).eval(), torch.randn(200, 3)
    whole = decoded(model, z, torch.Generator().manual_seed(0))
    assert torch.equal(decoded(model, z[:70], torch.Generator().manual_seed(0)), whole[:70])
    assert torch.equal(decoded(model, z[:1]), decoded(model, z)[:1])


def test_a_traversal_moves_one_latent_at_a_time_and_an_interpolation_goes_straight():
    z = traversal([2, 0], 3, 5, span=2.0).view(2, 5, 3)
    expected = torch.linspace(-2, 2, 5)
    assert torch.equal(z[0, :, 2], expected) and torch.equal(z[1, :, 0], expected)
    assert (z[0, :, :2] == 0).all() and (z[1, :, 1:] == 0).all()
    first, last = torch.tensor([[0.0, 1.0]]), torch.tensor([[4.0, -1.0]])
    steps = torch.tensor([[0.0, 1.0], [2.0, 0.0], [4.0, -1.0]])
    assert torch.equal(interpolation(first, last, 3), steps)
    assert most_kl(torch.tensor([0.1, 3.0, 0.1, 5.0]), 3) == [3, 1, 0]


def test_inputs_stand_above_their_reconstructions_and_a_last_row_is_filled_up():
    inputs, others = torch.arange(5.0).view(5, 1, 1, 1), 10 + torch.arange(5.0).view(5, 1, 1, 1)
    empty = 0.5
    assert beside(inputs, others, 3).flatten().tolist() == [0, 1, 2, 10, 11, 12, 3, 4, empty, 13, 14, empty]


def test_a_grid_holds_every_pixel():
    images = torch.rand(6, 1, 8, 8)
    drawn = grid(images, 3, least=8)
    assert drawn.shape == (3, 2 * 10 + 2, 3 * 10 + 2)
    assert torch.equal(drawn[0, 2:10, 12:20], images[1, 0])
    assert grid(images, 3, least=32).shape == (3, 2 * 34 + 2, 3 * 34 + 2)


def test_a_caption_stands_above_the_picture_and_in_the_file(tmp_path):
    picture, words = torch.zeros(3, 40, 500), "a caption that is long " * 20
    page = captioned(picture, words, ["z1", "z2"])
    pixels = np.asarray(page)
    top, left = page.height - 40, page.width - 500
    assert (pixels[top:, left:] == 0).all(), "the picture is whole"
    assert (pixels[:top] < 128).any() and (pixels[:top, -4:] == 255).all(), "the caption is there and wraps"
    assert (pixels[top:, :left] < 128).any(), "the rows are labelled"
    save_png(tmp_path / "x.png", picture, words)
    with Image.open(tmp_path / "x.png") as image:
        assert image.text["Description"] == words


@pytest.mark.parametrize("count", [1, 3, 7, 8, 20])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_and_its_file_are_torchvisions(count, channels, tmp_path):
    images = torch.rand(count, channels, 32, 40, generator=torch.Generator().manual_seed(count))
    assert torch.equal(grid(images, 7), make_grid(images, nrow=7, padding=2, pad_value=0.5))
    assert torch.equal(sheet(images, 7), make_grid(images, nrow=7, padding=0, pad_value=0.5))
    save_image(images * 1.2 - 0.1, tmp_path / "theirs.png", nrow=7, padding=0, pad_value=0.5)
    drawn = as_image(sheet(images * 1.2 - 0.1, 7))
    assert drawn.mode == ("L" if channels == 1 else "RGB")
    assert drawn.convert("RGB").tobytes() == Image.open(tmp_path / "theirs.png").tobytes()
