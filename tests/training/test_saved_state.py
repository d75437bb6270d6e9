"""A state that a run has saved is taken by it: of every optimiser, weighting and average, and at any step."""

import pytest
from helpers import OPTIMIZERS, data_of, model_of, trainer_of
from torch import nn
from trainer_cases import WEIGHTINGS, same, saved_at_7, saved_trainer, stored

from vaekl.model.likelihoods import Gaussian
from vaekl.model.weighting import LearnedPrecision, OptimalPrecision
from vaekl.store.match import MisfitError
from vaekl.training.saved_state import check_weights

OPTIONS = {"steps": 20, "log_every": 4, "valid_every": 6}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("ema", [None, 0.9])
def test_what_a_run_has_saved_is_taken(optimizer, ema):
    """And it ends as if it had never been stopped."""
    state = saved_at_7(optimizer=optimizer, ema=ema)
    resumed, whole = saved_trainer(optimizer, ema=ema, seed=5), saved_trainer(optimizer, ema=ema)
    resumed.load_state_dict(state)
    resumed.fit()
    whole.fit()
    assert same(resumed.model.state_dict(), whole.model.state_dict())
    assert same(resumed.judged.state_dict(), whole.judged.state_dict())


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_every_weighting_is_taken(weighting):
    one = saved_trainer(weighting=weighting)
    one.fit()
    one.load_state_dict(stored(one.state_dict()))


@pytest.mark.parametrize("kind", [LearnedPrecision, OptimalPrecision])
@pytest.mark.parametrize("per", ["scalar", "channel", "pixel"])
def test_every_dispersion_is_taken(kind, per):
    data = data_of(shape=(3, 4, 4))
    one = trainer_of(data, model_of(data.spec, Gaussian(), kind(Gaussian(), (3, 4, 4), per)), **OPTIONS)[0]
    one.fit()
    one.load_state_dict(stored(one.state_dict()))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_state_from_before_the_first_step_is_taken(optimizer):
    one = saved_trainer(optimizer, ema=0.9)
    one.load_state_dict(stored(saved_trainer(optimizer, ema=0.9).state_dict()))
    assert one.step == 0


def test_the_weights_best_so_far_are_taken_at_the_end():
    one, best = saved_trainer(patience=9), saved_at_7(patience=9)
    one.fit()
    assert one.finished
    one.load_state_dict(best)
    assert one.step == 7


class TwoPaths(nn.Module):
    """The second one is never taken."""

    def __init__(self, used):
        super().__init__()
        self.used, self.unused = used, nn.Linear(3, 3)

    def forward(self, *inputs):
        return self.used(*inputs)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_parameter_that_the_loss_does_not_use_has_no_memory(optimizer):
    def new():
        data = data_of()
        model = model_of(data.spec)
        model.decoder = TwoPaths(model.decoder)
        return trainer_of(data, model, optimizer=optimizer, **OPTIONS)[0]

    one = new()
    one.fit()
    state = stored(one.state_dict())
    new().load_state_dict(state)
    memory = state["optimizer"]["state"]
    if memory and optimizer != "adagrad":  # which has one from the beginning
        del memory[max(memory)]  # of a parameter that has moved
        with pytest.raises(MisfitError, match=r"optimizer\.state lacks \d+"):
            new().load_state_dict(state)


def test_a_module_that_stands_in_two_places_is_taken():
    def new():
        data = data_of()
        model = model_of(data.spec)
        model.encoder.add_module("again", model.encoder[1])
        return trainer_of(data, model, ema=0.9, **OPTIONS)[0]

    one = new()
    state = stored(one.state_dict())
    assert "encoder.again.weight" in state["model"]
    new().load_state_dict(state)
    check_weights(state, new().model, True)
