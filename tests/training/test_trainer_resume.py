"""The loop, stopped anywhere and gone on with: the same numbers to the last bit."""

from itertools import product

import pytest
import torch
from helpers import data_of, model_of, seeded, trainer_of
from trainer_cases import (
    CONTROLS,
    OBJECTIVES,
    WEIGHTINGS,
    byte_data,
    comparable,
    same,
    stop_after,
    stored,
    watched,
    weighted,
)  # fmt: skip

from vaekl.measures.elbo import evaluate
from vaekl.training.schedules import LearningRateSchedule, LinearSchedule


@pytest.mark.parametrize("stop", [1, 7, 10, 13])
def test_a_resumed_run_continues_the_epoch_s_order(stop):
    data, whole = watched(data_of())
    trainer_of(data, model_of(data.spec))[0].fit()
    data, parts = watched(data_of())
    trainer, _ = trainer_of(data, model_of(data.spec))
    stop_after(trainer, stop)
    trainer.fit()
    assert parts == whole[:stop]
    resumed, _ = trainer_of(data, model_of(data.spec, seed=1))
    resumed.load_state_dict(stored(trainer.state_dict()))
    resumed.fit()
    assert parts == whole


SETTINGS = {
    "adam": {"optimizer": "adam"},
    "sgd, clipped": {"optimizer": "sgd", "clip_norm": 0.5},
    "adam, averaged": {"optimizer": "adam", "ema": 0.9},
    "sgd, averaged, clipped": {"optimizer": "sgd", "ema": 0.5, "clip_norm": 5.0},
}


@pytest.mark.parametrize(
    ("weighting", "setting", "stop"),
    [*product(WEIGHTINGS, SETTINGS, [7, 22]), *((name, "adam, averaged", 7) for name in (*CONTROLS, *OBJECTIVES))],
)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(weighting, setting, stop):
    """Stopped within an epoch (of 5 steps) and within a log's window (of 4), 23 steps in all."""
    options = SETTINGS[setting] | {
        "steps": 23,
        "log_every": 4,
        "valid_every": 6,
        "schedule": LinearSchedule(23, steps=15),
        "lr_schedule": LearningRateSchedule(23, warmup_steps=3, final=0.1),
    }
    data = byte_data()
    whole, recorder = trainer_of(data, weighted(weighting), **options)
    whole.fit()

    stopped, first = trainer_of(data, weighted(weighting), **options)
    stop_after(stopped, stop)
    stopped.fit()
    assert (stopped.step, stopped.finished, first.events) == (stop, False, ["started", "paused"])
    state = stored(stopped.state_dict())

    torch.manual_seed(99)
    resumed, second = trainer_of(data, weighted(weighting, seed=5), **options)
    resumed.load_state_dict(state)
    assert resumed.step == stop
    resumed.fit()

    assert same(resumed.model.state_dict(), whole.model.state_dict())
    assert same(resumed.judged.state_dict(), whole.judged.state_dict())
    assert resumed.finished
    assert comparable(first.figures + second.figures) == comparable(recorder.figures)
    assert [step for step, *_ in recorder.evaluations] == [6, 12, 18, 23]
    judged, expected = first.evaluations + second.evaluations, recorder.evaluations
    assert [(s, e.figures(), better) for s, e, better in judged] == [(s, e.figures(), b) for s, e, b in expected]
    # the KL has its whole weight after step 15; without early stopping the validation at the end does not count, which
    # a run of more steps would not have
    (counted,) = [e for step, e, _ in expected if step == 18]
    assert resumed.best_elbo == whole.best_elbo == (-counted.loss if weighting in OBJECTIVES else counted.elbo)
    assert (
        evaluate(resumed.judged, data.test, seeded()).figures() == evaluate(whole.judged, data.test, seeded()).figures()
    )


def test_a_finished_run_has_nothing_to_resume():
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec))
    trainer.fit()
    resumed, recorder = trainer_of(data, model_of(data.spec))
    resumed.load_state_dict(stored(trainer.state_dict()))
    resumed.fit()
    assert (resumed.step, recorder.events, recorder.figures) == (20, ["started", "paused"], [])
    assert same(resumed.model.state_dict(), trainer.model.state_dict())


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_checkpoint_of_a_gpu_goes_on_upon_the_cpu(ema):
    """A GPU's generator has a state of 16 bytes, which no CPU's can hold: the noise goes on from a seed of its own."""
    data = byte_data()
    trainer, _ = trainer_of(data, weighted("cb_normalizer"), ema=ema)
    stop_after(trainer, 7)
    trainer.fit()
    foreign = {"device": "cuda", "generator": torch.zeros(16, dtype=torch.uint8)}

    ended = []
    for seed in (0, 0, 1):
        resumed, recorder = trainer_of(data, weighted("cb_normalizer", seed=5), ema=ema, seed=seed)
        resumed.load_state_dict(stored(trainer.state_dict() | foreign))
        assert (resumed.step, same(resumed.model.state_dict(), trainer.model.state_dict())) == (7, True)
        fresh = trainer_of(data, weighted("cb_normalizer"), seed=seed)[0]
        assert not torch.equal(resumed.generator.get_state(), fresh.generator.get_state())
        resumed.fit()
        assert (resumed.step, resumed.finished) == (20, True)
        assert [step for step, _ in recorder.figures] == [10, 15, 20]
        ended.append(resumed.model.state_dict())
    assert same(ended[0], ended[1])
    assert not same(ended[0], ended[2])
