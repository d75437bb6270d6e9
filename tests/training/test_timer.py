"""What happens by the clock, with one that is set: a sign of life, and checkpoints that change no number."""

import io
from math import inf
from types import SimpleNamespace

import pytest
import torch
from cli_helpers import built, results, rows, same_weights, vaekl, weights
from helpers import Recorder, data_of, model_of, trainer_of
from trainer_cases import byte_data, comparable, same, stored, weighted

from vaekl.system.console import Console
from vaekl.training.callbacks import MetricsCsv, ProgressDisplay
from vaekl.training.timer import Progress


class Saves(Recorder):
    """Remembers every state that was saved by the clock."""

    def __init__(self):
        super().__init__()
        self.states = {}

    def saving(self, trainer):
        self.states[trainer.step] = stored(trainer.state_dict())


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by `seconds_a_step` at each step of the trainers that are `timed`."""
    clock = SimpleNamespace(now=1000.0, looks=0)

    def monotonic():
        clock.looks += 1
        return clock.now

    def timed(trainer, seconds_a_step):
        step = trainer.train_step

        def train_step(images):
            step(images)
            clock.now += seconds_a_step

        trainer.train_step = train_step
        return trainer

    clock.timed = timed
    monkeypatch.setattr("vaekl.training.timer.time", SimpleNamespace(monotonic=monotonic))
    return clock


def of_steps(steps, *callbacks, **more):
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec), steps=steps, **({"log_every": 500, "valid_every": 500} | more))
    trainer.callbacks = list(callbacks)
    return trainer


def test_a_slow_run_says_after_ten_seconds_and_then_every_minute_how_it_goes(clock):
    out = io.StringIO()
    clock.timed(of_steps(100, ProgressDisplay(Console(file=out))), 4.0).fit()
    lines = out.getvalue().splitlines()
    assert [int(line.split("/")[0].split()[1]) for line in lines] == [3, 18, 33, 48, 63, 78, 93, 100]
    assert lines[0].startswith("  step      3/100 · train ELBO -") and lines[0].endswith(
        " nats · 2.00 images/s · 0:06:28 left"
    )
    assert lines[6].endswith(" · 0:00:28 left")


def test_a_run_of_less_than_ten_seconds_says_nothing_between(clock):
    out = io.StringIO()
    clock.timed(of_steps(3, ProgressDisplay(Console(file=out))), 3.3).fit()
    assert len(out.getvalue().splitlines()) == 1


@pytest.mark.parametrize(
    ("seconds", "speed", "expected"),
    [
        (86399.6, 12345.6, "12,346 images/s · 1 day, 0:00:00 left"),
        (1e30, 0.5, "0.50 images/s · 11574074 days, 1:46:40 left"),
        (0.0, inf, "inf images/s · 0:00:00 left"),
    ],
)
def test_any_time_can_be_said(seconds, speed, expected):
    out = io.StringIO()
    ProgressDisplay(Console(file=out)).progressed(of_steps(1), Progress(-1.5, speed, seconds))
    assert out.getvalue() == f"  step      0/1 · train ELBO -1.50 nats · {expected}\n"


def test_the_bar_of_a_terminal_moves_too(clock):
    out = io.StringIO()
    display = ProgressDisplay(Console(file=out, force_terminal=True, width=150))
    seen = []
    trainer = clock.timed(of_steps(20, display), 6.0)
    shown = display.progressed
    display.progressed = lambda *of: (shown(*of), seen.append(display.bar.tasks[0].completed))
    trainer.fit()
    assert seen == [2, 12] and " left" not in out.getvalue()


def test_a_step_costs_one_look_at_the_clock(clock):
    clock.timed(of_steps(50, Recorder()), 0.01).fit()
    assert clock.looks <= 50 + 3


@pytest.mark.parametrize(
    ("minutes", "valid_every", "saved"),
    [(10, 500, [10, 20]), (None, 500, []), (0.5, 500, range(1, 23)), (10, 8, []), (10, 12, [10, 22])],
    ids=str,
)
def test_a_checkpoint_when_none_was_written_for_so_long(minutes, valid_every, saved, clock):
    saves = Saves()
    clock.timed(of_steps(23, saves, valid_every=valid_every, save_minutes=minutes), 60.0).fit()
    assert list(saves.states) == list(saved)


@pytest.mark.parametrize("weighting", ["cb_normalizer", "learned_precision", "optimal_precision", "controller"])
def test_a_run_gone_on_with_from_there_is_the_undisturbed_one_bit_for_bit(weighting, clock):
    """Saved after steps 7, 14 and 21: within an epoch (of 5), a log's window (of 4), between validations (of 50)."""
    ema = None if weighting == "optimal_precision" else 0.9
    options = {"steps": 23, "log_every": 4, "valid_every": 50, "ema": ema}
    whole, expected = trainer_of(byte_data(), weighted(weighting), **options)
    whole.fit()

    options["save_minutes"] = 7
    saving, _ = trainer_of(byte_data(), weighted(weighting), **options)
    saves = Saves()
    saving.callbacks = [saves]
    clock.timed(saving, 60.0).fit()
    assert same(saving.model.state_dict(), whole.model.state_dict())
    assert comparable(saves.figures) == comparable(expected.figures)
    assert list(saves.states) == [7, 14, 21]

    for step, state in saves.states.items():
        torch.manual_seed(99)
        resumed, recorder = trainer_of(byte_data(), weighted(weighting, seed=5), **options)
        resumed.load_state_dict(state)
        resumed.fit()
        assert same(resumed.model.state_dict(), whole.model.state_dict())
        assert same(resumed.judged.state_dict(), whole.judged.state_dict())
        assert comparable(recorder.figures) == comparable([one for one in expected.figures if one[0] > step])
        assert recorder.evaluations[0][1].figures() == expected.evaluations[0][1].figures()


def test_a_run_that_was_killed_goes_on_from_a_checkpoint_by_the_clock(tmp_path, monkeypatch):
    from vaekl.training.callbacks import Checkpoints

    kept, save = {}, Checkpoints._save

    def remember(self, trainer):
        save(self, trainer)
        kept[trainer.step] = {path.name: path.read_bytes() for path in self.folder.path.iterdir() if path.is_file()}

    monkeypatch.setattr(Checkpoints, "_save", remember)
    words = ("train", "model.hidden=[16]", "trainer.steps=12", "trainer.log_every=5", "trainer.valid_every=100")
    assert vaekl(tmp_path, *words, "hydra.run.dir=whole", "trainer.save_minutes=null").code == 0
    assert list(kept) == [12]
    kept.clear()
    assert vaekl(tmp_path, *words, "hydra.run.dir=run", "trainer.save_minutes=1e-9").code == 0
    assert list(kept) == list(range(1, 13))
    killed = tmp_path / "killed"
    killed.mkdir()
    for name, content in kept[7].items():
        (killed / name).write_bytes(content)
    assert len(rows(killed)) == 1
    answer = vaekl(tmp_path, "resume", "killed")
    assert answer.code == 0 and "resumed at step 7" in answer.out, answer.err
    speed = {"images_per_second": ""}
    for name in ("run", "killed"):
        assert same_weights(weights(tmp_path / name), weights(tmp_path / "whole"))
        assert results(tmp_path / name) == results(tmp_path / "whole")
        assert [row | speed for row in rows(tmp_path / name)] == [row | speed for row in rows(tmp_path / "whole")]


def test_where_a_run_goes_back_to_its_last_checkpoint_the_clock_does_not_say_which_it_is(tmp_path):
    for words, minutes in (((), 10), (("trainer.on_nan=restore",), None)):
        folder = tmp_path / str(minutes)
        folder.mkdir()
        assert built(folder, *words).trainer.plan.save_minutes == minutes


def test_a_row_is_in_the_file_as_soon_as_it_is_logged(tmp_path):
    trainer = of_steps(4, MetricsCsv(tmp_path), log_every=2)
    step, lines = trainer.train_step, []

    def train_step(images):
        lines.append(len((tmp_path / "metrics.csv").read_text().splitlines()))
        step(images)

    trainer.train_step = train_step
    trainer.fit()
    assert lines == [1, 1, 2, 2]
