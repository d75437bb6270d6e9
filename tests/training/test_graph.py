"""Recorded steps: by a CUDA graph where there is a GPU, here by a tape."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from helpers import data_of, model_of, trainer_of
from stack_cases import of_people, people

from vaekl.data.transforms import Dequantize
from vaekl.model.control import Capacity, Controller, Geco, LearnedBeta
from vaekl.model.likelihoods import ContinuousBernoulli, Gaussian, StudentT
from vaekl.model.weighting import FixedBeta, FixedDispersion, LearnedPrecision, Multirate, OptimalPrecision
from vaekl.system.errors import VaeklError
from vaekl.training import graph, recording, stack
from vaekl.training.callback import Callback
from vaekl.training.schedules import LearningRateSchedule, LinearSchedule

DATA = data_of()


def of(likelihood, weighting=FixedDispersion, control=None):
    family = likelihood()
    return model_of(DATA.spec, family, weighting(family, DATA.spec.shape), control=control)


CASES = {
    "fixed_beta": partial(of, ContinuousBernoulli, FixedBeta),
    "learned": partial(of, Gaussian, LearnedPrecision),
    "optimal": partial(of, Gaussian, OptimalPrecision),
    "optimal, searched": partial(of, StudentT, OptimalPrecision),
    "multirate": partial(of, Gaussian, Multirate),
    "capacity": partial(of, Gaussian, control=partial(Capacity, target=1.0)),
    "controller": partial(of, Gaussian, control=partial(Controller, target=1.0)),
    "geco": partial(of, Gaussian, control=partial(Geco, rmse=0.1)),
    "learned_beta": partial(of, Gaussian, control=LearnedBeta),
}


class Places(Callback):
    """Where the buffers are at each log."""

    def __init__(self):
        self.seen = []

    def logged(self, trainer, figures):
        self.seen.append([buffer.data_ptr() for buffer in trainer.model.buffers()])


def trained(make, steps=30, stop=None, state=None, callbacks=(), **options):
    """A trainer of these steps and what it has logged; stopped before its end, or going on from a state."""
    trainer, recorder = trainer_of(
        DATA,
        make(),
        steps,
        optimizer="fused adam",
        schedule=LinearSchedule(steps, steps=20),
        lr_schedule=LearningRateSchedule(steps, warmup_steps=10, final=0.1),
        **options,
    )
    if state is not None:
        trainer.load_state_dict(state)
    whole = trainer.plan
    trainer.callbacks = [recorder, *callbacks]
    trainer.plan = replace(whole, total_steps=stop or steps)
    trainer.fit()
    trainer.plan = whole
    return trainer, recorder


#: a φ that belongs to the weights in training has no moving average beside it
PAIRS = [
    pytest.param(make, options, id=f"{name}, {next(iter(options))}")
    for name, make in CASES.items()
    for options in ({"clip_norm": 1.0}, {"ema": 0.9})
    if "clip_norm" in options or not make().weighting.observes
]


@pytest.mark.parametrize(("make", "options"), PAIRS)
def test_a_recorded_step_is_the_step(make, options):
    """With schedule, learning rate and everything that a step remembers moving in each step."""
    (eager, figures), (by_graph, others) = trained(make, **options), trained(make, compile="graph", **options)
    torch.testing.assert_close(by_graph.model.state_dict(), eager.model.state_dict(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(by_graph.judged.state_dict(), eager.judged.state_dict(), rtol=1e-4, atol=1e-6)
    for (step, one), (same, other) in zip(figures.figures, others.figures, strict=True):
        assert step == same
        for name in one.keys() - {"images_per_second"}:
            assert other[name] == pytest.approx(one[name], rel=1e-3, abs=1e-5), (step, name)
    assert [group["lr"] for group in by_graph.optimizer.param_groups] == pytest.approx(eager.rates(29), rel=1e-6)


def test_a_run_that_comes_back_into_a_stack_of_recorded_steps_changes_nothing():
    """Others have handed over what the graph would have drawn from; the next steps are recorded anew."""

    def ended(how):
        runs = [
            trainer_of(DATA, CASES["learned"](), 30, seed=seed, optimizer="fused adam", compile=how)[0]
            for seed in (0, 1, 1, 2)
        ]
        first, again = runs[1:3]

        def comes_back():
            whole, first.plan = first.plan, replace(first.plan, total_steps=12)
            with stack.joined(first):
                first.fit()
            first.plan = whole
            again.load_state_dict(first.state_dict())
            with stack.joined(again):
                again.fit()

        def alone(trainer):
            with stack.joined(trainer):
                trainer.fit()

        stack.train([partial(alone, runs[0]), comes_back, partial(alone, runs[3])], pytest.fail)
        return [runs[0], again, runs[3]]

    for one, other in zip(ended("graph"), ended(False), strict=True):
        assert one.step == other.step == 30
        torch.testing.assert_close(one.state_dict()["model"], other.state_dict()["model"], rtol=1e-4, atol=1e-6)
        assert torch.equal(one.generator.get_state(), other.generator.get_state())


def test_what_a_recorded_step_assigns_is_where_the_next_one_reads_it():
    places = Places()
    trained(CASES["optimal, searched"], compile="graph", log_every=1, callbacks=[places])
    assert places.seen[0] != places.seen[recording._WARM_UP - 1]
    assert all(seen == places.seen[-1] for seen in places.seen[recording._WARM_UP - 1 :])


def stacked(make, how):
    """Three runs with rates and clips of their own, of which one ends before the others; and what they logged."""
    trainers, recorders = [], []
    for number, steps in enumerate((30, 17, 30)):
        trainer, recorder = trainer_of(
            DATA,
            make(),
            steps,
            seed=number,
            optimizer="fused adam",
            lr=0.01 / (1 + number),
            schedule=LinearSchedule(30, steps=20),
            lr_schedule=LearningRateSchedule(30, warmup_steps=10, final=0.1),
            compile=how,
            clip_norm=None if number else 1.0,
        )
        trainers.append(trainer)
        recorders.append(recorder)

    def run(trainer):
        with stack.joined(trainer):
            trainer.fit()

    reasons = []
    stack.train([partial(run, trainer) for trainer in trainers], reasons.append)
    assert reasons == []
    return trainers, recorders


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_a_recorded_step_of_a_stack_is_the_step(make):
    (eager, figures), (by_graph, others) = stacked(make, False), stacked(make, "graph")
    for one, other in zip(by_graph, eager, strict=True):
        assert one.step == other.step
        torch.testing.assert_close(one.model.state_dict(), other.model.state_dict(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(one.optimizer.state_dict(), other.optimizer.state_dict(), rtol=1e-3, atol=1e-6)
    for one, other in zip(figures, others, strict=True):
        for (step, these), (same, those) in zip(one.figures, other.figures, strict=True):
            assert step == same
            assert those["gradient_norm"] == pytest.approx(these["gradient_norm"], rel=1e-3)
            assert those["loss"] == pytest.approx(these["loss"], rel=1e-4)


def test_a_run_by_graphs_goes_on_from_its_checkpoint():
    whole, _ = trained(CASES["fixed_beta"], compile="graph", ema=0.9)
    first, _ = trained(CASES["fixed_beta"], compile="graph", ema=0.9, stop=14)
    second, _ = trained(CASES["fixed_beta"], compile="graph", ema=0.9, state=first.state_dict())
    torch.testing.assert_close(second.model.state_dict(), whole.model.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(second.judged.state_dict(), whole.judged.state_dict(), rtol=0, atol=0)


def test_a_recorded_step_of_a_table_is_the_step(tmp_path):
    data, runs = people(tmp_path), []
    for how in (False, "graph"):
        runs.append(trainer_of(data, of_people(data, 0), 20, optimizer="fused adam", compile=how)[0])
        runs[-1].fit()
    torch.testing.assert_close(runs[1].model.state_dict(), runs[0].model.state_dict(), rtol=0, atol=0)


class Counts(FixedDispersion):
    """Its loss depends on a number of Python that each call changes, by a thousandth."""

    calls = 0

    def loss(self, terms, multiplier, penalty=None):
        self.calls += 1
        return super().loss(terms, multiplier, penalty) * (1 + self.calls / 1000)


class Reads(FixedDispersion):
    """Reads a value where PyTorch does not see it."""

    def loss(self, terms, multiplier, penalty=None):
        return super().loss(terms, multiplier, penalty) * (1 + abs(terms.total_kl.mean().tolist()))


class Asks(FixedDispersion):
    """Asks the device for a value."""

    def loss(self, terms, multiplier, penalty=None):
        return super().loss(terms, multiplier, penalty) * (1.0 if terms.total_kl.sum().item() > 0 else 2.0)


@pytest.mark.parametrize(
    ("weighting", "words"),
    [(Counts, "is another one when"), (Reads, "is another one when"), (Asks, "cannot be recorded")],
)
def test_a_step_that_is_more_than_its_kernels_is_refused(weighting, words, monkeypatch):
    monkeypatch.setattr(graph, "foreign_part", lambda value: None)
    with pytest.raises(VaeklError, match=words):
        trained(partial(of, Gaussian, weighting), compile="graph")


class Halved(Dequantize):
    """A transform of another program."""


def test_what_another_program_does_is_not_recorded():
    with pytest.raises(VaeklError, match=r"test_graph\.Counts is neither PyTorch's nor vaekl's"):
        trained(partial(of, Gaussian, Counts), compile="graph")
    data = replace(DATA, train=replace(DATA.train, transform=Halved(16)))
    with pytest.raises(VaeklError, match=r"test_graph\.Halved is neither PyTorch's nor vaekl's"):
        trainer_of(data, CASES["fixed_beta"](), optimizer="fused adam", compile="graph")


def test_a_stack_whose_step_cannot_be_recorded_takes_it_without_a_graph_and_says_why(monkeypatch):
    def refused(self, step, noises):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(recording.Program, "recorded", refused)
    (by_graph, said), (eager, nothing) = (in_a_stack(CASES["learned"], how) for how in ("graph", False))
    assert len(said) == 1 and nothing == []
    assert "2 runs take their steps as they are: the step cannot be recorded" in said[0]
    for one, other in zip(by_graph, eager, strict=True):
        assert one.feed is None
        torch.testing.assert_close(one.model.state_dict(), other.model.state_dict(), rtol=0, atol=0)


def test_a_run_that_ends_after_its_first_step_ends_no_other_when_a_stack_is_recorded():
    by_graph, said = in_a_stack(CASES["learned"], "graph", steps=(20, 1, 20))
    eager, _ = in_a_stack(CASES["learned"], False, steps=(20, 1, 20))
    assert said == [] and [one.step for one in by_graph] == [20, 1, 20]
    for one, other in zip(by_graph, eager, strict=True):
        torch.testing.assert_close(one.model.state_dict(), other.model.state_dict(), rtol=1e-4, atol=1e-6)


def in_a_stack(make, how, steps=(20, 20)):
    """Runs of these lengths, and what was said of them."""
    trainers = [
        trainer_of(DATA, make(), length, seed=seed, optimizer="fused adam", compile=how)[0]
        for seed, length in enumerate(steps)
    ]
    words = []

    def run(trainer):
        with stack.joined(trainer):
            trainer.fit()

    stack.train([partial(run, trainer) for trainer in trainers], words.append)
    return trainers, words


def test_an_optimiser_of_several_kernels_is_refused():
    with pytest.raises(VaeklError, match=r"takes optim=adam or adamw with optim\.fused=true"):
        trainer_of(DATA, CASES["learned"](), optimizer="sgd", compile="graph")
