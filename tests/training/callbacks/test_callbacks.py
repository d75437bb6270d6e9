"""What happens around a step, each callback by itself: it reads the trainer, and never changes it."""

import io

import pytest
import torch
from helpers import data_of, model_of, seeded, trainer_of

from vaekl.measures.elbo import evaluate
from vaekl.model.likelihoods import ContinuousBernoulli
from vaekl.store import checkpoint
from vaekl.store.metrics import FIELDS
from vaekl.system.console import Console
from vaekl.training.callbacks import Checkpoints, Images, MetricsCsv, ProgressDisplay, TensorBoard
from vaekl.training.callbacks.images import pictures

COLUMNS = 8


def trainer_with(*callbacks, data=None, likelihood=None, **more):
    """A trainer of ten steps with these callbacks."""
    data = data or data_of()
    trainer, _ = trainer_of(data, model_of(data.spec, likelihood), **({"steps": 10, "valid_every": 5} | more))
    trainer.callbacks = list(callbacks)
    return trainer


def every_callback(folder):
    tensorboard = TensorBoard(folder, "a: 1", {"seed": 0, "weighting.beta": None})
    quiet = Console(file=io.StringIO())
    return [tensorboard, MetricsCsv(folder), Images(folder, tensorboard), ProgressDisplay(quiet), Checkpoints(folder)]


def test_callbacks_change_nothing(tmp_path):
    watched, plain = trainer_with(*every_callback(tmp_path)), trainer_with()
    for trainer in (watched, plain):
        trainer.fit()
    assert watched.model.training
    assert torch.equal(watched.generator.get_state(), plain.generator.get_state())
    for name, value in plain.model.state_dict().items():
        assert torch.equal(watched.model.state_dict()[name], value)


def lines(folder):
    return (folder / "metrics.csv").read_text().splitlines()


def test_rows_come_in_the_order_of_the_steps(tmp_path):
    trainer_with(MetricsCsv(tmp_path)).fit()
    assert lines(tmp_path)[0] == ",".join(FIELDS)
    assert [line.split(",")[:2] for line in lines(tmp_path)[1:]] == [
        ["5", "train"], ["5", "valid"], ["10", "train"], ["10", "valid"],
    ]  # fmt: skip


@pytest.mark.parametrize("tail", ["1", "10", "10,train", "10,train,-3.2", "10,val", ""], ids=repr)
def test_a_torn_last_line_is_dropped(tail, tmp_path):
    """A killed writer may stop anywhere, also inside the number of a step."""
    trainer = trainer_with(MetricsCsv(tmp_path))
    trainer.fit()
    whole = lines(tmp_path)[:3]
    (tmp_path / "metrics.csv").write_text("\n".join(whole) + "\n" + tail)
    trainer.step = 5
    MetricsCsv(tmp_path).started(trainer)
    assert lines(tmp_path) == whole


def test_rows_after_the_checkpoint_and_a_test_are_dropped(tmp_path):
    callback = MetricsCsv(tmp_path)
    trainer = trainer_with(callback)
    trainer.fit()
    callback.tested(trainer, evaluate(trainer.model, trainer.data.test, seeded()))
    for step, kept in ((10, 5), (7, 3), (5, 3), (0, 1)):
        trainer.step = step
        MetricsCsv(tmp_path).started(trainer)
        assert len(lines(tmp_path)) == kept


def test_a_checkpoint_at_every_validation_and_when_paused(tmp_path):
    trainer = trainer_with(Checkpoints(tmp_path), steps=20)
    saved = []
    trainer.callbacks[0]._save = lambda trainer: saved.append(trainer.step)
    trainer.fit()
    assert saved == [5, 10, 15, 20, 20]
    fresh = trainer_with(Checkpoints(tmp_path))
    fresh.stop_requested = True
    fresh.fit()
    assert checkpoint.load(tmp_path / "last.pt")["step"] == 1


def test_nothing_is_saved_of_a_state_that_failed(tmp_path):
    trainer = trainer_with(Checkpoints(tmp_path), valid_every=100)
    trainer.train_step = lambda index: 1 / 0
    with pytest.raises(ZeroDivisionError):
        trainer.fit()
    assert not list(tmp_path.iterdir())


def test_grids_are_pictures_and_the_same_each_time():
    trainer = trainer_with()
    kl = torch.tensor([0.1, 2.0, 1.0])
    first, again = pictures(trainer, kl), pictures(trainer, kl)
    for name, grid in first.items():
        assert grid.shape[0] == 3 and grid.min() >= 0 and grid.max() <= 1
        assert torch.equal(grid, again[name])
    assert trainer.model.training


def cell(grid, row, column, side):
    """One image of a grid, without its frame, at its own size."""
    size = 32 // side * side
    top, left = 2 + row * (size + 2), 2 + column * (size + 2)
    return grid[0, top : top + size : size // side, left : left + size : size // side]


def test_inputs_stand_above_their_reconstructions_which_are_means():
    trainer = trainer_with(likelihood=ContinuousBernoulli())
    model, x = trainer.model, trainer.data.valid.batch(slice(0, COLUMNS))
    grid = pictures(trainer, None)["inputs_above_reconstructions"]
    logits = model.decode(model.encode(x)[0])
    mean = 1 / -torch.expm1(-logits.double()) - 1 / logits.double()
    for column in range(COLUMNS):
        assert torch.equal(cell(grid, 0, column, 4), x[column, 0])
        shown = cell(grid, 1, column, 4)
        assert torch.allclose(shown, mean[column].reshape(4, 4).float(), atol=1e-3)
    assert not torch.allclose(shown, logits.sigmoid()[column].reshape(4, 4), atol=1e-2)


def test_the_traversal_follows_the_latents_that_carry_most():
    trainer = trainer_with()
    grid = pictures(trainer, torch.tensor([0.1, 2.0, 1.0]))["latent_traversal"]
    z = torch.zeros(2, 3)
    z[0, 1], z[1, 1] = -3, 3
    expected = trainer.model.moments(trainer.model.decode(z))[0].clamp(0, 1)
    for column, image in zip((0, COLUMNS - 1), expected, strict=True):
        assert torch.allclose(cell(grid, 0, column, 4), image[0], atol=1e-6)


@pytest.mark.parametrize(("steps", "every"), [(100, 1), (7, 3), (30, 10)])
def test_about_ten_pictures_and_lines_a_run(steps, every, tmp_path):
    out = io.StringIO()
    drawn = []
    tensorboard = TensorBoard(tmp_path, "", {})
    images = Images(tmp_path, tensorboard)
    trainer = trainer_with(
        tensorboard, images, ProgressDisplay(Console(file=out, soft_wrap=True)), steps=steps, valid_every=every
    )
    tensorboard.show = lambda pictures, step: drawn.append(step)
    trainer.fit()
    shown = sorted(drawn)
    assert len(shown) == min(10, -(-steps // every)) and shown[-1] == steps
    assert len(out.getvalue().splitlines()) == len(shown)
    assert not list(tmp_path.glob("*.png"))
    images.tested(trainer, evaluate(trainer.model, trainer.data.test, seeded()))
    assert len(list(tmp_path.glob("*.png"))) == 4


@pytest.mark.parametrize("draws", [False, True])
def test_a_training_elbo_of_a_rate_that_is_drawn_is_named_as_that(draws):
    out = io.StringIO()
    trainer = trainer_with(ProgressDisplay(Console(file=out)))
    trainer.model.weighting.draws = draws
    trainer.fit()
    assert ("train ELBO at random θ " in out.getvalue()) is draws and "valid ELBO " in out.getvalue()


def test_a_terminal_gets_a_bar_that_goes_away():
    out = io.StringIO()
    trainer = trainer_with(ProgressDisplay(Console(file=out, force_terminal=True, width=150)))
    trainer.fit()
    assert trainer.callbacks[0].bar.finished
    assert "10/10" in out.getvalue()
    assert "nats" in out.getvalue()


def test_the_bar_stops_before_an_error_is_told():
    trainer = trainer_with(ProgressDisplay(Console(file=io.StringIO(), force_terminal=True)))
    trainer.train_step = lambda index: 1 / 0
    with pytest.raises(ZeroDivisionError):
        trainer.fit()
    assert not trainer.callbacks[0].bar.live.is_started
