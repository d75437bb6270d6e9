"""Families as users write them, right ones, of forms that vaekl does not have."""

from math import gamma, inf, log

import torch
from torch.nn.functional import logsigmoid, softplus

from vaekl.data.order import numpy_generator
from vaekl.model.likelihoods import Gaussian, Likelihood


class Quartic(Likelihood):
    """Flat-topped noise of φ^¼, of the README."""

    accepts = ("real",)
    bounds = (-inf, inf)
    scale_power = 0.25
    energy_text, log_norm_const_text = "(x − μ)⁴", "−¼ ln φ − ln(2 Γ(5/4))"

    def energy(self, eta, x, dispersion):
        return (x - eta[:, 0]) ** 4

    def log_norm_const(self, eta, dispersion):
        return (-0.25 * dispersion.log() - log(2 * gamma(1.25))).expand_as(eta[:, 0])

    def mean(self, eta, dispersion):
        return eta[:, 0]

    def variance(self, eta, dispersion):
        return (dispersion.sqrt() * gamma(0.75) / gamma(0.25)).expand_as(eta[:, 0])

    def sample(self, eta, dispersion, generator=None):
        rng, shape = numpy_generator(generator), eta[:, 0].shape
        distance = torch.from_numpy(rng.gamma(0.25, size=shape) * rng.choice([-1, 1], shape)).to(eta)
        return eta[:, 0] + distance.sign() * (distance.abs() * dispersion) ** 0.25


class Exponential(Likelihood):
    """On a half line, with its rate from the decoder: φ is no scale."""

    accepts = ("real",)
    bounds = (0.0, inf)
    energy_text, log_norm_const_text = "x e^a", "a"

    def energy(self, eta, x, dispersion):
        return x * eta[:, 0].exp()

    def log_norm_const(self, eta, dispersion):
        return eta[:, 0] - dispersion.log()

    def mean(self, eta, dispersion):
        return dispersion * (-eta[:, 0]).exp()

    def variance(self, eta, dispersion):
        return self.mean(eta, dispersion).square()

    def sample(self, eta, dispersion, generator=None):
        return self.mean(eta, dispersion) * torch.empty_like(eta[:, 0]).exponential_(generator=generator)


class Poisson(Likelihood):
    """Whole numbers without an end."""

    accepts = ("counts",)
    bounds = (0.0, inf)
    discrete = True
    energy_text, log_norm_const_text = "e^a − a x + ln x!", "0"

    def energy(self, eta, x, dispersion):
        return eta[:, 0].exp() - eta[:, 0] * x + torch.lgamma(x + 1)

    def log_norm_const(self, eta, dispersion):
        return torch.zeros_like(eta[:, 0])

    def mean(self, eta, dispersion):
        return eta[:, 0].exp()

    def variance(self, eta, dispersion):
        return eta[:, 0].exp()

    def sample(self, eta, dispersion, generator=None):
        return torch.poisson(eta[:, 0].exp(), generator=generator)


class LogNormal(Likelihood):
    """By torch.distributions; its scale is the decoder's."""

    accepts = ("real",)
    bounds = (0.0, inf)
    outputs = 2
    energy_text, log_norm_const_text = "−ln p", "0"

    def law(self, eta):
        return torch.distributions.LogNormal(eta[:, 0], softplus(eta[:, 1]), validate_args=False)

    def energy(self, eta, x, dispersion):
        return -self.law(eta).log_prob(x)

    def log_norm_const(self, eta, dispersion):
        return torch.zeros_like(eta[:, 0])

    def mean(self, eta, dispersion):
        return self.law(eta).mean

    def variance(self, eta, dispersion):
        return self.law(eta).variance

    def sample(self, eta, dispersion, generator=None):
        noise = torch.randn(eta[:, 0].shape, generator=generator, dtype=eta.dtype)
        return (eta[:, 0] + softplus(eta[:, 1]) * noise).exp()


class Narrow(Gaussian):
    """A density that is narrow between its ends."""

    bounds = (-1000.0, 1000.0)


class StudentT(LogNormal):
    """Next to no variance."""

    bounds = (-inf, inf)

    def law(self, eta):
        return torch.distributions.StudentT(torch.tensor(2.5, dtype=eta.dtype), eta[:, 0], softplus(eta[:, 1]))

    def sample(self, eta, dispersion, generator=None):
        draws = numpy_generator(generator).standard_t(2.5, size=tuple(eta[:, 0].shape))
        return eta[:, 0] + softplus(eta[:, 1]) * torch.from_numpy(draws).to(eta)


class Uniform(Gaussian):
    """A density with two steps."""

    scale_power = None

    def energy(self, eta, x, dispersion):
        return torch.where((x - eta[:, 0]).abs() <= 1, 0 * eta[:, 0], torch.inf)

    def log_norm_const(self, eta, dispersion):
        return -log(2) + 0 * eta[:, 0]

    def variance(self, eta, dispersion):
        return torch.full_like(eta[:, 0], 1 / 3)

    def sample(self, eta, dispersion, generator=None):
        return eta[:, 0] + 2 * torch.rand(eta[:, 0].shape, generator=generator, dtype=eta.dtype) - 1

    log_mass = Likelihood.log_mass


class Geometric(Poisson):
    """q^x (1 − q) with q = sigmoid(−a): whole numbers whose ln C at φ = 1 is not 0."""

    energy_text, log_norm_const_text = "−x ln q", "ln(1 − q)"

    def energy(self, eta, x, dispersion):
        return -x * logsigmoid(-eta[:, 0])

    def log_norm_const(self, eta, dispersion):
        return logsigmoid(eta[:, 0])

    def mean(self, eta, dispersion):
        return (-eta[:, 0]).exp()

    def variance(self, eta, dispersion):
        return self.mean(eta, dispersion) * (1 + self.mean(eta, dispersion))

    def sample(self, eta, dispersion, generator=None):
        u = torch.rand(eta[:, 0].shape, generator=generator, dtype=eta.dtype)
        return (u.log() / logsigmoid(-eta[:, 0])).floor()
