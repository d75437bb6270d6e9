"""What a loss implies, against answers derived by hand and against the loss itself computed by plain PyTorch.

With N values in an image, Z latents, B images in a batch and w the KL's weight, written for one image:

    mean-MSE + w · KL               = (1/N) Σ (x−x̂)² + w KL     = (2/N) [Σ ½(x−x̂)² + (wN/2) KL]   so σ² = wN/2
    sum-MSE + w · KL                = 2 [Σ ½(x−x̂)² + (w/2) KL]                                      so σ² = w/2
    ½ sum-MSE + w · KL                                                                             so σ² = w
    ½ mean-MSE + w · mean-KL        = (1/N) [Σ ½(x−x̂)² + (wN/Z) KL]                                so σ² = wN/Z
    sum over the batch of squares + batch mean of KL: the KL counts 1/B of what it would           so σ² = w/(2B)
    r-MSE + w · KL                  = 2r [Σ ½(x−x̂)² + (w/2r) KL]                                   so σ² = w/(2r)
    mean-L1 + w · KL                = (1/N) [Σ |x−x̂| + wN KL]                                       so scale wN
    sum-BCE + β · KL                                                                               so φ = β
"""

import math

import pytest
import torch
from numpy.testing import assert_allclose
from scipy import special, stats
from torch.nn import functional

from vaekl.model.ledger import ElboTerms, PosteriorSample, gaussian_kl
from vaekl.model.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Laplace, NegativeBinomial, Poisson
from vaekl.model.weighting import FixedBeta, auto_weighting
from vaekl.verbs.audit.densities import ABSOLUTE, CROSS_ENTROPY_BINARY, CROSS_ENTROPY_GREY, SQUARE
from vaekl.verbs.audit.loss import Loss
from vaekl.verbs.audit.parse import read_loss

FAMILIES = {"gaussian": Gaussian, "laplace": Laplace, "bernoulli": Bernoulli, "cb": ContinuousBernoulli}

BY_HAND = [
    # AntixK's VanillaVAE on CelebA: σ² = 0.00025 · 12288/2 = 1.536; β_norm = 1.536 · 128/12288 = 0.016
    ("reconstruction=mse reduction=mean kl_weight=0.00025 shape=[3,64,64] latents=128", 1.536, 1.536, 0.016),
    ("reconstruction=mse reduction=mean kld_weight=0.00025 shape=3x64x64", 1.536, 1.536, None),
    ("reconstruction=mse reduction=mean M_N=0.00025 shape=3,64,64", 1.536, 1.536, None),
    # M_N = 144/162770, so σ² = 144/162770 · 12288/2 = 5.43549
    (
        "reconstruction=mse reduction=mean kl_weight=M_N batch_size=144 train_images=162770 shape=[3,64,64]",
        5.4354979, 5.4354979, None,
    ),
    # the same on [-1, 1]: twice the range is four times the variance, so on [0, 1] it is a quarter
    ("reconstruction=mse reduction=mean kl_weight=0.00025 shape=[3,64,64] range=[-1,1]", 1.536, 0.384, None),
    ("reconstruction=mse", 0.5, 0.5, None),
    ("reconstruction=mse half=true", 1.0, 1.0, None),
    ("reconstruction=mse half=true kl_weight=0.01", 0.01, 0.01, None),
    ("reconstruction=mse kl_weight=0.01", 0.005, 0.005, None),
    # ½ mean-MSE + mean-KL: φ = N/Z = 64/8
    ("reconstruction=mse half=true reduction=mean kl_reduction=mean shape=[1,8,8] latents=8", 8.0, 8.0, 1.0),
    # F.mse_loss(reduction="sum") with a KL averaged over a batch of 50: φ = 1/(2 · 50)
    ("reconstruction=mse batch_reduction=sum batch_size=50", 0.01, 0.01, None),
    ("reconstruction=mse kl_batch_reduction=sum batch_size=50", 25.0, 25.0, None),
    # summed both: B cancels, whether known or not
    ("reconstruction=mse half=true batch_reduction=sum kl_batch_reduction=sum", 1.0, 1.0, None),
    ("reconstruction=mse half=true batch_reduction=sum kl_batch_reduction=sum batch_size=9", 1.0, 1.0, None),
    ("reconstruction=mse half=true reconstruction_weight=1000 kl_weight=2", 0.002, 0.002, None),
    ("reconstruction=l1 kl_weight=0.1", 0.1, 0.1, None),
    ("reconstruction=l1 kl_weight=0.1 range=[0,255]", 0.1, 0.1 / 255, None),
    ("reconstruction=l1 reduction=mean kl_weight=0.01 shape=[1,10,10]", 1.0, 1.0, None),
    # Higgins' β = 4 on dSprites: β_norm = 4 · 10/4096
    ("reconstruction=bce beta=4 data=binary shape=[1,64,64] latents=10", 4.0, 4.0, 40 / 4096),
    ("reconstruction=bce beta_norm=0.001 data=binary shape=[1,64,64] latents=10", 0.4096, 0.4096, 0.001),
    ("reconstruction=bce kl_weight=0.5 beta=4 shape=[1,28,28]", 2.0, 2.0, None),
    ("reconstruction=bce reduction=mean shape=[1,28,28]", 784.0, 784.0, None),
    # a predicted variance leaves the KL's weight what it is, an information weight, whatever the range
    ("reconstruction=gaussian_nll kl_weight=3 range=[-1,1]", 3.0, 3.0, None),
    ("reconstruction=poisson kl_weight=3 range=[0,9]", 3.0, 3.0, None),
    ("reconstruction=nb reduction=mean kl_weight=0.01 shape=[100] latents=5", 1.0, 1.0, 0.05),
    ("reconstruction=gaussian_nll full=true reduction=mean kl_weight=0.001 shape=[1,10,10] latents=4", 0.1, 0.1, 0.004),
]  # fmt: skip


@pytest.mark.parametrize(("words", "phi", "beta_kl", "normalised"), BY_HAND)
def test_hand_derived(words, phi, beta_kl, normalised):
    loss = read_loss(words.split())
    assert loss.phi == pytest.approx(phi, rel=1e-6)
    assert loss.beta_kl == pytest.approx(beta_kl, rel=1e-6)
    assert loss.normalised_beta == (pytest.approx(normalised) if normalised else None)
    assert math.prod(value for value, _ in loss.phi_factors()) == pytest.approx(loss.phi, rel=1e-12)


def test_hand_derived_sigma_and_constant():
    # σ = √1.536; ln C = −(12288/2) ln(2π · 1.536) = −6144 · 2.26706
    loss = read_loss(["reconstruction=mse", "reduction=mean", "kl_weight=0.00025", "shape=[3,64,64]"])
    assert loss.sigma == pytest.approx(1.239355, rel=1e-6)
    assert loss.log_norm_const == pytest.approx(-13929.0, abs=0.5)
    # a Laplace of scale b has standard deviation √2 b; 10 · 10 values of −ln(2 · 0.5) are 0
    loss = read_loss(["reconstruction=l1", "kl_weight=0.5", "shape=[1,10,10]"])
    assert loss.sigma == pytest.approx(0.7071068)
    assert loss.log_norm_const == pytest.approx(0)
    exact = read_loss(["reconstruction=bce", "data=binary", "shape=[1,28,28]"])
    assert exact.exact and exact.log_norm_const == 0 and not exact.moves_optimum
    weighted, grey = read_loss(["reconstruction=bce", "data=binary", "beta=4"]), read_loss(["reconstruction=bce"])
    assert (weighted.exact, weighted.moves_optimum, weighted.log_norm_const) == (False, False, None)
    assert (grey.exact, grey.moves_optimum, grey.log_norm_const) == (False, True, None)


def reduced(value, reduction, over):
    return value.sum(over) if reduction == "sum" else value.mean(over)


def as_the_user_would(loss, x, out, mean, log_var):
    """The loss in plain PyTorch, in the user's own words."""
    if loss.reconstruction == "mse":
        error = functional.mse_loss(out, x, reduction="none") * (0.5 if loss.half else 1)
    elif loss.reconstruction == "l1":
        error = functional.l1_loss(out, x, reduction="none")
    else:
        error = functional.binary_cross_entropy(out.sigmoid(), x, reduction="none")
    kl = -0.5 * (1 + log_var - mean**2 - log_var.exp())
    first = reduced(reduced(error.flatten(1), loss.reduction, 1), loss.batch_reduction, 0)
    second = reduced(reduced(kl, loss.kl_reduction, 1), loss.kl_batch_reduction, 0)
    weight = math.prod(value for _, value in loss.kl_numbers())
    return (loss.reconstruction_weight * first + weight * second).item()


B, SHAPE, Z = 5, (2, 3, 4), 6
SIZES = {"shape": SHAPE, "latents": Z, "batch_size": B}
LOSSES = [
    Loss("mse", **SIZES),
    Loss("mse", reduction="mean", kl_weight=0.3, **SIZES),
    Loss("mse", half=True, kl_reduction="mean", kl_weight=0.3, reconstruction_weight=7.0, **SIZES),
    Loss("mse", batch_reduction="sum", kl_weight=0.3, range=(-1.0, 1.0), **SIZES),
    Loss("mse", kl_batch_reduction="sum", reduction="mean", range=(0.0, 255.0), beta=3.0, **SIZES),
    Loss("mse", batch_reduction="sum", kl_batch_reduction="sum", shape=SHAPE, latents=Z),
    Loss("l1", reduction="mean", kl_weight="M_N", train_images=50, range=(-1.0, 1.0), **SIZES),
    Loss("l1", kl_reduction="mean", batch_reduction="sum", **SIZES),
    Loss("bce", data="binary", beta=4.0, reduction="mean", **SIZES),
    Loss("bce", data="binary", batch_reduction="sum", kl_batch_reduction="sum", shape=SHAPE, latents=Z),
    Loss("bce", beta_norm=0.5, kl_reduction="mean", **SIZES),
    Loss("bce", **SIZES),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.reconstruction}-{loss.phi:.3g}")
def test_the_user_s_loss_is_vaekl_s_times_a_factor_and_the_elbo_up_to_the_constant(loss):
    generator = torch.Generator().manual_seed(0)
    unit, out = torch.rand(2, B, *SHAPE, generator=generator, dtype=torch.float64)
    mean, log_var = torch.randn(2, B, Z, generator=generator, dtype=torch.float64)
    if loss.data == "binary":
        unit = unit.round()
    low, width = loss.range[0], loss.width
    typed = as_the_user_would(loss, low + width * unit, low + width * out, mean, log_var)
    images = B if loss.per_batch else 1

    family = FAMILIES[loss.density.likelihood]()
    weighting = FixedBeta(family, SHAPE, loss.beta_kl)
    kl = gaussian_kl(mean, 0.5 * log_var)
    energy = family.energy(out.unsqueeze(1), unit, weighting.dispersion).sum_to_size(B, 1, 1, 1)
    terms = ElboTerms(energy, torch.zeros(B), kl, weighting.dispersion.double(), PosteriorSample(*[mean] * 4))
    # on the user's scale E is width² or width times that on [0, 1]
    power = {"gaussian": 2, "laplace": 1}.get(loss.density.likelihood, 0)
    factor = loss.energy_factor * width**power
    assert typed == pytest.approx(images * factor * weighting.loss(terms, 1.0).item(), rel=1e-6)

    if loss.log_norm_const is not None:
        x, location = (low + width * unit).numpy(), (low + width * out).numpy()
        if loss.density.likelihood == "bernoulli":
            log_prob = stats.bernoulli(out.sigmoid().numpy()).logpmf(x)
        elif loss.density.likelihood == "gaussian":
            log_prob = stats.norm(location, loss.sigma).logpdf(x)
        else:
            log_prob = stats.laplace(location, loss.phi).logpdf(x)
        elbo = log_prob.sum() / B - kl.sum().item() / B
        assert -elbo == pytest.approx(typed / images / loss.kl_factor - loss.log_norm_const, rel=1e-9)


@pytest.mark.parametrize("density", [SQUARE, ABSOLUTE, CROSS_ENTROPY_BINARY, CROSS_ENTROPY_GREY])
def test_what_a_card_says_of_a_density_is_true_of_vaekl_s_family(density):
    """The card knows four densities without torch; the families are asked here."""
    family = FAMILIES[density.likelihood]()
    facts = family.facts()
    assert (density.likelihood, density.scale_power) == (facts["name"], facts["scale_power"])
    assert density.unit_sigma == pytest.approx(facts["unit_sigma"] or 0)
    eta, one = torch.linspace(-9, 9, 7, dtype=torch.float64).view(-1, 1, 1, 1, 1), torch.ones(1, 1, 1).double()
    constants, sigmas = family.log_norm_const(eta, one).unique(), family.variance(eta, one).sqrt()
    assert (len(constants) == 1) == (density.exact or density.scale_power is not None)
    if len(constants) == 1:
        assert constants.item() == pytest.approx(density.unit_log_norm_const)
    if density.scale_power is None:
        assert sigmas.max().item() == pytest.approx(density.largest_sigma)


@pytest.mark.parametrize("phi", [1.0, 1.5, 4.0])
def test_the_least_constant_of_the_continuous_bernoulli(phi):
    """The card says that ln C is at least ln 2/φ a value."""
    a = torch.linspace(-60, 60, 4001, dtype=torch.float64).view(-1, 1, 1, 1, 1)
    constant = ContinuousBernoulli().log_norm_const(a, torch.full((1, 1, 1), phi, dtype=torch.float64))
    assert constant.min().item() == pytest.approx(math.log(2) / phi, abs=1e-9)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_torch_s_gaussian_nll_is_the_elbo_of_a_decoder_that_gives_the_scale(full, reduction):
    """Up to N/2 ln(2π), by SciPy, and by vaekl's own loss at η₂ = ln(σ − 0.001)."""
    generator = torch.Generator().manual_seed(0)
    x, out, draw = torch.rand(3, B, *SHAPE, generator=generator, dtype=torch.float64)
    mean, log_std = torch.randn(2, B, Z, generator=generator, dtype=torch.float64)
    kl, std = gaussian_kl(mean, log_std), 0.1 + draw
    loss = Loss("gaussian_nll", full=full, reduction=reduction, kl_weight=1 if reduction == "sum" else 1 / 24, **SIZES)
    assert loss.exact and not loss.moves_optimum and loss.sigma is None
    error = functional.gaussian_nll_loss(out, x, std**2, full=full, reduction="none").flatten(1)
    typed = (reduced(error, reduction, 1) + loss.kl_weight * kl.sum(1)).mean().item()
    elbo = (stats.norm(out.numpy(), std.numpy()).logpdf(x.numpy()).sum() - kl.sum().item()) / B
    assert -elbo == pytest.approx(typed / loss.kl_factor - loss.log_norm_const, rel=1e-9)

    family = Gaussian(scale="decoder")
    weighting = auto_weighting(family, SHAPE)
    energy, constant = family.parts(torch.stack([out, (std - 1e-3).log()], 1), x, weighting.dispersion)
    terms = ElboTerms(energy, constant, kl, weighting.dispersion.double(), PosteriorSample(*[mean] * 4))
    assert weighting.loss(terms, 1.0).item() == pytest.approx(-elbo, rel=1e-6)


def test_torch_s_poisson_loss_lacks_ln_x_factorial_and_scvi_s_negative_binomial_nothing():
    """Σ ln x! by SciPy; scvi-tools' log_nb_positive, which is SciPy's law of n = θ and p = θ/(θ + μ)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 30, (B, *SHAPE), generator=generator).double()
    a, log_theta = torch.randn(2, B, *SHAPE, generator=generator, dtype=torch.float64)
    typed = functional.poisson_nll_loss(a, x, reduction="none")
    exact = Poisson().energy(a.unsqueeze(1), x, torch.ones(1, 1, 1))
    assert_allclose(exact - typed, special.gammaln(x.numpy() + 1), rtol=1e-9, atol=1e-9)
    stirling = functional.poisson_nll_loss(a, x, full=True, reduction="none")
    assert 0.041 < (exact - stirling).max() < 0.042
    law = stats.nbinom(log_theta.exp().numpy(), 1 / (1 + (a - log_theta).exp().numpy()))
    energy = NegativeBinomial("decoder").energy(
        torch.stack([a, ((-log_theta).exp() - 1e-6).log()], 1), x, torch.ones(1, 1, 1)
    )
    assert_allclose(-energy, law.logpmf(x.numpy()), rtol=1e-8)
    assert Loss("poisson", **SIZES).log_norm_const is None and Loss("nb", **SIZES).log_norm_const == 0
