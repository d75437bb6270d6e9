"""Figures in programs that keep many runs: what every tracker does, and MLflow's and W&B's own readers."""

import io
import json
import struct
import sys
from math import inf, nan
from pathlib import Path

import pytest
from cli_helpers import refused, results, rows, trained, vaekl
from helpers import data_of, model_of, trainer_of

from vaekl.config.job import single
from vaekl.data import generator
from vaekl.measures.elbo import evaluate
from vaekl.store import RunFolder, fingerprint
from vaekl.system.console import Console
from vaekl.system.errors import VaeklError
from vaekl.training.callbacks import Images, MetricsCsv, TensorBoard
from vaekl.training.callbacks.images import PICTURES
from vaekl.training.callbacks.tracker import Tracker

#: bytes of a block of LevelDB's log
_BLOCK = 1 << 15


class Memory(Tracker):
    """Keeps everything in lists, and fails where it is told to."""

    name, cure = "memory", "turn it on"

    def __init__(self, folder, fails=()):
        self.out = io.StringIO()
        super().__init__(folder, {"seed": 0}, Console(self.out))
        self.calls, self.fails = [], fails

    def _do(self, *call):
        self.calls.append(call)
        if call[0] in self.fails:
            raise ConnectionError("the server http://me:secret@here:1/api\nis gone")

    def begin(self, run):
        self._do("begin", run)
        return run or "run 1", "memory: here"

    def log(self, figures, step):
        self._do("log", dict(figures), step)

    def picture(self, tag, file):
        self._do("picture", tag, file.read_bytes()[:4])

    def end(self, how):
        self._do("end", how)


def curves(run):
    """What metrics.csv has, by the tags of TensorBoard, which shows a schedule in training alone."""
    tags: dict = {}
    for row in rows(run):
        for name, text in row.items():
            tag = f"{row['split']}/{name}"
            if name not in ("step", "split") and text and tag != "valid/schedule":
                tags.setdefault(tag, []).append((int(row["step"]), float(text)))
    return tags


def fitted(folder, tracker, **more):
    """A trainer of ten steps, trained and tested, whose figures the tracker gets."""
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec), **({"steps": 10, "log_every": 5, "valid_every": 5} | more))
    tensorboard = TensorBoard(folder, "a: 1", {"seed": 0})
    trainer.callbacks = [MetricsCsv(folder), tensorboard, Images(folder, tensorboard), tracker]
    trainer.fit()
    return trainer


def test_it_gets_the_figures_by_the_names_of_their_tags(tmp_path):
    tracker = Memory(tmp_path)
    trainer = fitted(tmp_path, tracker)
    trainer.tell(lambda callback: callback.tested(trainer, trainer_evaluation(trainer)))
    kinds = [call[0] for call in tracker.calls]
    assert kinds == ["begin", *["log"] * 5, *["picture"] * len(PICTURES), "end"]
    logged: dict = {}
    for _, figures, step in (call for call in tracker.calls if call[0] == "log"):
        for tag, value in figures.items():
            logged.setdefault(tag, []).append((step, value))
    assert logged == curves(tmp_path)
    assert [call[1:] for call in tracker.calls if call[0] == "picture"] == [
        (f"images/{name}", b"\x89PNG") for name in PICTURES
    ]
    assert tracker.calls[-1] == ("end", "finished") and tracker.out.getvalue() == "  tracker     memory: here\n"


def trainer_evaluation(trainer):
    return evaluate(trainer.judged, trainer.data.test, generator("test", 0, trainer.device))


def test_after_early_stopping_the_last_validation_is_that_of_the_tested_weights(tmp_path):
    tracker = Memory(tmp_path)
    trainer = fitted(tmp_path, tracker)
    trainer.step = 5
    tracker.tested(trainer, trainer_evaluation(trainer))
    (*_, (_, test, tested_at), (_, valid, valid_at)) = [call for call in tracker.calls if call[0] == "log"]
    assert tested_at == valid_at == 10 and all(tag.startswith("test/") for tag in test)
    assert valid == {tag: value for tag, ((step, value), *_) in curves(tmp_path).items() if tag in valid and step == 5}
    assert "valid/elbo_nats" in valid and "valid/schedule" not in valid


def test_a_figure_that_is_no_number_is_left_out(tmp_path):
    tracker = Memory(tmp_path)
    tracker._is_open = True
    tracker._log("train", {"gradient_norm": nan, "elbo_nats": 1, "loss": -inf}, 3)
    assert tracker.calls == [("log", {"train/elbo_nats": 1.0}, 3)]


@pytest.mark.parametrize("kind", ["log", "picture", "end"])
def test_one_that_fails_is_left_alone_after_one_warning(kind, tmp_path):
    tracker = Memory(tmp_path, fails=(kind,))
    trainer = fitted(tmp_path, tracker)
    trainer.tell(lambda callback: callback.tested(trainer, trainer_evaluation(trainer)))
    assert trainer.finished and [call[0] for call in tracker.calls].count(kind) == 1
    assert tracker.calls[-1][0] == kind
    (warning,) = tracker.out.getvalue().splitlines()[1:]
    assert (
        warning == "  warning: tracker=memory takes no more (the server http://here:1/api): the run goes on without it."
    )


def test_one_that_cannot_begin_is_a_mistake_of_a_new_run_and_a_warning_of_an_old_one(tmp_path):
    tracker = Memory(tmp_path, fails=("begin",))
    sentence = r"^tracker=memory does not begin \(the server http://here:1/api\): turn it on, or take tracker=none\.$"
    with pytest.raises(VaeklError, match=sentence):
        fitted(tmp_path, tracker)
    trainer = fitted(tmp_path, Memory(tmp_path))
    late = Memory(tmp_path, fails=("begin",))
    late.started(trainer)
    late.logged(trainer, {"elbo_nats": 1.0})
    assert [call[0] for call in late.calls] == ["begin"]
    assert late.out.getvalue().startswith(
        "  warning: tracker=memory does not begin (the server http://here:1/api): turn it on; the run "
    )


def test_a_run_that_goes_on_is_the_same_one_and_one_that_is_trained_again_is_not(tmp_path):
    tracker = Memory(tmp_path)
    fitted(tmp_path, tracker)
    again = Memory(tmp_path)
    fitted(tmp_path, again)
    assert tracker.calls[0] == ("begin", None) and again.calls[0] == ("begin", "run 1")
    assert RunFolder(tmp_path).tracked("wandb") is None
    assert "tracker.json" in RunFolder(tmp_path).clear() and RunFolder(tmp_path).tracked("memory") is None


def test_its_folder_has_a_name_however_it_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Memory(Path(".")).folder.path == tmp_path == Memory(tmp_path).folder.path


def test_a_run_that_stops_or_fails_says_so(tmp_path):
    stopped, failed = Memory(tmp_path / "a"), Memory(tmp_path / "b")
    for tracker in (stopped, failed):
        tracker._is_open = True
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec), steps=10)
    stopped.paused(trainer)
    failed.failed(trainer)
    assert stopped.calls == [("end", "stopped")] and failed.calls == [("end", "failed")]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_library_that_is_missing_is_named_with_its_extra(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    answer = vaekl(tmp_path, "train", f"tracker={name}")
    refused(answer, f"tracker={name} needs {name}", f'pip install "vaekl[{name}]"')
    assert not list(tmp_path.iterdir())


def test_the_tracker_is_no_part_of_what_a_run_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain, tracked = single(["seed=3"]), single(["seed=3", "tracker=wandb", "tracker.mode=offline"])
    assert "tracker" not in plain.content and tracked.content["tracker"]["mode"] == "offline"
    assert plain.path == tracked.path and fingerprint(plain.content) == fingerprint(tracked.content)
    assert plain.content["choices"] == tracked.content["choices"]


def test_mlflow_reads_the_run(tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="needs MLflow, which the project does not: see `make extras`")
    run = trained(tmp_path, "tracker=mlflow", "trainer.patience=1")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    kept = client.get_run(RunFolder(run).tracked("mlflow"))
    assert kept.info.status == "FINISHED" and kept.info.run_name == "run"
    assert kept.data.params["likelihood"] == "cb" and kept.data.params["trainer.steps"] == "4"
    figures = results(run)["test"]
    assert kept.data.metrics["test/elbo_nats"] == figures["elbo_nats"]
    assert kept.data.metrics["valid/elbo_nats"] == results(run)["valid"]["elbo_nats"]
    for tag, points in curves(run).items():
        history = [(point.step, point.value) for point in client.get_metric_history(kept.info.run_id, tag)]
        assert history[: len(points)] == points or tag.startswith("test/"), tag
    assert sorted(file.path for file in client.list_artifacts(kept.info.run_id, "images")) == sorted(
        f"images/{name}.png" for name in PICTURES
    )
    named = f"sqlite:///{tmp_path}/mlflow.db"
    answer = vaekl(tmp_path, "resume", "run", "trainer.steps=6", "tracker=mlflow", MLFLOW_TRACKING_URI=named)
    assert answer.code == 0 and "warning" not in answer.out
    longer = client.get_run(kept.info.run_id)
    assert longer.data.metrics["test/elbo_nats"] == results(run)["test"]["elbo_nats"]
    assert longer.data.tags["now.trainer.steps"] == "6"
    assert len(client.search_runs([kept.info.experiment_id])) == 1


def test_wandb_reads_the_run(tmp_path):
    pytest.importorskip("wandb", reason="needs W&B, which the project does not: see `make extras`")
    run = trained(tmp_path, "tracker=wandb", "tracker.mode=offline")
    assert vaekl(tmp_path, "resume", "run", "trainer.steps=6", "tracker=wandb", "tracker.mode=offline").code == 0
    files = sorted(run.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2 and all(RunFolder(run).tracked("wandb") in file.name for file in files)
    config, points = {}, {}
    for file in files:
        for kind, content in wandb_records(file):
            if kind == "run":
                config |= {item.key: item.value_json for item in content.config.update}
            if kind == "history":
                logged = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in content.item}
                for tag in logged if "step" in logged else ():
                    points.setdefault(tag, []).append((logged["step"], logged[tag]))
    assert config["trainer.steps"] == "6"
    for tag, expected in curves(run).items():
        assert set(expected) <= set(points[tag]), tag
    assert all(list(run.glob(f"wandb/*/files/media/images/images/{name}_*.png")) for name in PICTURES)


def wandb_records(file):
    """The kinds and contents of what an offline run would send: a log of LevelDB's form after a head of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, place, whole = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (left := _BLOCK - place % _BLOCK) < 7:
            place += left
            continue
        _, length, part = struct.unpack("<IHB", data[place : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (1, 4):  # the whole of a record, or its last part
            record = wandb_internal_pb2.Record.FromString(whole)
            whole, kind = b"", record.WhichOneof("record_type")
            yield kind, getattr(record, kind) if kind else None
