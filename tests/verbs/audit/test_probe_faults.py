"""Three inputs for each kind of thing that a loss may do, and what is to be said: no statement that is wrong."""

import pytest
import torch
from torch import nn
from torch.distributions import Normal, StudentT, kl_divergence
from torch.nn import functional

from vaekl.verbs.audit.probe.entry import read
from vaekl.verbs.audit.probe.report import report
from vaekl.verbs.audit.probe.words import Words


def kl_of(mu, logvar):
    return 0.5 * (mu.pow(2) + logvar.exp() - logvar - 1)


def squares(x_hat, x):
    return ((x_hat - x) ** 2).sum()


def report_of(loss, words=None, owner=None):
    return report(read(loss, words or Words(), owner))


def of_a_kl(kl):
    def loss(x_hat, x, mu, logvar):
        return squares(x_hat, x) + kl(mu, logvar)

    return loss


def of_an_error(error):
    def loss(x_hat, x, mu, logvar):
        return error(x_hat, x) + kl_of(mu, logvar).sum()

    return loss


def standard(mu):
    return Normal(0 * mu, 1 + 0 * mu)


def total_correlation(mu, logvar):
    law = Normal(mu[None], (0.5 * logvar[None]).exp()).log_prob(mu[:, None])
    return (torch.logsumexp(law.sum(2), 1) - torch.logsumexp(law, 1).sum(1)).sum() + kl_of(mu, logvar).sum()


def rest_at_night(*cases):
    """The first five in make test, the others in make nightly."""
    return [*cases[:5], *(pytest.param(*case, marks=pytest.mark.nightly) for case in cases[5:])]


@pytest.mark.parametrize(
    ("kl", "mistakes"),
    rest_at_night(
        (lambda mu, logvar: kl_of(logvar, mu).sum(), ["μ and the second parameter are exchanged"]),
        (lambda mu, logvar: 0.5 * (mu.abs() + logvar.exp() - logvar - 1).sum(), ["0.5 |μ| − 0.5 s + 0.5 exp(s)"]),
        (lambda mu, v: kl_divergence(standard(mu), Normal(mu, (0.5 * v).exp())).sum(), ["the wrong way round"]),
        (lambda mu, logvar: 0.5 * (mu**2 + logvar.exp()).sum(), ["ln σ² is missing"]),
        (lambda mu, logvar: 0.5 * (logvar.exp() - logvar).sum(), ["μ² is missing"]),
        (lambda mu, logvar: 0.5 * (mu**2).sum(), ["σ is in no term of it"]),
        (lambda mu, logvar: kl_of(mu, 2 * logvar).sum(), ["logvar is used as ln σ, where its name says ln σ²"]),
        (lambda mu, logvar: 0.5 * (mu**2 - logvar.exp() + logvar).sum(), ["the sign of"]),
        (lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - logvar).sum(), []),
        (lambda mu, logvar: kl_of(mu, logvar).sum() ** 2, ["the KL is squared"]),
        (total_correlation, ["the KL cannot be told"]),
        (lambda mu, logvar: torch.tanh(kl_of(mu, logvar)).sum(), ["the KL cannot be told"]),
    ),
)
def test_forms_of_the_kl(kl, mistakes):
    answer = report_of(of_a_kl(kl))
    assert len(answer.mistakes) == len(mistakes), answer.mistakes
    assert all(part in sentence for part, sentence in zip(mistakes, answer.mistakes, strict=True)), answer.mistakes


@pytest.mark.parametrize(
    ("error", "text", "mistake"),
    rest_at_night(
        (lambda a, x: -StudentT(4.0, a, 0.1).log_prob(x).sum(), "ln(1 + (x − x̂)²/c²) with c = 0.2", ""),
        (lambda a, x: functional.smooth_l1_loss(a, x, beta=0.3, reduction="sum"), "with δ = 0.3", ""),
        (lambda a, x: (0.84 * (a - x).abs() + 0.16 * (a - x) ** 2).sum(), "(x − x̂)² + 5.25 · |x − x̂|", ""),
        (lambda a, x: functional.poisson_nll_loss(a, x, reduction="sum"), "(e^x̂ − x x̂)", ""),
        (lambda a, x: -(x * torch.log(a + 1e-10)).sum(), "−x ln x̂", "lacks (1 − x) ln(1 − x̂)"),
        (lambda a, x: (torch.linspace(1, 2, x[0].numel()).view(x[0].shape) * (a - x) ** 2).sum(), "", "count more"),
        (lambda a, x: squares(torch.sigmoid(a), x), "(x − sigmoid(x̂))²", ""),
        (
            lambda a, x: (a.flatten(1).mean(1) - x.flatten(1).mean(1)).abs().pow(1.5).sum(),
            "",
            "not a function of pixels",
        ),
        (lambda a, x: torch.linalg.vector_norm(a - x), "√Σ (x − x̂)² over the batch", "the root of the error"),
        (lambda a, x: 10 * functional.mse_loss(a, x).log10(), "ln Σ (x − x̂)²", "the logarithm of the error counts"),
        (lambda a, x: functional.mse_loss(a.to(torch.float32), x.float(), reduction="sum"), "(x − x̂)², summed", ""),
    ),
)
def test_forms_of_the_reconstruction(error, text, mistake):
    answer = report_of(of_an_error(error))
    assert text in answer.text(), answer.text()
    assert len(answer.mistakes) == bool(mistake) and mistake in "".join(answer.mistakes), answer.mistakes


@pytest.mark.parametrize(
    ("whole", "mistake"),
    rest_at_night(
        (lambda a, x, m, v: (squares(a, x) + kl_of(m, v).sum()).item(), "nothing of it has a gradient"),
        (lambda a, x, m, v: squares(a.detach(), x) + kl_of(m, v).sum(), "no gradient reaches x_hat"),
        (lambda a, x, m, v: squares(a, x) * (1 + kl_of(m, v).sum()), "are no sum"),
        (lambda a, x, m, v: squares(a, x) / len(x) + kl_of(m, v).sum() / len(x) ** 2, "size twice"),
        (lambda a, x, m, v: -squares(a, x) - kl_of(m, v).sum(), "it is the ELBO and not its negative"),
        (lambda a, x, m, v: squares(a, x) + kl_of(m, v.detach()).sum(), "no gradient reaches logvar"),
        (lambda a, x, m, v: -squares(a, x) + kl_of(m, v).sum(), "the reconstruction is subtracted"),
        (lambda a, x, m, v: kl_of(m, v).sum(), "there is no reconstruction"),
    ),
)
def test_what_the_optimiser_gets(whole, mistake):
    def loss(x_hat, x, mu, logvar):
        return whole(x_hat, x, mu, logvar)

    answer = report_of(loss)
    assert len(answer.mistakes) == 1 and mistake in answer.mistakes[0], answer.mistakes


def test_a_scale_that_is_an_argument():
    def right(pred, target, z_mean, z_logvar, log_gamma):
        nll = ((pred - target) ** 2).flatten(1).sum(1) / (2 * log_gamma.exp() ** 2) + target[0].numel() * log_gamma
        return nll.mean() + kl_of(z_mean, z_logvar).sum(1).mean()

    def once(pred, target, z_mean, z_logvar, log_gamma):
        nll = ((pred - target) ** 2).flatten(1).sum(1) / (2 * log_gamma.exp() ** 2) + log_gamma
        return nll.mean() + kl_of(z_mean, z_logvar).sum(1).mean()

    def never(pred, target, x_sigma, z_mean, z_logvar):
        return ((pred - target) ** 2 / (2 * x_sigma**2)).sum() + kl_of(z_mean, z_logvar).sum()

    assert report_of(right).mistakes == [] and "learned_precision" in report_of(right).train
    assert "the logarithm of log_gamma counts 0.03125" in report_of(once).mistakes[0]
    assert "x_sigma divides the error without its logarithm" in report_of(never).mistakes[0]


class Adversary(nn.Module):
    """An autoencoder whose optimiser is given its networks alone, and not the scale that its loss has."""

    def __init__(self, forgets):
        super().__init__()
        self.encoder, self.decoder, self.forgets = nn.Linear(2, 2), nn.Linear(2, 2), forgets
        self.logvar = nn.Parameter(torch.zeros(()))

    def configure_optimizers(self):
        networks = [*self.encoder.parameters(), *self.decoder.parameters()]
        return {"optimizer": torch.optim.Adam(networks if self.forgets else self.parameters())}

    def loss(self, x_hat, x, mu, log_var):
        nll = (x_hat - x).abs() / self.logvar.exp() + self.logvar
        return nll.sum() + kl_of(mu, log_var).sum()


@pytest.mark.parametrize("forgets", [True, False])
def test_a_scale_that_no_optimiser_gets(forgets):
    model = Adversary(forgets)
    answer = report_of(model.loss, owner=model)
    assert len(answer.mistakes) == forgets and all("to no optimiser" in sentence for sentence in answer.mistakes)


def test_numbers_and_steps():
    def cyclical(recon, x, mu, logvar, step):
        return squares(recon, x) + min(1.0, (step % 1000) / 500) * kl_of(mu, logvar).sum()

    def off(recon, x, mu, logvar, kl_weight=0.0):
        return squares(recon, x) + kl_weight * kl_of(mu, logvar).sum()

    def scaled(recon, x, mu, logvar, n_pixels, lam=10.0):
        return lam * functional.mse_loss(recon, x) * n_pixels + kl_of(mu, logvar).sum(1).mean()

    def unknown(recon, x, mu, logvar, disc_fake):
        return squares(recon, x) + kl_of(mu, logvar).sum() - 0.1 * disc_fake.mean()

    assert "begins at 0 of its last, and has no end" in report_of(cyclical).text()
    assert "kl_weight of 0, with which there is no KL, taken as 1" in report_of(off).text()
    assert report_of(scaled).loss.phi == pytest.approx(0.05)
    assert "disc_fake = 1 as nothing else was given" in report_of(unknown).text()


def test_shapes_that_are_given_decide_what_a_mean_is_of():
    def first_axis(recon, x, mu, logvar):
        return functional.mse_loss(recon, x, reduction="none").sum(1).mean() + kl_of(mu, logvar).sum(1).mean()

    assert report_of(first_axis).loss.phi == 0.5  # of vectors it is the sum
    images = report_of(first_axis, Words(shape=(3, 8, 8), latents=4))
    assert "summed over some axes of an image" in images.mistakes[0]
    assert images.loss.phi == pytest.approx(64 / 2)  # ½ · N/C


def test_sequences_dicts_and_steps_of_an_object():
    def sequences(recon, seq, mu, logvar):
        return ((recon - seq) ** 2).sum(dim=(1, 2)).mean() + kl_of(mu, logvar).sum(1).mean()

    def dicts(batch, outputs):
        return squares(outputs["x_hat"], batch["image"]) + kl_of(outputs["mu"], outputs["logvar"]).sum()

    def wide(x_hat, x, mu, sigma):
        return squares(x_hat, x) + kl_divergence(Normal(mu, sigma), Normal(0.0, 2.0)).sum()

    class Annealed:
        def __init__(self):
            self.global_step, self.kl_anneal_steps = 0, 1000

        def loss(self, recon, x, mu, logvar):
            weight = min(1.0, self.global_step / self.kl_anneal_steps)
            return squares(recon, x) + weight * kl_of(mu, logvar).sum()

    assert report_of(sequences).mistakes == [] and report_of(sequences).loss.phi == 0.5
    assert report_of(dicts).mistakes == [] and report_of(dicts).loss.phi == 0.5
    assert "with a prior of variance 4 it would be right" in report_of(wide).mistakes[0]
    annealed = Annealed()
    answer = report_of(annealed.loss, owner=annealed)
    assert answer.mistakes == [] and answer.loss.phi == 0.5 and annealed.global_step == 0


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.fc_mu, self.fc_logvar = nn.Linear(12, 6), nn.Linear(6, 3), nn.Linear(6, 3)
        self.decoder = nn.Linear(3, 12)

    def loss(self, x):
        hidden = torch.relu(self.body(x))
        mu, logvar = self.fc_mu(hidden), self.fc_logvar(hidden)
        x_hat = self.decoder(mu + (0.5 * logvar).exp() * torch.randn_like(mu))
        return squares(x_hat, x) + 2 * kl_of(mu, logvar).sum()


def test_a_model_whose_loss_takes_the_data_alone():
    model = Model()
    answer = report_of(model.loss, owner=model)
    assert answer.mistakes == [] and answer.loss.phi == 1.0
    assert model.decoder.weight.dtype == torch.float32  # the user's own is left alone


class OwnScale(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def loss_function(self, recon, x, mu, logvar):
        error = (recon - x) ** 2 / (2 * self.log_sigma.exp() ** 2) + self.log_sigma
        return error.flatten(1).sum(1).mean() + kl_of(mu, logvar).sum(1).mean()


def test_a_scale_beside_a_method_of_a_model_is_not_said_to_be_the_loss_s_alone():
    model = OwnScale()
    text = report_of(model.loss_function, owner=model).text()
    assert "the error is divided by" in text and "parameter of the loss alone" not in text


def test_the_card_has_the_name_of_the_argument_that_weighs_the_kl():
    def loss(recon, x, mu, logvar, beta=4.0):
        return squares(recon, x) + beta * kl_of(mu, logvar).sum()

    card = " ".join(report_of(loss).text().split())
    assert "φ = 2, the product of 4 beta 0.5 ½" in card and "kl_weight" not in card
    assert "3 kl_weight" in " ".join(report_of(of_a_kl(lambda mu, logvar: 3 * kl_of(mu, logvar).sum())).text().split())


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (Words(), ""),
        (Words(latents=4), " model.latents=4"),
        (Words(shape=(1, 28, 28), latents=4), " model.latents=4 transform=scale dataset=mnist"),
        (Words(shape=(12,)), " transform=scale dataset=npz dataset.path=FILE.npz"),
    ],
)
def test_the_command_for_a_loss_without_a_card_has_the_sizes_that_were_typed(words, options):
    huber = of_an_error(lambda a, x: functional.huber_loss(a, x, reduction="sum"))
    assert report_of(huber, words).train == f"vaekl train likelihood=logistic weighting=auto{options}"


@pytest.mark.parametrize(
    ("weight", "share"),
    # 1/(2α) is that of a logistic
    [(0.25, ""), (0.5, "a KL that counts 2 times as much"), (0.05, "a KL that counts 0.2 times as much")],
)
def test_log_cosh_is_a_logistic_at_one_weight_of_the_kl(weight, share):
    def loss(recon, x, mu, logvar):
        return (torch.log(torch.cosh(2 * (recon - x))) / 2).sum() + weight * kl_of(mu, logvar).sum()

    answer = report_of(loss)
    assert "logistic of scale φ = 1/(2α) = 0.25" in answer.is_what and answer.is_what.endswith(share or "0.25")
    assert ("control.weight" in answer.train) == bool(share)
