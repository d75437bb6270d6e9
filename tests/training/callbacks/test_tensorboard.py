"""What TensorBoard itself serves of a run: every promised tag, with the values of metrics.csv."""

import io
import struct
import time
import urllib.request

import numpy as np
import pytest
import torch
from cli_helpers import SMALL, finished, process, results, rows, trained, vaekl
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard_helpers import LEDGER, PICTURES, SESSIONS, tensorboard
from torch.utils.tensorboard import SummaryWriter

from vaekl.training.callbacks import TensorBoard

#: one worker trains what they share
pytestmark = pytest.mark.xdist_group("tensorboard")

JUDGED = {
    "energy_nats", "energy", "log_norm_const_nats", "kl_nats", "elbo_nats", "loss", "bits_per_dim", "dispersion",
    "implied_sigma", "rmse", "beta_kl", "effective_beta_kl", "active_units",
}  # fmt: skip
PROMISED = {
    "train": {
        "energy_nats", "energy", "log_norm_const_nats", "kl_nats", "elbo_nats", "loss", "bits_per_dim", "dispersion",
        "beta_kl", "effective_beta_kl", "schedule", "learning_rate", "gradient_norm", "images_per_second",
    },
    "valid": JUDGED,
    "test": JUDGED,
}  # fmt: skip


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Three runs that differ in likelihood and weighting, so that none has every setting of the others."""
    root = tmp_path_factory.mktemp("logs")
    for name, words in {
        "cb": ["likelihood=cb", "schedule=linear"],
        "beta": ["likelihood=gaussian", "weighting=fixed_beta", "weighting.beta=0.5"],
        "dispersion": ["likelihood=gaussian", "weighting=fixed_dispersion", "weighting.dispersion=0.2"],
    }.items():
        (root / name).mkdir()
        trained(root / name, "trainer.steps=8", *words)
    return root


@pytest.fixture(scope="module", params=["fast", "slow"])
def served(sweep, request):
    """By either of TensorBoard's two loaders."""
    flag = "--load_fast=" + ("auto" if request.param == "fast" else "false")
    with tensorboard(sweep, flag) as address:
        yield address.when_loaded(["cb/run", "beta/run", "dispersion/run"])


def test_each_run_is_one_run(served):
    assert sorted(served("runs")) == ["beta/run", "cb/run", "dispersion/run"]


def test_every_promised_scalar_is_there(served):
    tags = served("plugin/scalars/tags")["cb/run"]
    for split, promised in PROMISED.items():
        assert promised <= {tag.partition("/")[2] for tag in tags if tag.startswith(f"{split}/")}
    assert {tag.partition("/")[0] for tag in tags} == set(PROMISED)


def test_served_values_are_those_of_metrics_csv(served, sweep):
    for split, tags in PROMISED.items():
        for tag in tags:
            points = served("plugin/scalars/scalars", tag=f"{split}/{tag}", run="cb/run")
            pairs = [(step, value) for _, step, value in points]
            written = [(int(row["step"]), float(row[tag])) for row in rows(sweep / "cb" / "run", split)]
            assert pairs == [(step, pytest.approx(value, rel=1e-6)) for step, value in written], tag


def test_histograms_pictures_and_the_config_as_text(served):
    histograms = served("plugin/histograms/tags")["cb/run"]
    assert {"valid/kl_per_latent_nats", "test/kl_per_latent_nats"} <= set(histograms)
    assert {f"images/{name}" for name in PICTURES} == set(served("plugin/images/tags")["cb/run"])
    (tag,) = served("plugin/text/tags")["cb/run"]
    (text,) = served("plugin/text/text", tag=tag, run="cb/run")
    assert "ContinuousBernoulli" in text["text"] and "choices" in text["text"]


def test_the_pictures_are_pictures(served):
    for name in PICTURES:
        last = served("plugin/images/images", tag=f"images/{name}", run="cb/run", sample=0)[-1]
        with urllib.request.urlopen(f"{served.address}/data/plugin/images/individualImage?{last['query']}") as picture:
            head = picture.read(24)
        assert head.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", head[16:])
        assert width == 8 * 34 + 2 and height > 100


def test_the_custom_scalars_open_on_the_ledger(served):
    first, second = served("plugin/custom_scalars/layout")["category"]
    assert first["title"] == "ELBO ledger" and not first["closed"]
    for chart, split in zip(first["chart"], ("train", "valid"), strict=True):
        assert chart["multiline"]["tag"] == [f"{split}/{tag}" for tag in LEDGER]
    drawn = set()
    for chart in second["chart"]:
        (pattern,) = chart["multiline"]["tag"]
        drawn |= set(served("plugin/custom_scalars/scalars", run="cb/run", tag=pattern)["tag_to_events"])
    assert {
        f"{split}/{tag}" for split in ("train", "valid") for tag in ("elbo_nats", "bits_per_dim", "kl_nats")
    } < drawn


def final(run):
    """The figures of results.json under their tags."""
    record = results(run)
    return {
        f"{split}/{tag}": pytest.approx(value, rel=1e-6)
        for split in ("valid", "test")
        for tag, value in record[split].items()
        if isinstance(value, float | int)
    }


def sessions(served):
    """Of each run that the HParams tab compares: its settings, and its figures."""
    return {
        group["sessions"][0]["name"]: (
            group["hparams"],
            {value["name"]["tag"]: value.get("value", 0.0) for value in group["metricValues"]},
        )
        for group in served("plugin/hparams/session_groups", SESSIONS)["sessionGroups"]
    }


def first_columns(served):
    """What the HParams tab shows before anything is clicked: five settings, five figures."""
    experiment = served("plugin/hparams/experiment", {})
    settings = [info["name"] for info in experiment["hparamInfos"]]
    return settings[:5], [info["name"]["tag"] for info in experiment["metricInfos"]][:5]


def test_hparams_compare_the_runs_on_their_final_figures(served, sweep):
    experiment = served("plugin/hparams/experiment", {})
    columns = {info["name"] for info in experiment["hparamInfos"]}
    assert {"dataset", "likelihood", "weighting", "schedule", "model", "optim", "experiment"} < columns
    assert {"weighting.beta", "weighting.dispersion", "model.latents", "optim.lr", "model.hidden", "seed"} < columns
    assert not {"output_dir", "data_dir", "run_name", "choices.dataset", "dataset.name"} & columns
    shown = sessions(served)
    assert set(shown) == {"cb/run", "beta/run", "dispersion/run"}
    assert shown["beta/run"][0]["weighting.beta"] == 0.5
    assert shown["dispersion/run"][0]["weighting.dispersion"] == 0.2
    assert "weighting.beta" not in shown["cb/run"][0]
    for name, (settings, figures) in shown.items():
        assert settings["model.hidden"] == "[16]" and settings["seed"] == "0"
        assert figures == final(sweep / name)


def test_hparams_show_what_matters_without_a_click(served):
    settings, figures = first_columns(served)
    assert settings == ["dataset", "likelihood", "model", "seed", "weighting"]
    assert figures[:4] == ["test/elbo_nats", "test/bits_per_dim", "valid/elbo_nats", "valid/bits_per_dim"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The runs of a sweep over three settings, one of which was resumed."""
    folder = tmp_path_factory.mktemp("swept")
    words = ["likelihood=gaussian", "model.hidden=[8],[8,8]", "likelihood.link=identity,sigmoid"]
    answer = vaekl(folder, "train", "-m", *SMALL[1:], *words, "trainer.clip_norm=null,2", "hydra/launcher=basic")
    assert answer.code == 0, answer.err
    runs = sorted(path.parent for path in folder.rglob("results.json"))
    (runs[0] / "results.json").unlink()
    time.sleep(1)
    answer = vaekl(folder, "resume", str(runs[0]))
    assert answer.code == 0, answer.err
    return runs


@pytest.mark.nightly  # eight runs
@pytest.mark.parametrize("flag", ["auto", "false"])
def test_hparams_begin_with_what_was_swept(swept, flag):
    """Whatever it was, and in a run that was resumed too."""
    with tensorboard(swept[0].parent, f"--load_fast={flag}") as address:
        served = address.when_loaded([run.name for run in swept])
        assert first_columns(served)[0][:3] == ["likelihood.link", "model.hidden", "trainer.clip_norm"]
        seen = {
            (settings["likelihood.link"], settings["model.hidden"], settings.get("trainer.clip_norm"))
            for settings, _ in sessions(served).values()
        }
    assert seen == {(a, b, c) for a in ("identity", "sigmoid") for b in ("[8]", "[8, 8]") for c in (None, 2.0)}


@pytest.fixture(scope="module")
def stopped_early(tmp_path_factory):
    """A run that was tested with the weights of an earlier step."""
    folder = tmp_path_factory.mktemp("early")
    return trained(folder, "optim.lr=0.1", "trainer.steps=400", "trainer.valid_every=10", "trainer.patience=2")


@pytest.mark.parametrize("flag", [pytest.param("auto", marks=pytest.mark.nightly), "false"])
def test_hparams_of_early_stopping_are_those_of_the_weights_that_were_tested(stopped_early, flag):
    run = stopped_early
    assert results(run)["weights"] == "best.pt" and results(run)["step"] < int(rows(run, "valid")[-1]["step"])
    with tensorboard(run.parent, f"--load_fast={flag}") as address:
        served = address.when_loaded(["run"])
        assert sessions(served)["run"][1] == final(run)
        steps = [step for _, step, _ in served("plugin/scalars/scalars", tag="valid/elbo_nats", run="run")]
    assert sorted(set(steps)) == [int(row["step"]) for row in rows(run, "valid")]


def every_step_is_stored_once(run):
    """As TensorBoard's own reader takes the event files."""
    accumulator = EventAccumulator(str(run), {"scalars": 0}).Reload()
    for split in PROMISED:
        steps = [int(row["step"]) for row in rows(run, split)]
        assert [event.step for event in accumulator.Scalars(f"{split}/elbo_nats")] == steps


def every_step_is_served_once(run):
    """As TensorBoard draws them."""
    with tensorboard(run.parent) as address:
        served = address.when_loaded(["run"])
        for split in PROMISED:
            points = served("plugin/scalars/scalars", tag=f"{split}/elbo_nats", run="run")
            assert [step for _, step, _ in points] == [int(row["step"]) for row in rows(run, split)]


def resume(folder):
    """A second later, like any restart: TensorBoard orders event files by the second in their names."""
    time.sleep(1)
    answer = vaekl(folder, "resume", "run")
    assert answer.code == 0, answer.err


def test_a_resumed_run_shows_no_step_twice(tmp_path):
    words = ["model.hidden=[16]", "trainer.steps=200", "trainer.log_every=5", "trainer.valid_every=20"]
    running = process(tmp_path, "train", "hydra.run.dir=run", *words)
    while running.poll() is None and not (tmp_path / "run" / "last.pt").exists():
        time.sleep(0.002)
    time.sleep(0.03)
    running.kill()
    finished(running)
    assert not (tmp_path / "run" / "results.json").exists()
    resume(tmp_path)
    every_step_is_stored_once(tmp_path / "run")
    every_step_is_served_once(tmp_path / "run")


@pytest.mark.nightly
def test_a_run_killed_before_its_first_checkpoint_shows_no_step_twice(tmp_path):
    run = trained(tmp_path, "trainer.valid_every=4")
    for name in ("results.json", "last.pt"):
        (run / name).unlink()
    resume(tmp_path)
    every_step_is_stored_once(run)
    every_step_is_served_once(run)


@pytest.mark.nightly
def test_a_run_killed_before_its_results_shows_no_step_twice(tmp_path):
    """Its test is in the event files twice, at one step, of which TensorBoard draws the later."""
    run = trained(tmp_path)
    (run / "results.json").unlink()
    resume(tmp_path)
    every_step_is_served_once(run)


def test_a_picture_is_shown_pixel_by_pixel(tmp_path):
    picture = torch.arange(3 * 4 * 5).view(3, 4, 5) / 59
    tensorboard = TensorBoard(tmp_path, "", {})
    tensorboard.writer = SummaryWriter(str(tmp_path))
    tensorboard.show({"images/a": picture, "images/b": 1 - picture}, 7)
    events = EventAccumulator(str(tmp_path), {"images": 0}).Reload()
    assert sorted(events.Tags()["images"]) == ["images/a", "images/b"]
    for tag, shown in (("images/a", picture), ("images/b", 1 - picture)):
        (event,) = events.Images(tag)
        assert (event.step, event.height, event.width) == (7, 4, 5)
        pixels = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        np.testing.assert_allclose(pixels / 255, shown.permute(1, 2, 0), atol=0.5 / 255 + 1e-6)
