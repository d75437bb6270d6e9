"""Losses with more in them than one group of latents: each group is read, and nothing is said that rounding made."""

import pytest
import torch
from torch.distributions import Normal
from torch.nn import functional

from vaekl.verbs.audit.probe.entry import read
from vaekl.verbs.audit.probe.report import report
from vaekl.verbs.audit.probe.words import Words


def kl_of(mu, logvar):
    return 0.5 * (mu.pow(2) + logvar.exp() - logvar - 1)


def squares(x_hat, x):
    return 0.5 * ((x_hat - x) ** 2).sum()


def report_of(loss, words=None):
    return report(read(loss, words or Words()))


def of_two_groups(second):
    def loss(x, x_hat, mu1, logvar1, prior_mu1, prior_logvar1, mu2, logvar2, prior_mu2, prior_logvar2):
        precision = torch.exp(-prior_logvar1)
        first = 0.5 * (prior_logvar1 - logvar1 + (logvar1.exp() + (mu1 - prior_mu1) ** 2) * precision - 1)
        return squares(x_hat, x) + first.sum() + second(mu2 - prior_mu2, logvar2 - prior_logvar2)

    return loss


@pytest.mark.parametrize(
    ("second", "mistakes"),
    [
        (lambda m, v: kl_of(m, v).sum(), []),
        (lambda m, v: 5 * kl_of(m, v).sum(), ["the KL of mu2 and logvar2 has another weight than that of mu1"]),
        (lambda m, v: kl_of(m, v).mean(), ["the KL of mu2 and logvar2 has another weight than that of mu1"]),
        (lambda m, v: (m**2 + v.exp()).sum() / 2, ["the KL of mu2 and logvar2: ln σ² is missing"]),
        (lambda m, v: kl_of(m, v).sum().detach(), ["no gradient reaches mu2", "no gradient reaches logvar2"]),
        (lambda m, v: 0 * m.sum(), ["the KL of mu2 and logvar2: there is none"]),
    ],
)
def test_the_kl_of_a_second_group(second, mistakes):
    answer = report_of(of_two_groups(second))
    assert len(answer.mistakes) == len(mistakes), answer.mistakes
    assert all(part in sentence for part, sentence in zip(mistakes, answer.mistakes, strict=True)), answer.mistakes
    text = answer.text()
    assert "logvar2 = ln σ² of further latents" in text and "prior_logvar1 = ln σ² of the prior" in text
    assert (answer.loss is not None) == (not mistakes or "no gradient" in mistakes[0])


def test_a_classifier_s_term_is_named_and_the_rest_is_read():
    def loss(recon_x, x, mu, logvar, class_logits, y, alpha=10.0):
        further = alpha * functional.cross_entropy(class_logits, y, reduction="sum")
        return squares(recon_x, x) + kl_of(mu, logvar).sum() + further

    def conditional(recon_x, x, mu, logvar, labels):
        return squares(recon_x, x) + kl_of(mu, logvar).sum()

    answer = report_of(loss)
    assert len(answer.mistakes) == 1 and "class_logits changes the loss: a classifier's term" in answer.mistakes[0]
    assert "(x − x̂)², summed" in answer.text() and "constant" not in answer.text() and answer.loss is None
    assert report_of(conditional).mistakes == []


def test_of_an_argument_that_nobody_knows_the_name_is_said():
    def loss(x_hat, x, mu, logvar, codebook):
        return squares(x_hat, x) + kl_of(mu, logvar).sum() + codebook.unsqueeze(0)[3, 4].sum()

    with pytest.raises(Exception, match="what codebook may be its name does not say"):
        read(loss, Words())


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("weight", [1e-6, pytest.param(1e-4, marks=pytest.mark.nightly)])
def test_a_small_kl_beside_a_large_error_has_the_gradient_that_it_has(weight, detached):
    def loss(x_hat, x, mu, logvar):
        held = mu.detach() if detached else mu
        return (x_hat - x).abs().sum() + weight * kl_of(held, logvar).sum()

    lost = [sentence for sentence in report_of(loss, Words(shape=(3, 64, 64))).mistakes if "gradient" in sentence]
    assert [sentence.split(",")[0] for sentence in lost] == ["no gradient reaches mu"] * detached


@pytest.mark.parametrize("scale", [0.1, *(pytest.param(scale, marks=pytest.mark.nightly) for scale in (0.7, 2.0))])
def test_a_constant_that_is_there_is_not_called_dropped(scale):
    def loss(x, x_hat, loc, sigma):
        divergence = torch.distributions.kl_divergence(Normal(loc, sigma), Normal(0.0, 1.0))
        return (divergence.flatten(1).sum(1) - Normal(x_hat, scale).log_prob(x).flatten(1).sum(1)).mean()

    text = report_of(loss, Words(shape=(1, 8, 8))).text()
    assert "nothing: ln C" in text and "is in it, so that the negative ELBO is loss\n" in text
    assert "negative ELBO = " not in text


@pytest.mark.parametrize(
    ("kl", "mistake"),
    [
        (lambda mu, logvar: kl_of(mu, logvar).clamp(max=300).sum(), "cut off: above 300 nats"),
        pytest.param(
            lambda mu, logvar: kl_of(mu, logvar).sum().clamp(max=700), "cut off: above 700", marks=pytest.mark.nightly
        ),
        (lambda mu, logvar: kl_of(mu, logvar).clamp(min=0.02).sum(), "free bits: below 0.02 nats"),
    ],
)
def test_a_kl_that_is_cut_off_far_away_or_near_0(kl, mistake):
    def loss(x_hat, x, mu, logvar):
        return squares(x_hat, x) + kl(mu, logvar)

    (sentence,) = report_of(loss).mistakes
    assert mistake in sentence


@pytest.mark.parametrize(
    ("error", "text", "mistake"),
    [
        (lambda d: functional.relu(d.abs() - 0.02).square(), "", "small errors cost other than large ones"),
        (lambda d: functional.relu(d.abs() - 0.02), "", "small errors cost other than large ones"),
        (lambda d: functional.huber_loss(d, 0 * d, delta=0.01, reduction="none"), "δ = 0.01,", ""),
        (lambda d: (d**2 + 1e-6).sqrt(), "ε = 0.001,", ""),
        (lambda d: d.abs(), "|x − x̂|, summed", ""),
    ],
)
def test_errors_near_0(error, text, mistake):
    def loss(x_hat, x, mu, logvar):
        return error(x_hat - x).sum() + kl_of(mu, logvar).sum()

    answer = report_of(loss)
    assert text in answer.text(), answer.text()
    assert len(answer.mistakes) == bool(mistake) and mistake in "".join(answer.mistakes), answer.mistakes


def test_what_cannot_be_looked_at_all_at_once_is_said():
    def loss(x_hat, x, mu, logvar):
        if len(x_hat.unique()) > 5:
            raise ValueError("five values at most")
        return squares(x_hat, x) + kl_of(mu, logvar).sum()

    text = report_of(loss).text()
    assert "where all are moved the loss fails (ValueError: five values at most)" in " ".join(text.split())
