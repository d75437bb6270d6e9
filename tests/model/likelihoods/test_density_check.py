"""A user's own family is refused where its parts do not belong to one density; vaekl's own are not."""

from math import gamma, inf, log

import pytest
import torch
from likelihood_cases import EXACT
from own_families import Exponential, Geometric, LogNormal, Narrow, Poisson, Quartic, StudentT, Uniform
from scipy import stats
from torch.nn.functional import softplus

from vaekl.model.likelihoods import CensoredGaussian, Gaussian, Laplace, Likelihood, TruncatedGaussian
from vaekl.model.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from vaekl.model.likelihoods.beta import Beta
from vaekl.model.likelihoods.density_check import check_density
from vaekl.model.likelihoods.logistic import Logistic as VaeklsLogistic
from vaekl.model.weighting import FixedBeta
from vaekl.model.weighting.fitted import best_dispersion
from vaekl.system.errors import VaeklError


@pytest.mark.parametrize("family", EXACT)
def test_vaekl_s_own_pass(family):
    check_density(EXACT[family][0])


class Logistic(Likelihood):
    """As a reader of the README wrote it: ln C = −ln φ belongs to E/φ with x/φ in it, not to this E."""

    name = "logistic"
    accepts = ("real",)
    bounds = (-inf, inf)
    scale_power = 1.0
    energy_text, log_norm_const_text = "−ln logistic(x − μ)", "−ln φ"

    def energy(self, eta, x, dispersion):
        off = x - eta[:, 0]
        return off + 2 * softplus(-off)

    def log_norm_const(self, eta, dispersion):
        return -dispersion.log().expand_as(eta[:, 0])

    def mean(self, eta, dispersion):
        return eta[:, 0]

    def variance(self, eta, dispersion):
        return (dispersion.square() * torch.pi**2 / 3).expand_as(eta[:, 0])

    def sample(self, eta, dispersion, generator=None):
        u = torch.rand(eta[:, 0].shape, generator=generator, dtype=eta.dtype)
        return eta[:, 0] + dispersion * (u / (1 - u)).log()


def test_a_constant_that_is_wrong_by_a_factor_that_depends_on_phi():
    """Its integral at φ is B(1/φ, 1/φ)/φ."""
    integral = gamma(10) ** 2 / gamma(20) * 10
    with pytest.raises(VaeklError, match=rf"^likelihood=logistic .* φ = 0.1 .* the integral {integral:.4g}, not 1"):
        check_density(Logistic())
    check_density(Logistic(), [1.0])
    with pytest.raises(VaeklError, match=r"φ = 1.4 .* the integral 1.31"):
        check_density(Logistic(), [1.4])


def broken(family, **methods):
    """A family with other methods."""
    return type(family.__name__, (family,), {"name": "mine", **methods})()


def of(function):
    """A wrong part, of η and φ."""
    return lambda self, eta, dispersion: function(eta[:, 0], dispersion)


def energy(function):
    """A wrong energy, of x − μ."""
    return broken(Gaussian, energy=lambda self, eta, x, dispersion: function(x - eta[:, 0]))


def drawn(family, function):
    """A family with wrong draws, of η, φ and the generator."""
    return broken(family, sample=lambda self, eta, dispersion, generator: function(eta, dispersion, generator))


class NoSlope(Gaussian):
    """The decoder learns nothing from it."""

    def location(self, eta):
        return super().location(eta.detach())

    def log_norm_const(self, eta, dispersion):
        return super().log_norm_const(eta.detach(), dispersion)


class OtherBins(Gaussian):
    """The bins of another density."""

    def log_mass(self, eta, lower, upper, dispersion):
        return Laplace().log_mass(eta, lower, upper, dispersion)


FAULTS = {
    "ln C": (
        broken(Gaussian, log_norm_const=of(lambda eta, phi: -0.5 * (log(2) + phi.log()).expand_as(eta))),
        "integral 1.772,",
    ),
    "ln C by a thousandth": (
        broken(Gaussian, log_norm_const=of(lambda eta, phi: 1e-3 - 0.5 * (2 * torch.pi * phi).log().expand_as(eta))),
        "integral 1.001,",
    ),
    "no variance": (broken(Gaussian, variance=of(lambda eta, phi: torch.full_like(eta, inf))), "it has no variance"),
    "E": (energy(lambda off: 0.4 * off**2), "integral 1.118,"),
    "mean": (broken(ContinuousBernoulli, mean=of(lambda eta, phi: (eta / phi).sigmoid())), "`mean` says"),
    "variance": (broken(Laplace, variance=of(lambda eta, phi: phi.square().expand_as(eta))), "`variance` says"),
    "draws": (drawn(Laplace, lambda eta, phi, g: Gaussian().sample(eta, 2 * phi**2, g)), "draws are not of it"),
    "probability of an end": (broken(CensoredGaussian, atoms=(0.0,)), "integral 0."),
    "draws without the ends": (drawn(CensoredGaussian, TruncatedGaussian().sample), "draws are not of it"),
    "draws of means": (drawn(Beta, lambda eta, phi, g: Beta().mean(eta, phi)), "draws are not of it"),
    "draws of 0": (drawn(Bernoulli, lambda eta, phi, g: torch.zeros_like(eta[:, 0])), "draws are not of it"),
    "scale_power": (broken(Gaussian, scale_power=1.0), "scale_power=1 says 0.6931"),
    "a scale that is none": (broken(Beta, scale_power=0.5), "scale_power"),
    "log_mass": (OtherBins(), "`log_mass` says"),
    "gradient": (NoSlope(), "does not depend on η"),
    "shape": (broken(Gaussian, energy=lambda self, eta, x, dispersion: 0.5 * (x - eta) ** 2), "energy has the shape"),
    "sum": (energy(lambda off: (0.5 * off**2).sum()), r"energy has the shape \(\)"),
    "not finite": (energy(lambda off: off**2 / 0), "integral"),
    "error": (energy(lambda off: off.nonsense), "AttributeError: .*test_density_check.py"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault):
    family, words = FAULTS[fault]
    with pytest.raises(VaeklError, match=words) as caught:
        check_density(family)
    assert str(caught.value).count("\n") == 0


class MeanOfValues(Gaussian):
    """A loss as tutorials write it: one value by itself is right, and an example is not."""

    def energy(self, eta, x, dispersion):
        return super().energy(eta, x, dispersion).mean(tuple(range(1, x.ndim)), keepdim=True)


class SumOfSquares(Gaussian):
    """Each value has the energy of all."""

    def energy(self, eta, x, dispersion):
        return super().energy(eta, x, dispersion).sum(tuple(range(1, x.ndim)), keepdim=True).expand_as(x)


@pytest.mark.parametrize("family", [MeanOfValues, SumOfSquares])
def test_what_is_right_for_one_value_alone_is_refused(family):
    check_density(family())
    with pytest.raises(VaeklError, match="energy"):
        check_density(family(), shape=(1, 8, 8))


def test_the_constant_of_whole_numbers_is_part_of_the_loss():
    family, one = Geometric(), torch.ones(1, 1, 1)
    energy, constant = family.parts(torch.zeros(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1), one, tempered=False)
    assert (constant - energy.flatten()).item() == pytest.approx(stats.geom(0.5, loc=-1).logpmf(1))  # -1.386
    check_density(family, [1.0])
    weighting = FixedBeta(family, (1, 1, 1))
    assert weighting.drops_constant and "dropped all the same" in weighting.explanation()
    with pytest.raises(VaeklError, match=r"0.6931 nats off ln p.*log_norm_const_text"):
        check_density(type("Said0", (Geometric,), {"log_norm_const_text": "0"})(), [1.0])


class LogCosh(VaeklsLogistic):
    """Its E has φ in it, and says so or not."""

    name = "log_cosh"


class SaysNothing(LogCosh):
    """E is then taken for its slope, and the φ that is solved is wrong."""

    energy_depends_on_dispersion = False
    energy_slope = Likelihood.energy_slope


class WithoutSlope(LogCosh):
    """Its slope is that of autograd."""

    energy_slope = Likelihood.energy_slope


def test_an_energy_with_phi_in_it_says_so():
    with pytest.raises(VaeklError, match="mend energy_depends_on_dispersion or energy_slope"):
        check_density(SaysNothing())
    wrong = broken(
        LogCosh, energy_slope=lambda self, eta, x, phi: 1.01 * VaeklsLogistic.energy_slope(self, eta, x, phi)
    )
    with pytest.raises(VaeklError, match="energy_slope, by default E, is"):
        check_density(wrong)
    check_density(WithoutSlope())
    eta, x, one = (
        torch.zeros(400, 1, 1),
        torch.from_numpy(stats.logistic.rvs(size=(400, 1), random_state=0)),
        torch.ones(1),
    )
    with torch.no_grad():
        solved = best_dispersion(WithoutSlope(), eta, x, one)
    assert solved.item() == pytest.approx(stats.logistic.fit(x.numpy(), floc=0)[1], rel=1e-4)


def test_heavy_tails_and_narrow_densities_pass():
    check_density(StudentT(), [1.0])
    check_density(Uniform(), [1.0], (2, 3))
    check_density(LogNormal(), [1.0], (3, 4, 5))
    check_density(Narrow(), [0.0025], (7,))


@pytest.mark.parametrize("family", [Quartic, Exponential])
def test_densities_of_other_forms_pass(family):
    check_density(family())


def test_counts_without_an_end():
    check_density(Poisson(), [1.0])
    with pytest.raises(VaeklError, match="integral"):
        check_density(Poisson(), [2.0])
