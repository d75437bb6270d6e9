"""What a run that diverged says of itself."""

import pickle

import pytest

from vaekl.training.divergence import DivergedError, Fault

SEEN = DivergedError("training diverged: kl_nats is not finite at step 12", 12, "kl_nats")


@pytest.mark.parametrize("fault", [None, Fault(12, "kl_nats")])
def test_what_is_said_already_is_not_said_twice(fault):
    assert SEEN.beginning_with(fault) is SEEN


@pytest.mark.parametrize("fault", [Fault(11, "kl_nats"), Fault(12, "energy_nats"), Fault(12, "kl")])
def test_an_earlier_fault_is_named_with_its_step(fault):
    named = SEEN.beginning_with(fault)
    assert named.what == f"{SEEN.what}; it began at step {fault.step}: {fault.part}"
    assert named.step == 12 and str(named).startswith(f"{named.what}; what was saved before is kept")


def test_it_comes_whole_from_another_process():
    copy = pickle.loads(pickle.dumps(SEEN))
    assert (copy.what, copy.step, copy.part, str(copy)) == (SEEN.what, 12, "kl_nats", str(SEEN))
