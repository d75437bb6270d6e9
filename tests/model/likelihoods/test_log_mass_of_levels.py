"""The mass of a bin of levels is the sum of the probabilities of those in it."""

import mpmath as mp
import numpy as np
import pytest
import torch
from likelihood_cases import CASES
from numpy.testing import assert_allclose

from vaekl.model.likelihoods import Bernoulli, Categorical

INF = float("inf")


def test_the_masses_of_discrete_families_are_sums_of_their_probabilities():
    eta, phi = (
        torch.tensor([0.3, -1.0, 2.0, 0.0, -4.0]).double().view(1, 5, 1, 1, 1),
        torch.full((1, 1, 1), 2.0).double(),
    )
    mass = np.exp(eta.flatten().numpy() / 2) / np.exp(eta.flatten().numpy() / 2).sum()
    for lower, upper, expected in [
        (-0.5, 0.5, mass[0]),
        (0.5, 3.5, mass[1:4].sum()),
        (2.5, np.inf, mass[3:].sum()),
        (-np.inf, np.inf, 1),
    ]:
        edges = (torch.full((1, 1, 1, 1), edge).double() for edge in (lower, upper))
        assert_allclose(Categorical(5).log_mass(eta, *edges, phi).exp().item(), expected, rtol=1e-12)
    logit = torch.full((1, 1, 1, 1, 1), -60.0).double()
    sigmoid = 1 / (1 + np.exp(30.0))
    for lower, upper, expected in [
        (-np.inf, 0.5, np.log1p(-sigmoid)),
        (0.5, np.inf, np.log(sigmoid)),
        (-np.inf, np.inf, 0),
        (0.2, 0.4, -np.inf),
    ]:
        edges = (torch.full((1, 1, 1, 1), edge).double() for edge in (lower, upper))
        assert_allclose(Bernoulli().log_mass(logit, *edges, phi).item(), expected, rtol=1e-12)


@pytest.mark.parametrize("case", [case for case in CASES if "logistic" in case.family and case.discrete], ids=str)
def test_the_masses_of_bins_of_levels_are_sums_of_theirs(case):
    masses = case.exact.masses
    eta, phi = case.tensors(1)
    for lower, upper, inside in [
        (-0.5, 0.5, masses[:1]),
        (0.5, 3.5, masses[1:4]),
        (0.0, 2.0, masses[1:3]),
        (2.5, INF, masses[3:]),
        (-INF, 1.5, masses[:2]),
        (-INF, INF, masses),
        (0.2, 0.4, []),
        (-INF, -0.5, []),
        (4.0, INF, []),
    ]:
        edges = (torch.full((1, 1, 1, 1), edge).double() for edge in (lower, upper))
        nats = case.likelihood.log_mass(eta, *edges, phi).item()
        expected = float(mp.log(mp.fsum(inside))) if inside else -INF
        assert nats == pytest.approx(expected, rel=1e-9, abs=1e-9), (lower, upper)
