"""`vaekl.testing`: what a user's test says of a right loss, and of a wrong one."""

import pytest
import torch
from torch import nn
from torch.nn import functional

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

    with pytest.raises(AssertionError, match="shape="):
        assert_beta(averaged, 6.0)
    assert_beta(averaged, 6.0, shape=(3, 2, 2))


def test_nothing_of_the_user_s_changes():
    model = Weighted(1.0)
    state, kind = torch.get_rng_state(), torch.get_default_dtype()
    assert_elbo(model.loss, data="binary")
    assert model.beta == 1.0 and torch.get_default_dtype() is kind and bool((torch.get_rng_state() == state).all())
