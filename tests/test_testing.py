"""`vaekl.testing`: what a user's test says of a right loss, and of a wrong one."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from vaekl.system.errors import VaeklError
from vaekl.testing import assert_beta, assert_elbo


def kl_of(mu, logvar):
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp())


def squares(recon, x, mu, logvar, beta=1.0):
    return (0.5 * (recon - x) ** 2).flatten(1).sum(1).mean() + beta * kl_of(mu, logvar).sum(1).mean()


class Weighted(nn.Module):
    def __init__(self, beta):
        super().__init__()
        self.beta = beta

    def loss(self, recon, x, mu, logvar):
        return functional.binary_cross_entropy(recon, x, reduction="sum") + self.beta * kl_of(mu, logvar).sum()


def test_a_right_loss_passes():
    assert_elbo(squares)
    assert_elbo(squares, beta=4.0)  # a Gaussian of variance 4
    assert_elbo(Weighted(1.0), data="binary")
    assert_beta(squares, 4.0, beta=4.0)
    assert_beta(Weighted(3.0).loss, 3.0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda error, kl: error.sum() - kl.sum(), "its sign is wrong"),
        (lambda error, kl: error.sum() + kl.sum(1).mean(), "summed over the batch"),
        (lambda error, kl: error.sum() + kl.sum().detach(), "no gradient reaches"),
        (lambda error, kl: error.sum().sqrt() + kl.sum(), "the root of the error"),
        (lambda error, kl: error.sum() * (1 + kl.sum()), "no sum"),
        (lambda error, kl: error.mean().log() * (1 + kl.sum()), "no sum"),
        (lambda error, kl: error.sum(), "there is no KL"),
    ],
)
def test_a_wrong_loss_fails_with_the_sentence_that_says_why(change, sentence):
    def loss(recon, x, mu, logvar):
        return change((recon - x) ** 2, kl_of(mu, logvar))

    with pytest.raises(AssertionError, match=sentence):
        assert_elbo(loss)


def test_a_weighted_cross_entropy_is_no_elbo():
    with pytest.raises(AssertionError, match="a β-VAE with β = 4"):
        assert_elbo(Weighted(4.0), data="binary")
    with pytest.raises(AssertionError, match="cross-entropy on grey values"):
        assert_elbo(Weighted(1.0))


def test_another_beta_fails_with_both():
    with pytest.raises(AssertionError, match="is 2, not 4"):
        assert_beta(squares, 4.0, beta=2.0)

    def averaged(recon, x, mu, logvar):
        return functional.mse_loss(recon, x) + kl_of(mu, logvar).sum(1).mean()

    with pytest.raises(AssertionError, match=r"give shape=\(3, 64, 64\)$"):
        assert_beta(averaged, 6.0)
    assert_beta(averaged, 6.0, shape=(3, 2, 2))

    def averaged_twice(recon, x, mu, logvar):
        return functional.mse_loss(recon, x) + kl_of(mu, logvar).mean(1).sum()

    with pytest.raises(AssertionError, match=r"give shape=\(3, 64, 64\), latents=128, batch_size=64$"):
        assert_beta(averaged_twice, 6.0)
    # B·N/(2 Z), for KL/Z is summed over the images
    assert_beta(averaged_twice, 10 * 12 / (2 * 4), shape=(12,), latents=4, batch_size=10)


def test_nothing_of_the_user_s_changes():
    model = Weighted(1.0)
    state, kind = torch.get_rng_state(), torch.get_default_dtype()
    assert_elbo(model.loss, data="binary")
    assert model.beta == 1.0 and torch.get_default_dtype() is kind and bool((torch.get_rng_state() == state).all())


def test_unknown_data_are_refused():
    with pytest.raises(VaeklError, match="'binry' is unknown: it is 'grey' or 'binary'"):
        assert_elbo(Weighted(1.0), data="binry")


def of_terms(change):
    """A loss of ½Σ(x − x̂)² and a KL, of which something is changed."""

    def loss(recon, x, mu, logvar):
        error = 0.5 * (recon - x) ** 2
        return change(error, kl_of(mu, logvar), mu, logvar)

    return loss


def plain(error, kl):
    return error.flatten(1).sum(1).mean() + kl.sum(1).mean()


def uneven(error):
    weights = torch.ones_like(error)
    weights[..., 5] = 5.0
    return weights * error


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda error, kl, mu, logvar: plain(error, kl[:, :2]), "some latents of an image count more"),
        (lambda error, kl, mu, logvar: plain(error, kl * torch.linspace(1, 3, kl.shape[1])), "some latents"),
        (lambda error, kl, mu, logvar: plain(error, kl[:, 1:]), "the first latent counts in no term"),
        (lambda error, kl, mu, logvar: plain(error, kl) + 3 * (mu[:, 0] * mu[:, 1]).pow(2).mean(), "act on each other"),
        (lambda error, kl, mu, logvar: error.flatten(1).sum(1).mean() + kl[0].sum(), "some images of a batch"),
        (lambda error, kl, mu, logvar: plain(uneven(error), kl), "some values of an image count more"),
        (lambda error, kl, mu, logvar: plain(error[:, 1:], kl), "the first value of an image counts in no term"),
        (lambda error, kl, mu, logvar: plain((1 + 0.1 * logvar[:, 1:2] ** 2) * error, kl), "are no sum"),
    ],
)
def test_what_holds_of_one_latent_or_value_alone_is_said_of_no_other(change, sentence):
    loss = of_terms(change)
    for check in (assert_elbo, lambda loss, **sizes: assert_beta(loss, 1.0, **sizes)):
        with pytest.raises(AssertionError, match=sentence):
            check(loss, shape=(12,), latents=4)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda error, kl, mu, logvar: plain(error, -kl), "its sign is wrong"),
        (lambda error, kl, mu, logvar: plain(error.sqrt(), -kl), "its sign is wrong"),
        (lambda error, kl, mu, logvar: plain(error, kl.detach()), "no gradient reaches mu"),
        (lambda error, kl, mu, logvar: plain(error, kl + 0.5 * mu**2), "parts of the KL have different weights"),
        (lambda error, kl, mu, logvar: plain(error, kl.clamp(min=0.5)), "free bits"),
        (lambda error, kl, mu, logvar: plain(error, kl**2), "no weight β"),
    ],
)
def test_a_wrong_kl_has_no_beta(change, sentence):
    with pytest.raises(AssertionError, match=sentence):
        assert_beta(of_terms(change), 1.0, shape=(12,), latents=4)


@pytest.mark.parametrize("weight", [0.01, 1.0, 3.0])
def test_a_weight_beside_axes_that_are_reduced_in_different_ways(weight):
    def of_channels(recon, x, mu, logvar):
        return weight * ((recon - x) ** 2).mean(1).sum((1, 2)).mean() + kl_of(mu, logvar).sum(1).mean()

    assert_beta(of_channels, 3 / 2 / weight, shape=(3, 8, 8), latents=4)


def test_a_module_that_is_missing_is_named():
    def loss(recon, x, mu, logvar):
        import notalib

        return notalib.loss(recon, x, mu, logvar)

    with pytest.raises(VaeklError, match=r"No module named 'notalib'\): install that"):
        assert_elbo(loss)
