"""A user's own control is tried on a few images before its first step."""

import pytest
import torch
from control_cases import IMAGES, SPEC, posterior_of

from vaekl.model.control import Control
from vaekl.model.control.check import check_control
from vaekl.model.likelihoods import Gaussian
from vaekl.system.errors import VaeklError


def terms():
    draws = torch.Generator().manual_seed(0)
    return posterior_of(torch.randn(5, 3, generator=draws), torch.randn(5, 3, generator=draws))


class Own(Control):
    """Twice the KL."""

    def penalty(self, terms, schedule):
        return 2.0 * schedule, terms.total_kl

    def multiplier(self, schedule):
        return 2.0 * schedule


def own(**methods):
    return type("Own", (Own,), methods)(Gaussian(), SPEC, IMAGES)


def test_a_control_that_does_what_it_says():
    check_control(own(), terms())
    # a penalty that is not the KL has no coefficient to compare
    check_control(own(penalty=lambda self, terms, schedule: (3.0, terms.kl.square().sum(1))), terms())


FAULTS = {
    "one tensor": ({"penalty": lambda self, terms, schedule: terms.total_kl}, "gives no pair"),
    "nothing": ({"penalty": lambda self, terms, schedule: None}, "gives no pair"),
    "one number": (
        {"penalty": lambda self, terms, schedule: (1.0, terms.total_kl.mean())},
        r"gives a tensor \(\) for 5",
    ),
    "each latent's": ({"penalty": lambda self, terms, schedule: (1.0, terms.kl)}, r"gives a tensor \(5, 3\) for 5"),
    "another λ": ({"multiplier": lambda self, schedule: 1.0}, "multiplies the KL by 2 and reports λ = 1"),
    "a tensor": ({"multiplier": lambda self, schedule: torch.tensor(2.0)}, "gives a Tensor, not a number"),
    "an error": ({"penalty": lambda self, terms, schedule: (1.0, terms.total_KL)}, "AttributeError: .*test_check.py"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault):
    methods, words = FAULTS[fault]
    with pytest.raises(VaeklError, match=words):
        check_control(own(**methods), terms())


def test_a_method_that_is_missing_is_named():
    class Half(Control):
        def penalty(self, terms, schedule):
            return 1.0, terms.total_kl

    with pytest.raises(TypeError, match="multiplier"):
        Half(Gaussian(), SPEC, IMAGES)
