"""The controls that hold a target, step by step against plain arithmetic."""

from math import exp, log

import pytest
import torch
from control_cases import SPEC, made, penalised, terms_of

from vaekl.data.scaling import Scaling
from vaekl.model.control import Capacity, Controller, Geco
from vaekl.model.likelihoods import Gaussian, Laplace
from vaekl.system.errors import VaeklError

#: Burgess et al. 2018
SOURCE = {"width": None, "speed": None}


def test_the_published_capacity_is_the_weighted_distance_of_the_batch_s_kl():
    control = made(Capacity, target=4.0, gamma=10.0, **SOURCE)
    # mean KL 6, above C = 4; then 1.5, below; the schedule halves C
    above, below = terms_of([[5.0, 1.0], [2.0, 4.0]]), terms_of([[1.0, 0.0], [2.0, 0.0]])
    assert penalised(control, above).mean().item() == pytest.approx(10 * abs(6 - 4))
    assert penalised(control, below).mean().item() == pytest.approx(10 * abs(1.5 - 4))
    assert penalised(control, below, 0.5).mean().item() == pytest.approx(10 * abs(1.5 - 2))
    control.eval()
    coefficient, values = control.penalty(below, 1.0)
    assert (coefficient * values).mean().item() == pytest.approx(25)
    assert control.multiplier(1.0) == 0


def test_the_gradient_of_a_capacity_has_the_slope_of_the_whole_batch():
    control = made(Capacity, target=4.0, gamma=10.0, **SOURCE)
    kl = torch.tensor([[1.0], [9.0]], requires_grad=True)
    penalised(control, terms_of(kl)).mean().backward()
    assert kl.grad.flatten().tolist() == [5.0, 5.0]


def test_a_capacity_adds_up_its_pushes():
    """In plain numbers: the slope is λ and 2 · (KL − C)/3 within ±2, of which λ keeps a tenth, and −2 at least."""
    control = made(Capacity, target=4.0, gamma=2.0, width=3.0, speed=0.1)
    weight = 0.0
    for mean in (4.0, 5.5, 9.0, 3.0, *[0.5] * 60, 5.0):
        kl = torch.tensor([[mean - 0.25], [mean + 0.25]], requires_grad=True)
        penalty = penalised(control, terms_of(kl)).mean()
        penalty.backward()
        distance = mean - 4
        push = 2 * min(max(distance / 3, -1), 1)
        weight = max(weight + 0.1 * push, -2)
        excess = distance**2 / 6 if abs(distance) < 3 else abs(distance) - 1.5
        assert penalty.item() == pytest.approx(weight * distance + 2 * excess, rel=1e-4)
        assert kl.grad.sum().item() == pytest.approx(weight + push, rel=1e-4)
        assert control.multiplier(0.3) == pytest.approx(max(weight, 0), rel=1e-4)
    assert weight < -1.9


def test_a_capacity_s_weight_at_rest_is_what_holds_the_kl():
    """A KL that falls with its slope, 10 − ln(1 + slope), is at 8 where the slope is e² − 1: below γ or above it."""
    for gamma, width in ((2.0, 1.0), (20.0, 10.0)):
        control, kl = made(Capacity, target=8.0, gamma=gamma, width=width, speed=0.1), 12.0
        for _ in range(400):
            penalised(control, terms_of([[kl]]))
            slope = control.multiplier(1.0) + gamma * min(max((kl - 8) / width, -1), 1)
            kl += 0.2 * (10 - log(1 + max(slope, -0.9)) - kl)
        assert kl == pytest.approx(8, rel=1e-3)
        assert control.multiplier(1.0) == pytest.approx(exp(2) - 1, rel=1e-2)


def published(errors, kp, ki, smallest=0.0, largest=None):
    """ControlVAE's algorithm 1 in plain numbers, for errors that never push λ out of its bounds for long."""
    weights, integral = [], 0.0
    for error in errors:
        integral -= ki * error
        weight = kp / (1 + exp(error)) + integral + smallest
        weights.append(min(max(weight, smallest), largest or weight))
    return weights


def test_the_controller_takes_the_published_steps():
    control = made(Controller, target=10.0, kp=0.01, ki=0.001, smallest=0.1)
    kls = [14.0, 12.0, 9.0, 11.0, 8.5]
    weights = []
    for kl in kls:
        penalty = penalised(control, terms_of([[kl]])).item()
        weights.append(control.multiplier(0.5))
        assert penalty == pytest.approx(weights[-1] * kl, rel=1e-6)
    assert weights == pytest.approx(published([10 - kl for kl in kls], 0.01, 0.001, 0.1), rel=1e-5)


def test_at_its_floor_the_integral_waits_and_comes_back_at_once():
    """A thousand steps of a KL that is too small need not be paid back."""
    control = made(Controller, target=10.0, kp=0.01, ki=0.001)
    for _ in range(1000):
        penalised(control, terms_of([[1.0]]))
    assert control.multiplier(1.0) == 0
    penalised(control, terms_of([[15.0]]))
    assert control.multiplier(1.0) > 0.0049


def test_a_ceiling_is_held_and_left():
    control = made(Controller, target=1.0, kp=0.01, ki=0.1, largest=0.5)
    for _ in range(100):
        penalised(control, terms_of([[9.0]]))
    assert control.multiplier(1.0) == 0.5
    penalised(control, terms_of([[0.5]]))
    assert control.multiplier(1.0) < 0.5


@pytest.mark.parametrize("options", [{"smallest": -1}, {"smallest": 2, "largest": 1}, {"target": 0}, {"ki": "much"}])
def test_a_controller_s_mistakes(options):
    with pytest.raises(VaeklError, match=r"control\.\w+"):
        made(Controller, **options)


def test_geco_moves_the_logarithm_by_the_relative_excess():
    """Four values of energy 1.5 in all: a mean square error of 0.75 beside an RMSE of 0.5, so c = 2 is cut to 0.03."""
    control = made(Geco, rmse=0.5, speed=0.1, momentum=0.2)
    mean = weight = 0.0
    for energy in (1.5, 0.51, 0.4, 0.1):
        mean += 0.2 * (min(0.03, 2 * energy / 4 / 0.25 - 1) - mean)
        weight -= 0.1 * mean
        penalty = penalised(control, terms_of([[3.0]], energy=energy)).item()
        assert penalty == pytest.approx(3 * exp(weight), rel=1e-5)
        assert control.multiplier(0.5) == pytest.approx(0.5 * exp(weight), rel=1e-5)


def test_geco_comes_back_soon_from_an_error_that_no_weight_could_mend():
    """300 steps of twice the target while the networks learn, then 30 % below it: λ is above 1 within 150."""
    control = made(Geco, rmse=0.5)
    for energy, steps in ((2.0, 300), (0.25, 150)):
        for _ in range(steps):
            penalised(control, terms_of([[3.0]], energy=energy))
    assert control.multiplier(1.0) > 1


def test_geco_s_weight_stays_finite_where_no_weight_reaches_the_target():
    """An RMSE above the data's own: the error is below it whatever λ is."""
    control = made(Geco, rmse=0.5)
    for _ in range(1000):
        penalty = penalised(control, terms_of([[0.0]], energy=0.0))
    assert penalty.item() == 0 and control.multiplier(1.0) == pytest.approx(1e6, rel=1e-4)


def test_geco_s_rmse_is_in_the_unit_of_the_user_s_data():
    """Values that were divided by 200: an RMSE of 100 is one of 0.5 there, whose energy is 0.125."""
    one = SPEC.with_(scaling=Scaling(torch.zeros(1, 1, 1), torch.full((1, 1, 1), 200.0), "data"))
    assert Geco(Gaussian(), one, 10, rmse=100.0).energy == pytest.approx(0.125)
    several = SPEC.with_(scaling=Scaling(torch.zeros(1, 2, 2), torch.full((1, 2, 2), 200.0), "value"))
    with pytest.raises(VaeklError, match=r"control\.nats"):
        Geco(Gaussian(), several, 10, rmse=100.0)


def test_geco_holds_nats_of_any_family():
    control = made(Geco, Laplace(), nats=-7.0, speed=0.1, momentum=0.5)
    penalised(control, terms_of([[3.0]], energy=2.0, log_norm_const=10.0))
    # distortion −8, one nat of four values below its target
    assert log(control.multiplier(1.0)) == pytest.approx(0.1 * 0.5 * 0.25, rel=1e-4)
    with pytest.raises(VaeklError, match="likelihood=laplace"):
        made(Geco, Laplace(), rmse=0.1)
    for options in ({}, {"rmse": 0.1, "nats": 2.0}):
        with pytest.raises(VaeklError, match="one target"):
            made(Geco, **options)


def test_the_energy_at_an_rmse_is_the_gaussian_s():
    x = torch.linspace(-1, 1, 9)
    energy = Gaussian().energy(torch.zeros(9, 1, 1, 1, 1), x.view(9, 1, 1, 1), torch.ones(1, 1, 1)).mean().item()
    rmse = x.square().mean().sqrt().item()
    assert Gaussian().energy_at_rmse(rmse) == pytest.approx(energy, rel=1e-6)
    assert Laplace().energy_at_rmse(rmse) is None
    assert SPEC.dims == 4
