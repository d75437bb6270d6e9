"""One table of densities, their parameters and dispersions, each with the masses of its bins according to mpmath."""

from dataclasses import dataclass
from itertools import product

import mpmath as mp
import torch
from exact_laws import beta_eta
from exact_masses import (
    beta_mass,
    cb_mass,
    censored_mass,
    gaussian_mass,
    laplace_mass,
    logistic_mass,
    logit_normal_mass,
    scaled,
    student_t_mass,
    truncated_mass,
)

from vaekl.model.likelihoods import (
    Beta,
    CensoredGaussian,
    ContinuousBernoulli,
    Gaussian,
    Laplace,
    Likelihood,
    Logistic,
    LogitNormal,
    StudentT,
    TruncatedGaussian,
)

INF = float("inf")


@dataclass(frozen=True)
class Family:
    """A density, the (η, φ) that it is tried at, and its mass between two edges according to mpmath."""

    likelihood: Likelihood
    points: list
    mass: object

    def log_mass(self, eta, phi, lower, upper):
        eta = torch.as_tensor(eta).view(-1, self.likelihood.outputs, 1, 1, 1)
        lower, upper = (edge.view(-1, 1, 1, 1) for edge in (lower, upper))
        nats = self.likelihood.log_mass(eta, lower, upper, torch.as_tensor(phi).view(1, 1, 1))
        assert nats.shape == (max(len(eta), len(lower)), 1, 1, 1)
        return nats.flatten()

    def exact(self, eta, phi, lower, upper):
        """ln mass as an mpf; η, φ and the edges are taken as the floats that they are."""
        return mp.log(self.mass([mp.mpf(v) for v in eta], mp.mpf(phi), mp.mpf(lower), mp.mpf(upper)))


LOCATIONS = [0.0, 0.3, 0.5, 0.999, 1.0, -0.2, 1.7, -40.0, 250.0]
SIZES = [0.05, 0.4, 1.0, 2.5, 30.0, 1000.0]
FAMILIES = {
    "gaussian": Family(Gaussian(), list(product(product(LOCATIONS), [1e-6, 1e-3, 0.04, 1.0, 1e4])), gaussian_mass),
    "laplace": Family(Laplace(), list(product(product(LOCATIONS), [1e-3, 0.02, 1.0, 1e2])), laplace_mass),
    "logistic": Family(Logistic(), list(product(product(LOCATIONS), [1e-3, 0.02, 1.0, 1e2])), logistic_mass),
    "student_t": Family(
        StudentT(), list(product(product([0.3, -40.0, 0.5, 250.0]), [1e-6, 0.04, 1.0])), student_t_mass
    ),
    "gaussian, scale by decoder": Family(
        Gaussian(scale="decoder"),
        list(product(product([0.3, -40.0, 1.7], [0.0, -3.0, -50.0]), [1.0])),
        scaled(gaussian_mass, 2),
    ),
    "laplace, scale by decoder": Family(
        Laplace(scale="decoder"), list(product(product([0.3, -40.0], [0.0, -5.0]), [1.0])), scaled(laplace_mass, 1)
    ),
    "truncated_gaussian": Family(
        TruncatedGaussian(), list(product(product(LOCATIONS), [1e-6, 1e-3, 0.04, 1.0, 1e4])), truncated_mass
    ),
    "censored_gaussian": Family(
        CensoredGaussian(), list(product(product(LOCATIONS), [1e-6, 1e-3, 0.04, 1.0, 1e4])), censored_mass
    ),
    "logit_normal": Family(
        LogitNormal(), list(product(product([0.0, 0.3, -4.0, 12.0]), [1e-3, 0.04, 1.0, 100.0])), logit_normal_mass
    ),
    "cb": Family(
        ContinuousBernoulli(),
        [((a,), 1.0) for a in (0.0, 1e-30, 1e-4, -1e-4, 0.7, -1.9999, 2.5, 4.0, -11.0, 60.0, -60.0, 200.0, -200.0)]
        + [((3.0,), 0.01), ((-200.0,), 4.0)],
        cb_mass,
    ),
    "beta": Family(
        Beta(),
        [(beta_eta(*pair), 1.0) for pair in product(SIZES, SIZES)]
        + [(beta_eta(0.05, 1000), 3.0), (beta_eta(20, 0.5), 1.5), (beta_eta(5, 3), 0.1)],
        beta_mass,
    ),
}
