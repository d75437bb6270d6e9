"""Counts in 60 digits: probabilities, slopes and masses of bins, from the Poisson's limit to far too many zeros."""

from itertools import product
from math import floor, inf, log

import mpmath as mp
import pytest
import torch
from numpy.testing import assert_allclose

from vaekl.data.spec import DataSpec
from vaekl.model.likelihoods import Gaussian, NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from vaekl.model.likelihoods.density_check import check_density
from vaekl.model.nets import mlp
from vaekl.model.vae import VAE
from vaekl.model.weighting import FixedBeta, FixedDispersion, LearnedPrecision, auto_weighting
from vaekl.system.errors import VaeklError

mp.mp.dps = 60
ONE = torch.ones(1, 1, 1)


def log_mass(x, eta, phi=None, logit=None):
    """ln p(x) of mean exp(η), and of a share 1/(1 + e^-logit) of zeros more; φ = None is the Poisson's."""
    x, log_mean = mp.mpf(x), eta if eta <= 17 else 17 + mp.log1p(eta - 17)
    if phi is None:
        nats = x * log_mean - mp.exp(log_mean) - mp.loggamma(x + 1)
    else:
        r, rest = 1 / phi, mp.log1p(phi * mp.exp(log_mean))
        nats = mp.loggamma(x + r) - mp.loggamma(r) - mp.loggamma(x + 1) - r * rest
        nats += x * (mp.log(phi) + log_mean - rest)
    if logit is None:
        return nats
    more = 1 / (1 + mp.exp(-logit))
    return mp.log((1 - more) * mp.exp(nats) + more * (x == 0))


def probabilities(values, last):
    """p(0), ..., p(last), each by its ratio to the one before."""
    eta, phi, logit = (*values, *(0, None)[len(values) - 1 :])
    mean = mp.exp(eta)
    mass, masses = mp.exp(-mp.log1p(phi * mean) / phi if phi else -mean), []
    for k in range(1, last + 2):
        masses.append(mass)
        mass *= mean * (1 + phi * (k - 1)) / (k * (1 + phi * mean))
    if logit is not None:
        more = 1 / (1 + mp.exp(-logit))
        masses = [(1 - more) * mass + more * (k == 0) for k, mass in enumerate(masses)]
    return masses


def slopes(function, values):
    """Central differences, as floats."""
    step = mp.mpf(10) ** -25
    values = [mp.mpf(value) for value in values]
    differences = []
    for i, at in enumerate(values):
        ends = [function([*values[:i], at + sign * step * (1 + abs(at)), *values[i + 1 :]]) for sign in (1, -1)]
        differences.append(float((ends[0] - ends[1]) / (2 * step * (1 + abs(at)))))
    return differences


def value(number, dtype=torch.float64):
    return torch.full((1, 1, 1, 1), number, dtype=dtype)


COUNTS = [0, 1, 2, 7, 30, 255, 10_000, 1_000_000]
OFF = [-30.0, -1.0, -0.01, 0.0, 0.3, 2.0, 18.0]
PHIS = [None, 1e-10, 1e-4, 0.01, 0.3, 1.0, 3.0, 1e4]


@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.nightly)], ids=["float32", "float64"]
)
@pytest.mark.parametrize("phi", PHIS)
def test_probabilities_and_slopes_keep_their_digits(phi, dtype):
    """Of ln p what the rounding of η leaves; of float32's ln Γ(x + 1/φ) − ln Γ(1/φ) nothing would be left at 1e-10."""
    family, eps = Poisson() if phi is None else NegativeBinomial(), torch.finfo(dtype).eps
    for x, off in product(COUNTS[:: 1 if dtype == torch.float32 else 3], OFF):
        eta = torch.tensor([log(max(x, 1)) + off], dtype=dtype).view(1, 1, 1, 1, 1).requires_grad_()
        dispersion = torch.full((1, 1, 1), phi or 1.0, dtype=dtype, requires_grad=phi is not None)
        nats = -family.log_prob(eta, value(x, dtype), dispersion)
        at = [mp.mpf(eta.item())] + ([] if phi is None else [mp.mpf(dispersion.item())])
        exact, mean = -log_mass(x, *at), mp.exp(at[0] if at[0] <= 17 else 17 + mp.log1p(at[0] - 17))
        to_log_mean, rounded = float((mean - x) / (1 + (phi or 0) * mean)), eps * (1 + abs(float(at[0])))
        slack = 4 * (eps + abs(to_log_mean) * rounded)
        assert nats.item() == pytest.approx(float(exact), rel=4 * eps, abs=slack), (x, off)
        gradients = torch.autograd.grad(nats.sum(), [eta, dispersion][: len(at)])
        to_eta, slack = to_log_mean / (1 + max(0.0, float(at[0]) - 17)), float(mean / (1 + (phi or 0) * mean)) * rounded
        assert gradients[0].item() == pytest.approx(to_eta, rel=4 * eps, abs=4 * slack), (x, off)
        if phi is not None:
            # in ln φ, as it is learned: E/φ − E·1/φ and the digits of x − μ
            expected = phi * slopes(lambda v, x=x: -log_mass(x, *v), at)[1]
            lost = float(abs(exact)) + float(abs(mean - x)) / (1 + phi * x) + 1
            slack = 9 * lost * rounded + 2e-12
            assert phi * gradients[1].item() == pytest.approx(expected, rel=1e3 * eps, abs=slack), (x, off)


@pytest.mark.parametrize("family", [NegativeBinomial, ZeroInflatedNegativeBinomial])
def test_what_the_decoder_gives_is_what_would_be_shared(family):
    """φ = 1e-6 + exp(η₂), and the same slopes in η₂; the logit of more zeros is the last output."""
    for x, log_phi, eta in product((0.0, 1.0, 9.0), (-9.0, -1.0, 2.0), (-2.0, 1.5)):
        outputs = torch.tensor([eta, log_phi, 0.4][: 3 if family is ZeroInflatedNegativeBinomial else 2])
        leaf = outputs.double().requires_grad_()
        by_decoder = family("decoder").log_prob(leaf.view(1, -1, 1, 1, 1), value(x), ONE.double())

        def exact(v, x=x):
            return log_mass(x, v[0], mp.mpf(1e-6) + mp.exp(v[1]), *v[2:])

        assert_allclose(by_decoder.item(), float(exact([mp.mpf(v) for v in leaf.tolist()])), rtol=1e-11)
        (slope,) = torch.autograd.grad(by_decoder.sum(), leaf)
        assert_allclose(slope, slopes(exact, leaf.tolist()), rtol=1e-8, atol=1e-10)
        shared = family().log_prob(leaf[[0, *range(2, len(leaf))]].view(1, -1, 1, 1, 1), value(x),
                                   (1e-6 + leaf[1].exp()).view(1, 1, 1))  # fmt: skip
        assert_allclose(shared.item(), by_decoder.item(), rtol=1e-12)


def test_means_beyond_any_count_grow_slowly_and_the_protocol_says_so():
    eta = torch.tensor([16.5, 17.0, 18.0, 1e4]).double().view(-1, 1, 1, 1, 1)
    assert_allclose(Poisson().mean(eta, ONE).flatten().log(), [16.5, 17, 17 + log(2), 17 + log(9984)], rtol=1e-12)
    assert all("means above e^17" in family().protocol for family in (Poisson, NegativeBinomial))
    assert "at least 1e-06" in NegativeBinomial("decoder").protocol


@pytest.mark.parametrize("by", ["shared", "decoder"])
@pytest.mark.parametrize("family", [Poisson, NegativeBinomial, ZeroInflatedNegativeBinomial])
def test_extreme_outputs_are_finite(family, by):
    likelihood = family() if family is Poisson else family(by)
    for outputs, x in product(product((1e4, -1e4, 0.0), repeat=likelihood.outputs), (0.0, 3.0, 2.0**24)):
        eta = torch.tensor(outputs).view(1, -1, 1, 1, 1).requires_grad_()
        log_prob = likelihood.log_prob(eta, value(x, torch.float32), ONE)
        (slope,) = torch.autograd.grad(log_prob.sum(), eta)
        others = [likelihood.mean(eta, ONE), likelihood.variance(eta, ONE), likelihood.sample(eta, ONE)]
        assert all(part.isfinite().all() for part in (log_prob, slope, *others)), (outputs, x)


BINS = [
    (-inf, 0.0), (-inf, 3.7), (0.0, inf), (2.0, inf), (1.0, 2.0), (3.0, 9.0), (40.5, 60.0), (400.0, inf), (-inf, 900.0),
    (300.0, 420.0), (1000.0, 1101.0), (-inf, inf), (-5.0, 2.0), (2.2, 2.8), (-5.0, -1.0),
]  # fmt: skip
LAWS = [
    *[(mean, phi, None) for mean in (1e-9, 0.7, 33.3, 400.0) for phi in (None, 1e-9, 0.1, 3.0)],
    (2.0, 30.0, None), (5.0, 0.3, 0.4), (1e-3, 2.0, -3.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("mean", "phi", "logit"),
    [pytest.param(*law, marks=[] if law[2] == 0.4 else [pytest.mark.nightly]) for i, law in enumerate(LAWS)],
)
def test_masses_of_bins_and_their_slopes(mean, phi, logit):
    """Sums in 60 digits: of all counts in the bin, or of those below it where it has no end."""
    if logit is not None:
        family, names = ZeroInflatedNegativeBinomial(), 3
    else:
        family, names = (Poisson(), 1) if phi is None else (NegativeBinomial(), 2)
    leaf = torch.tensor([log(mean), phi or 1.0, logit or 0.0][:names]).double().requires_grad_()

    def exact(values, lower, upper):
        first, last = max(0, floor(lower) + 1 if lower > -inf else 0), floor(upper) if upper < inf else None
        if last is not None:
            return mp.log(mp.fsum(probabilities(values, last)[first:]))
        tail = probabilities(values, first + 600)[first:]
        # what lies beyond is either nothing, or is had with all digits from the sum below
        more = tail[-1] > tail[0] * mp.mpf(10) ** -40
        return mp.log(1 - mp.fsum(probabilities(values, first - 1)) if more else mp.fsum(tail))

    for lower, upper in BINS:
        eta = torch.stack([leaf[0], *leaf[2:]]).view(1, -1, 1, 1, 1)
        dispersion = leaf[1].view(1, 1, 1) if names > 1 else ONE.double()
        nats = family.log_mass(eta, value(lower), value(upper), dispersion)
        if (lower, upper) in ((2.2, 2.8), (-5.0, -1.0)):  # no count
            assert nats.item() == -inf
            continue
        true = exact([mp.mpf(v) for v in leaf.tolist()], lower, upper)
        by_leaf = slopes(lambda v, lower=lower, upper=upper: exact(v, lower, upper), leaf.tolist())
        assert_allclose(nats.item(), float(true), rtol=1e-8, atol=1e-8, err_msg=f"{lower} {upper}")
        (slope,) = torch.autograd.grad(nats.sum(), leaf, allow_unused=True) if nats.requires_grad else (0 * leaf,)
        assert_allclose(slope, by_leaf, rtol=1e-6, atol=1e-6, err_msg=f"{lower} {upper}")


def test_a_loss_without_ln_x_factorial_is_no_density():
    class Usual(Poisson):
        """torch.nn.PoissonNLLLoss as it is by default."""

        name = "usual"

        def energy(self, eta, x, dispersion):
            return torch.nn.functional.poisson_nll_loss(eta[:, 0], x, reduction="none")

    for likelihood, phis in ((Poisson(), [1.0]), (NegativeBinomial(), [0.1, 1.0, 10.0]),
                             (ZeroInflatedNegativeBinomial("decoder"), [1.0])):  # fmt: skip
        check_density(likelihood, phis, (2, 3))
    with pytest.raises(VaeklError, match=r"likelihood=usual .* η = \(0\), .* has the integral"):  # Σ e^-1
        check_density(Usual(), [1.0])


def test_weightings_of_counts():
    """The overdispersion is learned, one or several; a decoder that gives it leaves nothing to learn."""
    shared, by_decoder = NegativeBinomial(), NegativeBinomial("decoder")
    assert isinstance(auto_weighting(shared, (4,)), LearnedPrecision)
    assert LearnedPrecision(shared, (4,), per="value").dispersion.shape == (4,)
    assert isinstance(auto_weighting(by_decoder, (4,)), FixedDispersion)
    for likelihood in (by_decoder, Poisson()):
        with pytest.raises(VaeklError, match=f"weighting=learned_precision does not fit likelihood={likelihood.name}"):
            LearnedPrecision(likelihood, (4,))
        with pytest.raises(VaeklError, match=r"0\.5"):
            FixedDispersion(likelihood, (4,), 0.5)
    weighting = FixedDispersion(shared, (4,), 0.5)
    assert weighting.effective_beta_kl(weighting.dispersion, 2.0).item() == 2 and FixedBeta(shared, (4,), 3.0).phi == 1


def test_training_begins_at_the_mean_and_columns_of_zeros_have_a_floor():
    mean = torch.tensor([0.0, 0.5, 7.0])
    for family in (Poisson(), NegativeBinomial(), ZeroInflatedNegativeBinomial("decoder")):
        eta = family.first_eta(mean, 3.0)
        assert eta.shape == (family.outputs, 3)
        assert_allclose(eta[0].exp(), [1e-3, 0.5, 7.0], rtol=1e-6)


def test_the_encoder_sees_logarithms_of_counts_and_all_else_stays():
    """An encoder that is the identity, so that the posterior's mean is what it saw."""
    nets = mlp((3,), 1, 3, (4,))
    for likelihood, support, seen in (
        (Poisson(), "counts", [0.0, log(2), log(1000)]),
        (Gaussian(), "real", [0.0, 1.0, 999.0]),
    ):
        model = VAE(DataSpec("x", (3,), None, support), nets, likelihood, auto_weighting(likelihood, (3,)), 3)
        model.encoder.forward = lambda x: (x, x)
        x = torch.tensor([[0.0, 1.0, 999.0]])
        assert_allclose(model.encode(x)[0][0], seen, rtol=1e-6)
        assert torch.equal(model.spec.to_data(x), x)
