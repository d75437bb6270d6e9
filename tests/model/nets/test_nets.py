"""Every pair of networks × every shape × every number of outputs."""

import math

import pytest
import torch

from vaekl.data import DataSpec
from vaekl.model.likelihoods import Gaussian
from vaekl.model.nets import conv, linear, mlp
from vaekl.model.nets.base import PosteriorHead
from vaekl.model.vae import VAE
from vaekl.model.weighting import LearnedPrecision
from vaekl.system.errors import VaeklError

LATENTS = 5
NETS = {
    "linear": (linear, {}),
    "mlp": (mlp, {"hidden": (11, 6)}),
    "mlp without hidden layers": (mlp, {"hidden": ()}),
    "conv": (conv, {"width": 4, "hidden": 9}),
    "conv, silu": (conv, {"width": 3, "hidden": 8, "activation": "silu"}),
}
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 17, 9), (1, 13, 40), (2, 8, 15), (1, 9, 31)]
SHAPES += [(13,), (1, 8), (3, 101), (1, 8, 8, 8), (2, 9, 8, 13)]
every_net = pytest.mark.parametrize("name", NETS)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def built(name, shape, outputs):
    make, options = NETS[name]
    if make is conv and len(shape) == 1:
        pytest.skip("vectors have no convolutions")
    torch.manual_seed(0)
    return make(shape, outputs, LATENTS, **options)


@every_net
@every_shape
@pytest.mark.parametrize("outputs", [1, 2, 17])
def test_shapes_come_from_the_data(name, shape, outputs):
    encoder, decoder = built(name, shape, outputs)
    x = torch.rand(4, *shape)
    mean, log_std = encoder(x)
    assert mean.shape == log_std.shape == (4, LATENTS)
    assert mean.dtype == log_std.dtype == torch.float32
    assert decoder(mean).shape == (4, outputs, *shape)
    assert decoder(mean[:1]).shape == (1, outputs, *shape)


@every_net
@every_shape
@pytest.mark.parametrize("outputs", [1, 17])
def test_gradient_reaches_every_parameter(name, shape, outputs):
    encoder, decoder = built(name, shape, outputs)
    mean, log_std = encoder(torch.rand(16, *shape))
    eta = decoder(mean + log_std.exp() * torch.randn(16, LATENTS))
    (eta.square().sum() + mean.square().sum() + log_std.square().sum() + log_std.sum()).backward()
    for part in (encoder, decoder):
        for key, parameter in part.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.abs().sum() > 0, key


@every_net
def test_every_pixel_is_seen_and_every_pixel_is_made(name):
    """An odd image loses no row or column on the way down or up."""
    shape = (3, 17, 9)
    encoder, decoder = built(name, shape, 2)
    x = torch.rand(8, *shape, requires_grad=True)
    encoder(x)[0].square().sum().backward()
    assert (x.grad.abs().sum(0) > 0).all()
    eta = decoder(3 * torch.randn(64, LATENTS, generator=torch.Generator().manual_seed(0)))
    assert (eta.std(0) > 0).all()


@every_net
def test_images_of_a_batch_do_not_see_each_other(name):
    encoder, decoder = built(name, (1, 9, 12), 1)
    x = torch.rand(6, 1, 9, 12)
    together = decoder(encoder(x)[0])
    alone = torch.cat([decoder(encoder(one)[0]) for one in x.split(1)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_same_outputs_of_each_value_lie_along_the_second_axis():
    """η[:, p] belongs to output p of every value: the two parameters of one pixel come from one place."""
    _, decoder = linear((2, 1, 3), 2, 1)
    with torch.no_grad():
        decoder[0].weight.zero_()
        decoder[0].bias.copy_(torch.arange(12.0))
    assert decoder(torch.zeros(1, 1))[0].tolist() == [
        [[[0.0, 1.0, 2.0]], [[3.0, 4.0, 5.0]]],
        [[[6.0, 7.0, 8.0]], [[9.0, 10.0, 11.0]]],
    ]


def test_the_linear_encoder_has_one_spread_for_all_images_and_a_linear_mean():
    encoder, decoder = linear((1, 3, 3), 1, LATENTS)
    x, y = torch.rand(2, 4, 1, 3, 3).unbind()
    (a, spread), (b, other), (middle, _) = encoder(x), encoder(y), encoder((x + y) / 2)
    assert torch.equal(spread, other)
    assert (spread == spread[0]).all()
    torch.testing.assert_close(middle, (a + b) / 2)
    z, w = torch.randn(2, 4, LATENTS).unbind()
    torch.testing.assert_close(decoder((z + w) / 2), (decoder(z) + decoder(w)) / 2)


def test_conv_halves_until_less_than_four_by_four_would_be_left():
    """28 → 14 → 7 → 4, and 4 × 4 of 4·width channels go into the hidden layer."""
    encoder, _ = conv((1, 28, 28), 1, 2, width=5, hidden=9)
    kernels = [layer for layer in encoder if isinstance(layer, torch.nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in kernels] == [(1, 5), (5, 10), (10, 20)]
    (first,) = [layer for layer in encoder if isinstance(layer, torch.nn.Linear)]
    assert (first.in_features, first.out_features) == (20 * 4 * 4, 9)


def sentence(make):
    with pytest.raises(VaeklError) as caught:
        make()
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("shape", [(1, 7, 28), (1, 28, 7), (3, 1, 1)])
def test_conv_refuses_small_images_and_names_the_cure(shape):
    text = sentence(lambda: conv(shape, 1, 2))
    for part in ("model=conv", "8 × 8", f"{shape[1]} × {shape[2]}", "model=mlp"):
        assert part in text


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda value: linear((1, 8, 8), 1, value), "model.latents"),
        (lambda value: mlp((1, 8, 8), 1, value), "model.latents"),
        (lambda value: conv((1, 8, 8), 1, value), "model.latents"),
        (lambda value: mlp((1, 8, 8), 1, 2, hidden=(5, value)), "model.hidden"),
        (lambda value: conv((1, 8, 8), 1, 2, hidden=value), "model.hidden"),
        (lambda value: conv((1, 8, 8), 1, 2, width=value), "model.width"),
    ],
)
@pytest.mark.parametrize("value", [0, -3, 2.5, "5", True, None])
def test_a_size_that_is_no_whole_number_is_named_with_its_key(make, key, value):
    text = sentence(lambda: make(value))
    assert key in text
    assert repr(value) in text


@pytest.mark.parametrize("hidden", [500, "500", None])
def test_hidden_layers_that_are_no_list_are_named_with_their_key(hidden):
    text = sentence(lambda: mlp((1, 8, 8), 1, 2, hidden=hidden))
    assert "model.hidden" in text
    assert "[500,500]" in text


@pytest.mark.parametrize("net", [mlp, conv])
def test_an_unknown_activation_is_named_with_the_choices(net):
    text = sentence(lambda: net((1, 8, 8), 1, 2, activation="swish"))
    assert all(word in text for word in ("model.activation", "relu, silu, gelu, tanh or elu", "'swish'"))


@pytest.mark.parametrize("activation", ["relu", "silu", "gelu", "tanh", "elu"])
def test_every_activation_is_used(activation):
    encoder, decoder = mlp((1, 8, 8), 1, 2, hidden=(5,), activation=activation)
    z = torch.linspace(-2, 2, 7).view(-1, 1).expand(-1, 2)
    function = getattr(torch.nn.functional, activation, None) or getattr(torch, activation)
    by_hand = decoder[2](function(decoder[0](z))).view(7, 1, 1, 8, 8)
    torch.testing.assert_close(decoder(z), by_hand)
    assert len([layer for layer in encoder if not list(layer.parameters())]) == 2  # flatten and the activation


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_under_half_precision_the_posterior_is_still_float32(name):
    spec = DataSpec("x", (1, 8, 8), None, "real")
    model = VAE(spec, built(name, spec.shape, 1), Gaussian(), LearnedPrecision(Gaussian(), spec.shape), LATENTS)
    model.autocast = torch.bfloat16
    terms, eta = model.terms(torch.rand(4, 1, 8, 8), torch.randn(4, LATENTS))
    for part in (terms.energy, terms.log_norm_const, terms.kl, terms.posterior.mean, eta):
        assert part.dtype == torch.float32


def test_a_posterior_is_as_wide_as_the_network_says_up_to_ln_sigma_10():
    """Beyond, it grows as 10 + ln(1 + excess), with a gradient, and an exponential that float32 holds."""
    head = PosteriorHead(1, 1)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[0.0], [1.0]]))
        head.linear.bias.zero_()
    raw = torch.tensor([[-50.0], [-1.0], [2.5], [9.99], [10.0], [10.5], [1e4], [1e30]], requires_grad=True)
    log_std = head(raw)[1]
    log_std.sum().backward()
    excess = [0.5, 9990.0, 1e30]
    expected = [-50, -1, 2.5, 9.99, 10] + [10 + math.log1p(e) for e in excess]
    assert log_std.flatten().tolist() == pytest.approx(expected, rel=1e-6)
    assert raw.grad.flatten().tolist() == pytest.approx([1] * 5 + [1 / (1 + e) for e in excess], rel=1e-6)
    assert log_std.exp().isfinite().all()
    assert head(torch.tensor([[torch.nan]]))[1].isnan()
