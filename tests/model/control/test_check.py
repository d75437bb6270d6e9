"""A user's own control is tried on a few images before its first step."""

import pytest
import torch
from control_cases import IMAGES, SPEC, made, posterior_of

from vaekl.model import control as controls
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


class Held(Control):
    """λ · KL with a λ that every batch moves."""

    def __init__(self, *args):
        super().__init__(*args)
        self.register_buffer("weight", torch.tensor(0.5))
        self.register_buffer("unsaved", torch.tensor(0.5), persistent=False)
        self.note, self.memory, self.plain = 0, {"kl": [0.0]}, torch.tensor(0.0)

    def observe(self, terms, schedule):
        self.weight = self.weight + 0.1

    def penalty(self, terms, schedule):
        return self.weight * schedule, terms.total_kl

    def multiplier(self, schedule):
        return self.weight.item() * schedule


def own(base=Own, **methods):
    return type("Own", (base,), methods)(Gaussian(), SPEC, IMAGES)


def setting(name, value):
    """A method of any arguments that sets an attribute."""
    return lambda self, *args: setattr(self, name, value(self))


def test_a_control_that_does_what_it_says():
    check_control(own(), terms())
    # a penalty that is not the KL has no coefficient to compare
    check_control(own(penalty=lambda self, terms, schedule: (3.0, terms.kl.square().sum(1))), terms())
    # nor has one that is 0 until the KL is above a floor
    check_control(own(penalty=lambda self, terms, schedule: (3.0, (terms.total_kl - 1e6).relu())), terms())


@pytest.mark.parametrize("options", [
    {"InformationWeight": {}}, {"FreeBits": {}}, {"Capacity": {}}, {"Controller": {}}, {"Geco": {"rmse": 0.1}},
    {"LearnedBeta": {}}, {"Mmd": {"information_weight": 0.3}}, {"Decomposed": {}},
], ids=lambda options: next(iter(options)))  # fmt: skip
def test_each_of_vaekls_own_passes(options):
    ((name, values),) = options.items()
    check_control(made(getattr(controls, name), **values), terms())


def test_what_the_trial_moves_is_put_back():
    control = own(Held).eval()
    weight = control.weight
    check_control(control, terms())
    assert control.weight is weight and weight.item() == 0.5 and not control.training


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
    "a typo": (
        {"observe": lambda self, terms, schedule: terms.total_enrgy},
        "AttributeError: .*'total_enrgy'.*, line \\d+ of .*test_check.py",
    ),
    "no schedule in observe": ({"observe": lambda self, terms: None}, "TypeError: .*takes 2 positional"),
    "no gradient": (
        {"penalty": lambda self, terms, schedule: (2.0 * schedule, terms.total_kl.detach())},
        "`penalty` of control=Own has no gradient",
    ),
    "numbers": (
        {"penalty": lambda self, terms, schedule: (2.0 * schedule, torch.tensor(terms.total_kl.tolist()))},
        "has no gradient",
    ),
    "no schedule": (
        {"penalty": lambda self, terms, schedule: (2.0, terms.total_kl)},
        "by 2 and reports λ = 1, at schedule = 0.5",
    ),
    "a multiple of the KL": (
        {"penalty": lambda self, terms, schedule: (1.0, 3.0 * schedule * terms.total_kl)},
        "multiplies the KL by 3 and reports λ = 2",
    ),
    "each image's": (
        {"penalty": lambda self, terms, schedule: (torch.ones(5), terms.total_kl)},
        r"a coefficient that is a tensor \(5,\), not one number",
    ),
    "not finite": (
        {"penalty": lambda self, terms, schedule: (2.0 * schedule, terms.total_kl * float("nan"))},
        "`penalty` of control=Own gives what is no finite number",
    ),
    "negative": (
        {
            "penalty": lambda self, terms, schedule: (-2.0 * schedule, terms.total_kl),
            "multiplier": lambda self, schedule: -2.0 * schedule,
        },
        "control=Own reports λ = -2: ",
    ),
    "nearly observe": ({"observes": lambda self, terms, schedule: None}, "`observes`.*did you mean observe"),
    "an error": ({"penalty": lambda self, terms, schedule: (1.0, terms.total_KL)}, "AttributeError: .*test_check.py"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault):
    methods, words = FAULTS[fault]
    with pytest.raises(VaeklError, match=words):
        check_control(own(**methods), terms())


#: of a control whose λ moves
MOVING = {
    "a constant λ": ({"multiplier": lambda self, schedule: 0.5 * schedule}, "by 0.7 and reports λ = 0.5 after `obs"),
    "ever lower": (
        {"observe": lambda self, terms, schedule: self.weight.sub_(1.0)},
        r"reports λ = -1.5 after `observe` has seen 2 batches",
    ),
    "a number": ({"observe": setting("note", lambda self: self.note + 1)}, "`observe` of .* changes note, which no ch"),
    "a tensor": ({"observe": lambda self, terms, schedule: self.plain.add_(1)}, "changes plain, which"),
    "a list": ({"observe": lambda self, terms, schedule: self.memory["kl"].append(1.0)}, "changes memory, which"),
    "new": ({"observe": setting("last", lambda self: 1.0)}, "changes last, which"),
    "unsaved": ({"observe": lambda self, terms, schedule: self.unsaved.add_(1)}, "changes unsaved, which"),
    "another shape": ({"observe": setting("weight", lambda self: torch.ones(3))}, "changes weight, which"),
    "by looking": (
        {"penalty": lambda self, terms, schedule: (self.weight.add_(1).clone() * schedule, terms.total_kl)},
        "changes weight: only `observe` may",
    ),
    "by reporting": (
        {"multiplier": lambda self, schedule: setattr(self, "note", 1) or self.weight.item() * schedule},
        "changes note: only `observe` may",
    ),
}


@pytest.mark.parametrize("fault", MOVING)
def test_a_fault_of_what_moves_is_named(fault):
    methods, words = MOVING[fault]
    control = own(Held, **methods)
    with pytest.raises(VaeklError, match=words):
        check_control(control, terms())
    assert control.weight.item() == 0.5


def test_a_target_of_its_own_is_no_kl():
    control = own()
    control.target = 0.15
    assert set(control.facts().values()) == {"Own", "λ · KL", None}
    control.target_kl = 20.0
    assert control.facts()["target_kl_nats"] == 20.0


def test_a_method_that_is_missing_is_named():
    class Half(Control):
        def penalty(self, terms, schedule):
            return 1.0, terms.total_kl

    with pytest.raises(TypeError, match="multiplier"):
        Half(Gaussian(), SPEC, IMAGES)
