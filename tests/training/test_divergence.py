"""What a run that diverged says of itself."""

import pickle

import pytest
import torch
from helpers import data_of, model_of, trainer_of

from vaekl.model.control import Capacity, Control
from vaekl.model.likelihoods import Gaussian
from vaekl.model.vae import LEDGER
from vaekl.system.errors import VaeklError
from vaekl.training.divergence import DivergedError, Fault, check_rows

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


def one_bad(part):
    """Two steps of which the second has one part that is not finite."""
    rows = torch.zeros(2, len(LEDGER))
    rows[1, LEDGER.index(part)] = torch.nan
    return rows


@pytest.mark.parametrize("control", [None, Capacity])
def test_a_loss_that_is_not_finite_of_parts_that_are_is_not_the_datas(control):
    model = model_of(data_of().spec)
    maker = f"weighting={model.weighting.name}"
    if control is not None:
        model.control, maker = control(Gaussian(), model.spec, 40), "control=capacity"
    with pytest.raises(DivergedError, match=f"what {maker} makes of .* not finite at step 8") as error:
        check_rows(one_bad("loss"), 8, model)
    assert str(error.value).endswith(f"is kept: check {maker} and its settings.")
    with pytest.raises(DivergedError, match=r"kl_nats is not finite at step 8.*rescale the data"):
        check_rows(one_bad("kl_nats"), 8, model)


class Sinking(Control):
    """A λ that passes 0 at the fifth step."""

    def __init__(self, *objects):
        super().__init__(*objects)
        self.register_buffer("weight", torch.tensor(0.45))

    def observe(self, terms, schedule):
        self.weight.sub_(0.1)

    def penalty(self, terms, schedule):
        return self.weight.clone(), terms.total_kl

    def multiplier(self, schedule):
        return self.weight.item()


def test_a_weight_below_0_ends_the_run_at_the_next_log():
    data = data_of()
    model = model_of(data.spec)
    model.control = Sinking(Gaussian(), data.spec, 40)
    trainer, recorder = trainer_of(data, model, steps=20, log_every=2)
    with pytest.raises(VaeklError, match=r"control=Sinking reports λ = -0\.15 at step 6: keep it"):
        trainer.fit()
    assert [step for step, _ in recorder.figures] == [2, 4]
