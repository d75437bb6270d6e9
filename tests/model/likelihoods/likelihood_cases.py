"""One table of families × parameters × dispersions, each beside the same law from an independent source."""

from dataclasses import dataclass

import mpmath as mp
import numpy as np
import torch
from exact_laws import (
    LEVELS,
    CensoredByMpmath,
    ContinuousBernoulliByMpmath,
    Counts,
    LogitNormalByMpmath,
    Masses,
    TruncatedByMpmath,
    beta_eta,
    decoder_scale,
    exact_beta,
    logistic_law,
    mixture_law,
)
from scipy import stats

from vaekl.model.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    CensoredGaussian,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    Likelihood,
    Logistic,
    LogisticMixture,
    LogitNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    TruncatedGaussian,
    ZeroInflatedNegativeBinomial,
)

#: family -> (likelihood, the same law from an independent source as a function of η and φ)
EXACT = {
    "gaussian": (Gaussian(), lambda eta, phi: stats.norm(eta[0], np.sqrt(phi))),
    "gaussian, sigmoid link": (Gaussian("sigmoid"), lambda eta, phi: stats.norm(1 / (1 + np.exp(-eta[0])), phi**0.5)),
    "laplace": (Laplace(), lambda eta, phi: stats.laplace(eta[0], phi)),
    "logistic": (Logistic(), lambda eta, phi: stats.logistic(eta[0], phi)),
    # the decoder's scale is its floor + exp of the second output
    "gaussian, scale by decoder": (
        Gaussian(scale="decoder", min_scale=0.02),
        lambda eta, phi: stats.norm(eta[0], (0.02 + np.exp(eta[1])) * np.sqrt(phi)),
    ),
    "laplace, scale by decoder": (
        Laplace("sigmoid", scale="decoder", min_scale=0.05),
        lambda eta, phi: stats.laplace(1 / (1 + np.exp(-eta[0])), (0.05 + np.exp(eta[1])) * phi),
    ),
    "logistic, scale by decoder": (
        Logistic(scale="decoder"),
        lambda eta, phi: stats.logistic(eta[0], (1e-3 + np.exp(eta[1])) * phi),
    ),
    "student_t": (StudentT(), lambda eta, phi: stats.t(5, eta[0], np.sqrt(phi))),
    "student_t, all by decoder": (
        StudentT(scale="decoder", df="decoder"),
        lambda eta, phi: stats.t(2.01 + np.exp(eta[2]), eta[0], (1e-3 + np.exp(eta[1])) * np.sqrt(phi)),
    ),
    "bernoulli": (Bernoulli(), lambda eta, phi: Masses([0, eta[0] / mp.mpf(phi)])),
    "cb": (ContinuousBernoulli(), lambda eta, phi: ContinuousBernoulliByMpmath(eta[0] / mp.mpf(phi))),
    "beta": (Beta(clamp=0), exact_beta),
    "poisson": (Poisson(), lambda eta, phi: Counts(eta[0])),
    "negative_binomial": (NegativeBinomial(), lambda eta, phi: Counts(eta[0], phi)),
    "zinb, φ by decoder": (
        ZeroInflatedNegativeBinomial("decoder"),
        lambda eta, phi: Counts(eta[0], 1e-6 + np.exp(eta[1]), eta[2]),
    ),
    "categorical": (Categorical(LEVELS), lambda eta, phi: Masses([value / mp.mpf(phi) for value in eta])),
    "discretized_logistic": (DiscretizedLogistic(levels=LEVELS), lambda eta, phi: logistic_law(eta[0], phi)),
    "discretized_logistic, scale by decoder": (
        DiscretizedLogistic("decoder", min_scale=0.02, levels=LEVELS),
        lambda eta, phi: logistic_law(eta[0], decoder_scale(eta[1])),
    ),
    "logistic_mixture": (LogisticMixture(2, min_scale=0.02, levels=LEVELS), lambda eta, phi: mixture_law(eta)),
    "truncated_gaussian": (TruncatedGaussian(), lambda eta, phi: TruncatedByMpmath(eta[0], phi)),
    "censored_gaussian": (CensoredGaussian(), lambda eta, phi: CensoredByMpmath(eta[0], np.sqrt(phi))),
    "censored_gaussian, scale by decoder": (
        CensoredGaussian("decoder", min_scale=0.02),
        lambda eta, phi: CensoredByMpmath(eta[0], (0.02 + np.exp(eta[1])) * np.sqrt(phi)),
    ),
    "logit_normal": (LogitNormal(), lambda eta, phi: LogitNormalByMpmath(eta[0], np.sqrt(phi))),
    "logit_normal, scale by decoder": (
        LogitNormal("decoder", min_scale=0.02),
        lambda eta, phi: LogitNormalByMpmath(eta[0], (0.02 + np.exp(eta[1])) * np.sqrt(phi)),
    ),
}

_LOGITS = [(0.0,), (1e-3,), (-0.7,), (1.9999,), (4.0,), (-11.0,), (60.0,), (-60.0,), (-2.5,)]
_ETAS = {
    "gaussian": [(0.0,), (-3.7,), (250.0,)],
    "gaussian, sigmoid link": [(0.0,), (-3.7,)],
    "laplace": [(0.0,), (-3.7,), (250.0,)],
    "logistic": [(0.0,), (-3.7,), (250.0,)],
    "student_t": [(0.0,), (-3.7,), (250.0,)],
    "student_t, all by decoder": [(0.3, -1.0, 0.5), (-3.7, -40.0, 9.0)],
    "gaussian, scale by decoder": [(0.3, -1.0), (-3.7, -40.0)],
    "laplace, scale by decoder": [(0.3, -1.0)],
    "logistic, scale by decoder": [(0.3, -1.0)],
    "bernoulli": _LOGITS,
    "cb": _LOGITS,
    # x next to 1 has only 16 digits, so β stays above 0.5; Beta's symmetry is tested apart
    "beta": [beta_eta(*ab) for ab in [(1, 1), (0.1, 0.5), (2, 3), (0.3, 40), (900, 700)]],
    "poisson": [(0.0,), (-3.0,), (3.5,)],
    "negative_binomial": [(-3.0,), (1.0,)],
    "zinb, φ by decoder": [(1.0, -1.2, 0.3), (3.0, -30.0, -1.0)],
    "categorical": [(0.0,) * LEVELS, (60.0, -60.0, 0.0, 59.0, 1.0), (0.3, -1.0, 2.0, 0.0, -4.0)],
    "discretized_logistic": [(25.0,), (0.0,), (0.4,), (-0.3,)],
    "discretized_logistic, scale by decoder": [(0.4, -1.0), (1.3, -40.0), (-2.0, 1.0)],
    "truncated_gaussian": [(0.3,), (-0.5,), (1.8,), (-30.0,)],
    "censored_gaussian": [(-30.0,), (1.8,), (-0.5,), (0.3,)],
    "censored_gaussian, scale by decoder": [(0.4, -1.0)],
    "logit_normal": [(0.0,), (1.2,), (-3.0,)],
    "logit_normal, scale by decoder": [(0.4, -1.0)],
    "logistic_mixture": [(0.3, -1.0, 0.2, 0.9, -2.0, -1.0), (-30.0, 2.0, 1.5, -0.1, -50.0, 0.5)],
}
#: where the decoder gives all, φ has nothing to say
_DISPERSIONS = {family: [0.01, 0.3, 1.0, 4.0] for family in EXACT} | {
    "beta": [1.0, 1.7, 4.0],
    "discretized_logistic, scale by decoder": [1.0, 4.0],
    "logistic_mixture": [1.0, 4.0],
    "negative_binomial": [0.3, 1.0, 4.0],
    "poisson": [1.0],
    "zinb, φ by decoder": [1.0],
}


@dataclass(frozen=True)
class Case:
    """One density of the table; η and φ are those of a single value of x."""

    family: str
    eta: tuple[float, ...]
    phi: float

    def __str__(self):
        return f"{self.family}({', '.join(f'{value:.4g}' for value in self.eta)}; φ={self.phi:g})"

    @property
    def likelihood(self) -> Likelihood:
        return EXACT[self.family][0]

    @property
    def exact(self):
        return EXACT[self.family][1](self.eta, self.phi)

    @property
    def discrete(self):
        return getattr(self.exact, "discrete", False)

    def tensors(self, count, dtype=torch.float64):
        """(η, φ) of `count` examples of one value."""
        eta = torch.tensor(self.eta, dtype=dtype).view(1, -1, 1, 1, 1).expand(count, -1, 1, 1, 1)
        return eta, torch.full((1, 1, 1), self.phi, dtype=dtype)

    def measure(self):
        """Points x and weights w with ∫ f = Σ w f(x), or Σ over the support: a trapezoid after a substitution.

        x = e^t/(1 + e^t) on (0, 1) and x = μ ± e^t on ℝ turn ends, spikes and the kink of |x − μ| into smooth tails.
        """
        if self.discrete:
            return torch.arange(len(self.exact.masses)).double(), torch.ones(len(self.exact.masses)).double()
        step = 0.02
        if self.likelihood.bounds == (0, 1):
            t = torch.arange(-400, 36, step, dtype=torch.float64)
            atoms = t.new_tensor(self.likelihood.atoms)
            weights = step * t.sigmoid() * (-t).sigmoid()
            return torch.cat([t.sigmoid(), atoms]), torch.cat([weights, torch.ones_like(atoms)])
        t = torch.arange(-40, 8, step, dtype=torch.float64)
        return torch.cat([self.exact.mean() - t.exp(), self.exact.mean() + t.exp()]), step * t.exp().repeat(2)

    def points(self):
        """A few x from the bulk and the tails."""
        if self.discrete:
            return self.measure()[0]
        if self.likelihood.bounds == (0, 1):
            return torch.tensor([1e-9, 0.003, 0.25, 0.5, 0.8, 0.9999, *self.likelihood.atoms]).double()
        offsets = torch.tensor([-6, -1, -0.1, 0, 0.2, 3, 5]).double()
        return self.exact.mean() + float(self.exact.std()) * offsets


CASES = [Case(family, eta, phi) for family in EXACT for eta in _ETAS[family] for phi in _DISPERSIONS[family]]
# below φ = 1 Beta is a density only where both tempered parameters stay positive
CASES += [Case("beta", beta_eta(2, 3), 0.01), Case("beta", beta_eta(0.8, 5), 0.5), Case("beta", beta_eta(1, 1), 0.1)]
assert len({str(case) for case in CASES}) == len(CASES)


def p_value(exact, draws):
    """How probable draws as odd as these are under the exact law: Kolmogorov–Smirnov, or χ² if it is discrete."""
    draws = np.asarray(draws).ravel()
    if not getattr(exact, "discrete", False):
        below = exact.cdf(draws)
        for end, mass in getattr(exact, "ends", {}).items():  # spread over the jump, they are uniform there too
            jump = np.random.default_rng(0).uniform(0, float(mass), (draws == end).sum())
            below[draws == end] = jump if end == 0 else 1 - jump
        return stats.kstest(below, "uniform").pvalue
    expected = np.array([float(mass) for mass in exact.masses]) * len(draws)
    counts = np.bincount(draws.astype(int), minlength=len(expected))
    common = expected >= 5
    if not counts[~common].sum() <= 5 + 5 * expected[~common].sum():
        return 0.0
    if common.sum() == 1:
        return 1.0
    shown = counts[common]
    return stats.chisquare(shown, expected[common] * shown.sum() / expected[common].sum()).pvalue
