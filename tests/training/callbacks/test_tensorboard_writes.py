"""When TensorBoard's events are on the disk: those of several logs are written together, and none stays unwritten."""

from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vaekl.training.callbacks import TensorBoard, tensorboard
from vaekl.training.timer import Progress

LOGS = [(10, -3.0), (20, -2.0), (30, -1.5)]
HOOKS = {
    "a sign of life": lambda callback, trainer: callback.progressed(trainer, Progress(-1.5, 100.0, 9.0)),
    "a checkpoint": lambda callback, trainer: callback.saving(trainer),
    "a validation without images": lambda callback, trainer: callback.validated(trainer, None, False),
    "a stop": lambda callback, trainer: callback.paused(trainer),
    "an error": lambda callback, trainer: callback.failed(trainer),
}


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """A callback that has seen three logs in the same second, its trainer, and the clock."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(tensorboard.time, "monotonic", lambda: clock.now)
    callback, trainer = TensorBoard(tmp_path, "seed: 0", {"seed": 0}), SimpleNamespace(step=0)
    callback.started(trainer)
    for step, elbo in LOGS:
        trainer.step = step
        callback.logged(trainer, {"elbo_nats": elbo})
    yield callback, trainer, clock
    callback.writer.close()


def written(folder):
    """The steps and values of train/elbo_nats in the folder's event files."""
    events = EventAccumulator(str(folder)).Reload()
    if "train/elbo_nats" not in events.Tags()["scalars"]:
        return []
    return [(event.step, event.value) for event in events.Scalars("train/elbo_nats")]


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_what_was_logged_is_written_by_every_hook_that_may_be_the_last_for_long(hook, logged, tmp_path):
    callback, trainer, _ = logged
    hook(callback, trainer)
    assert written(tmp_path) == LOGS


def test_what_was_logged_is_written_by_a_log_that_comes_later(logged, tmp_path):
    callback, trainer, clock = logged
    clock.now += 6
    trainer.step = 40
    callback.logged(trainer, {"elbo_nats": -1.0})
    assert written(tmp_path) == [*LOGS, (40, -1.0)]
    callback.paused(trainer)
    assert written(tmp_path) == [*LOGS, (40, -1.0)], "an event is written once"
