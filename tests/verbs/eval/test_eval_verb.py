"""`vaekl eval`: typed as a user types it, on runs of half a second."""

import json
import shutil
from unittest.mock import patch

import numpy as np
import pytest
import torch
from cli_helpers import contents, finished, process, refused, results, trained, vaekl
from sklearn.datasets import load_digits

from vaekl.store import checkpoint

#: its runs are trained once
pytestmark = pytest.mark.xdist_group("eval")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run; tests that change it take a copy."""
    return trained(tmp_path_factory.mktemp("eval"), "likelihood=gaussian", "valid=0.1")


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def evaluated(folder, *words):
    answer = vaekl(folder.parent, "eval", str(folder), *words)
    assert answer.code == 0, answer.err
    return json.loads((folder / "eval.json").read_text()), answer.out


def test_every_measure_is_in_the_file_and_in_the_table(copy):
    report, out = evaluated(copy, "eval.k=1,5", "eval.ruler_k=1,2", "eval.ais_steps=3", "eval.ais_images=4")
    assert [row["k"] for row in report["iwae"]] == [1, 5] and [row["k"] for row in report["ruler"]["iwae"]] == [1, 2]
    assert report["images"] == 360 and report["split"] == "test" and report["finished"]
    assert report["protocol"]["data"] == "dequantized (k + U)/17"
    assert report["ais"]["images"] == 4 and report["elbo"]["active_units"] == results(copy)["test"]["active_units"]
    assert 0 < report["knn_accuracy"] <= 1 and 0 < report["quality"]["ssim"] < 1
    assert report["reliability"]["groups"] == 16
    rate, elbo = report["rate"], report["elbo"]
    # one stream of noise for all of them: no name has two values
    assert rate["mutual_information_nats"] + rate["marginal_kl_nats"] == pytest.approx(elbo["kl_nats"], rel=1e-5)
    parts = rate["total_correlation_nats"] + rate["dimension_wise_kl_nats"]
    assert parts == pytest.approx(rate["marginal_kl_nats"], rel=1e-6)
    assert report["calibration"]["all"]["rmse"] == pytest.approx(elbo["rmse"], rel=1e-5)
    assert report["calibration"]["all"]["implied_sigma"] == pytest.approx(elbo["implied_sigma"], rel=1e-5)
    assert report["ais"]["iwae_of_these_images_nats"] != report["iwae"][-1]["nats"]
    for words in ("IWAE bound, K = 5", "fair ruler", "15-NN", "mutual information", "implied σ / RMSE", "SSIM", "AIS"):
        assert words in out


def test_the_elbo_is_that_of_the_run_s_own_test(copy):
    report, _ = evaluated(copy)
    for name in ("elbo_nats", "energy_nats", "kl_nats", "bits_per_dim", "rmse"):
        assert report["elbo"][name] == results(copy)["test"][name]


def test_the_same_seed_gives_the_same_file_and_another_one_does_not(copy):
    words = ("eval.k=3", "eval.ais_steps=2", "eval.ais_images=3")
    evaluated(copy, *words)
    first = (copy / "eval.json").read_bytes()
    evaluated(copy, *words)
    assert (copy / "eval.json").read_bytes() == first
    evaluated(copy, *words, "eval.seed=1")
    assert (copy / "eval.json").read_bytes() != first


def test_a_moving_average_is_what_is_measured(tmp_path):
    run = trained(tmp_path, "trainer.ema=0.9")
    report, _ = evaluated(run)
    assert report["elbo"]["elbo_nats"] == results(run)["test"]["elbo_nats"]


def test_early_stopping_s_best_weights_are_what_is_measured(tmp_path):
    run = trained(tmp_path, "trainer.patience=1", "trainer.steps=40")
    report, _ = evaluated(run)
    assert report["weights"] == "best.pt" and report["elbo"]["elbo_nats"] == results(run)["test"]["elbo_nats"]
    assert vaekl(tmp_path, "eval", str(run), "eval.checkpoint=last").code == 0
    assert [json.loads(path.read_text())["weights"] for path in run.glob("eval_*.json")] == ["last.pt"]


def test_other_splits_other_images_and_a_checkpoint_s_own_path(copy):
    whole, _ = evaluated(copy)
    before = (copy / "eval.json").read_bytes()
    for words in (["eval.split=valid"], ["eval.images=20"], ["transform=scale"], ["eval.checkpoint=last"]):
        assert vaekl(copy.parent, "eval", str(copy), *words, "eval.knn=false").code == 0
    assert vaekl(copy.parent, "eval", str(copy / "last.pt"), "eval.images=20").code == 0
    assert (copy / "eval.json").read_bytes() == before, "what is not comparable has a name of its own"
    others = {path.name: json.loads(path.read_text()) for path in copy.glob("eval_*.json")}
    assert len(others) == 5 and others["eval_valid.json"]["knn_accuracy"] is None
    assert sorted(other["images"] for other in others.values()) == [20, 20, 143, 360, 360] and whole["images"] == 360


def test_other_data_of_the_same_shape(copy, tmp_path):
    images = load_digits().images[:50].astype(np.uint8)
    np.savez(tmp_path / "mine.npz", x_train=255 - 15 * images, x_test=255 - 15 * images)

    def other(*words):
        before = set(copy.glob("eval*.json"))
        assert vaekl(copy.parent, "eval", str(copy), *words).code == 0
        (file,) = set(copy.glob("eval*.json")) - before
        return json.loads(file.read_text())

    report = other("dataset=npz", f"dataset.path={tmp_path / 'mine.npz'}")
    assert report["choices"]["dataset"] == "npz" and report["changes"] and report["images"] == 50
    assert report["elbo"]["elbo_nats"] < results(copy)["test"]["elbo_nats"], "digits in negative are not digits"
    report = other("transform=scale")
    assert report["protocol"]["data"] == "scaled k/16"


@pytest.mark.parametrize(
    ("name", "words", "images", "left_out"),
    [
        ("x_test", (), 12, []),
        ("x_test", ("eval.split=all",), 12, []),
        ("x_train", ("eval.split=all",), 12, []),
        ("x_train", ("eval.split=all", "dataset.test_fraction=0.5"), 12, []),
        ("x_train", (), 1, ["10 train and 1 valid images (eval.split=all takes them too)"]),
    ],
)
def test_my_own_pictures_whatever_their_name(copy, tmp_path, name, words, images, left_out):
    mine = np.random.default_rng(1).integers(0, 17, (12, 8, 8), np.uint8)
    np.savez(tmp_path / "mine.npz", **{name: mine}, y_test=np.arange(12) % 2)
    other = ("dataset=npz", f"dataset.path={tmp_path / 'mine.npz'}", "dataset.levels=17", *words)
    answer = vaekl(tmp_path, "eval", str(copy), "eval.k=1", *other)
    assert answer.code == 0, answer.err
    (file,) = (path for path in copy.glob("eval*_*.json"))
    report = json.loads(file.read_text())
    labels = [] if name == "x_test" else ["1 arrays that are not used: y_test (12)"]
    assert (report["images"], report["left_out"]) == (images, left_out + labels)
    assert all(f"left out    {line}" in answer.out for line in report["left_out"])


def test_test_images_alone_whatever_the_model_asks_of_those_to_train_on(tmp_path):
    mine = np.random.default_rng(1).integers(0, 17, (12, 8, 8), np.uint8)
    np.savez(tmp_path / "mine.npz", x_test=mine)
    folder = trained(tmp_path, "control=decomposed", "likelihood=gaussian")
    other = ("dataset=npz", f"dataset.path={tmp_path / 'mine.npz'}", "dataset.levels=17", "eval.k=1")
    answer = vaekl(tmp_path, "eval", str(folder), *other)
    assert answer.code == 0 and "12 test images" in answer.out, answer.err
    refused(vaekl(tmp_path, "eval", str(folder), *other, "eval.features=classifier"), "needs labels")
    refused(vaekl(tmp_path, "eval", str(folder), *other, "eval.split=train"), "mine.npz", "choose test or all")


def test_a_run_that_was_cut_short_is_measured_and_said_to_be(copy):
    (copy / "results.json").unlink()
    report, _ = evaluated(copy)
    assert not report["finished"] and report["weights"] == "last.pt"


@pytest.mark.nightly
def test_the_scores_of_a_classifier(copy, tmp_path, monkeypatch):
    monkeypatch.setenv("VAEKL_CACHE_DIR", str(tmp_path / "cache"))
    report, out = evaluated(copy, "eval.features=classifier", "eval.generated=150")
    scores = report["features"]
    assert scores["real"] == scores["generated"] == 150 and scores["frechet"] > 0 and scores["inception_mean"] >= 1
    assert "classifier of digits" in out and len(list((tmp_path / "cache").rglob("*.pt"))) == 1


def test_what_is_wrong_with_all_runs_is_said_once(run, tmp_path):
    for name in "abcdef":
        shutil.copytree(run, tmp_path / "sweep" / name)
    (tmp_path / "empty.npz").touch()
    answer = vaekl(tmp_path, "eval", "sweep", "eval.jobs=1", "dataset=npz", "dataset.path=empty.npz")
    names = ", ".join(f"sweep/{name}" for name in "abcde")
    assert refused(answer) == (
        f"vaekl: 6 of 6 runs could not be measured: {names} and others: {tmp_path}/empty.npz is empty; set "
        "dataset.path=FILE.npz to where the data are."
    )


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_a_folder_of_runs_makes_one_table_and_a_broken_one_does_not_stop_the_others(jobs, run, tmp_path):
    long = "a" * 100  # no figure is cut, however long the names
    for name in (long, "b", "c"):
        shutil.copytree(run, tmp_path / "sweep" / name)
    (tmp_path / "sweep" / "b" / "last.pt").write_bytes(b"torn")
    quick = ("eval.k=2", "eval.knn=false")
    answer = finished(process(tmp_path, "eval", "sweep", f"eval.jobs={jobs}", *quick))
    assert answer.code == 1
    assert "1 of 3 runs could not be measured: sweep/b: the checkpoint sweep/b/last.pt " in answer.err
    assert "Traceback" not in answer.err and len(answer.err.splitlines()) == 1
    reports = [(tmp_path / "sweep" / name / "eval.json").read_bytes() for name in (long, "c")]
    report = json.loads(reports[0])
    assert report["elbo"] == json.loads(reports[1])["elbo"]
    # alone, in a process with as many threads as it likes, a run has the figures that it has in a sweep
    alone = finished(process(tmp_path, "eval", "sweep/c", *quick, threads=4))
    assert alone.code == 0 and (tmp_path / "sweep" / "c" / "eval.json").read_bytes() == reports[1]
    assert not (tmp_path / "sweep" / "b" / "eval.json").exists()
    assert "gaussian" in answer.out and "learned_precision" in answer.out
    for figure in (report["elbo"]["elbo_nats"], report["iwae"][-1]["nats"], report["elbo"]["kl_nats"]):
        assert answer.out.count(f" {figure:,.2f} ") == 2


def test_two_at_once_on_one_run_do_not_disturb_each_other(copy, tmp_path):
    both = [process(tmp_path, "eval", "run", "eval.k=1") for _ in range(2)]
    assert [finished(one).code for one in both] == [0, 0]
    json.loads((copy / "eval.json").read_text())


BAD = {
    "no run": (["nowhere"], ["nowhere", "no run"]),
    "nothing": ([], ["run folder"]),
    "unknown option": (["RUN", "--k"], ["--k"]),
    "typo in a key": (["RUN", "eval.chnk=3"], ["eval.chunk"]),
    "key without its verb": (["RUN", "k=3"], ["eval.k"]),
    "k = 0": (["RUN", "eval.k=0"], ["eval.k", "from 1"]),
    "k is a word": (["RUN", "eval.k=many"], ["eval.k", "many"]),
    "k is empty": (["RUN", "eval.k="], ["eval.k"]),
    "unknown split": (["RUN", "eval.split=tset"], ["eval.split", "test"]),
    "the model cannot be changed": (["RUN", "model.latents=3"], ["model.latents"]),
    "other shape": (["RUN", "dataset=patches"], ["3×32×32", "patches"]),
    "other number of levels": (["CAT", "dataset=npz", "dataset.path=NPZ"], ["does not fit"]),
    "unknown data": (["RUN", "dataset=digit"], ["digits"]),
    "unknown key of the data": (["RUN", "dataset.nam=x"], ["dataset.name"]),
    "no labels and no pictures": (["REAL", "eval.features=classifier"], ["eval.features"]),
    "K that does not fit": (["RUN", "eval.k=10000000000", "eval.chunk=100000000000000"], ["memory", "eval.chunk"]),
    "no best checkpoint": (["RUN", "eval.checkpoint=best"], ["kept no best", "last"]),
    "unknown device": (["RUN", "eval.device=tpu"], ["eval.device=tpu", "cpu"]),
    "checkpoint is a truth value": (["RUN", "eval.checkpoint=false"], ["eval.checkpoint"]),
    "two data sets": (["RUN", "dataset=mnist,digits"], ["dataset=mnist,digits", "one"]),
    "weights that are no numbers": (["NAN"], ["not finite"]),
    "knn": (["RUN", "eval.knn=15"], ["eval.knn"]),
}


@pytest.fixture(scope="module")
def zoo(run, tmp_path_factory):
    """Runs for the mistakes: made once, never written to."""
    folder = tmp_path_factory.mktemp("zoo")
    shutil.copytree(run, folder / "RUN")
    trained(folder, "likelihood=categorical").rename(folder / "CAT")
    rng = np.random.default_rng(0)
    np.savez(
        folder / "NPZ.npz",
        x_train=rng.integers(0, 256, (40, 8, 8), np.uint8),
        x_test=rng.integers(0, 256, (9, 8, 8), np.uint8),
    )
    np.savez(folder / "REAL.npz", x_train=rng.normal(size=(40, 8, 8)), x_test=rng.normal(size=(9, 8, 8)))
    trained(folder, "likelihood=gaussian", "dataset=npz", f"dataset.path={folder / 'REAL.npz'}").rename(folder / "REAL")
    shutil.copytree(run, folder / "NAN")
    state = checkpoint.load(folder / "NAN" / "last.pt")
    next(iter(state["model"].values())).fill_(torch.nan)
    checkpoint.save(folder / "NAN" / "last.pt", state)
    return folder


@pytest.mark.parametrize("mistake", BAD)
def test_bad_input_gets_one_sentence_and_nothing_is_written(zoo, mistake):
    words, parts = BAD[mistake]
    before = contents(zoo)
    refused(vaekl(zoo, "eval", *(word.replace("=NPZ", "=NPZ.npz") for word in words)), *parts)
    assert contents(zoo) == before


@pytest.mark.parametrize(
    "damage", ["cut short", "later version", "no checkpoint", "config that is none", "other model", "torn results"]
)
def test_a_damaged_run_gets_one_sentence_and_nothing_is_written(copy, damage):
    file = copy / "last.pt"
    if damage == "cut short":
        file.write_bytes(file.read_bytes()[:-2000])
    elif damage == "later version":
        with patch.object(checkpoint, "FORMAT", 99):
            checkpoint.save(file, {})
    elif damage == "no checkpoint":
        file.unlink()
    elif damage == "other model":
        checkpoint.save(file, {"step": 1, "model": {"x": torch.zeros(1)}, "average": None})
    elif damage == "torn results":
        (copy / "results.json").write_text('{"step": 4, "te')
    else:
        (copy / "config.yaml").write_text("- 1\n")
    before = contents(copy)
    refused(vaekl(copy.parent, "eval", str(copy)), str(copy))
    assert contents(copy) == before


def test_help_names_every_key(tmp_path):
    answer = vaekl(tmp_path, "eval", "--help")
    assert answer.code == 0
    for key in ("eval.k=[1,50]", "eval.split=test", "eval.features=none", "eval.chunk=null"):
        assert key in answer.out


def test_no_image_is_its_own_neighbour(copy, tmp_path):
    """Test images that are those of training: with random labels the nearest would be right too often."""
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 17, (60, 8, 8), np.uint8), draw.integers(0, 5, 60)
    np.savez(tmp_path / "twice.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    words = ("dataset=npz", f"dataset.path={tmp_path / 'twice.npz'}", "dataset.levels=17", "eval.k=1")
    assert vaekl(copy.parent, "eval", str(copy), *words).code == 0
    (file,) = copy.glob("eval_*.json")
    assert json.loads(file.read_text()).get("knn_accuracy") is None
