"""A folder that somebody else may have written reaches none of the user's trackers; their libraries are stand-ins."""

import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import yaml
from cli_helpers import refused, trained, vaekl

from vaekl.store import RunFolder
from vaekl.system.console import Console
from vaekl.system.errors import VaeklError
from vaekl.training.callbacks.mlflow_tracker import MlflowTracker
from vaekl.training.callbacks.wandb_tracker import WandbTracker

#: what resume says of a folder's own tracker
WARNING = "warning: a tracker that a folder's config names is not believed"


class Store:
    """MLflow's library and its client, with runs in a dict."""

    class MlflowException(Exception):  # noqa: N818  (MLflow's name)
        error_code = "RESOURCE_DOES_NOT_EXIST"

    def __init__(self):
        self.runs, self.metrics, self.artifacts, self.uri = {}, {}, None, None
        self.entities = SimpleNamespace(Param=lambda *values: values, Metric=lambda *values: values)

    def is_tracking_uri_set(self):
        return self.uri is not None

    def get_tracking_uri(self):
        return self.uri

    def MlflowClient(self, tracking_uri):  # noqa: N802  (MLflow's name)
        self.opened = tracking_uri
        return self

    def get_run(self, name):
        if name not in self.runs:
            raise self.MlflowException
        return self.runs[name]

    def get_experiment_by_name(self, name):
        return self.artifacts and SimpleNamespace(experiment_id="1")

    def create_experiment(self, name, artifact_location):
        self.artifacts = artifact_location
        return "1"

    def create_run(self, experiment, run_name, tags):
        name = f"run{len(self.runs)}"
        info = SimpleNamespace(run_id=name, artifact_uri=f"{self.artifacts}/{name}/artifacts", run_name=run_name)
        self.runs[name] = SimpleNamespace(info=info, data=SimpleNamespace(params={}, tags=tags))
        return self.runs[name]

    def update_run(self, name, status):
        pass

    def log_batch(self, name, params=(), metrics=()):
        self.metrics.setdefault(name, []).extend(metrics)


@pytest.fixture
def store(monkeypatch):
    """What MLflow keeps; the user has named no server."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    library = Store()
    monkeypatch.setitem(sys.modules, "mlflow", library)
    return library


@pytest.fixture
def wandb(monkeypatch):
    """W&B's library, which notes what it is called with."""
    library = MagicMock()
    library.init.side_effect = lambda **words: MagicMock(id=words["id"], url="https://somewhere", offline=False)
    monkeypatch.setitem(sys.modules, "wandb", library)
    return library


def tracker(kind, folder):
    """A tracker of a folder with what it has said."""
    folder.mkdir(parents=True, exist_ok=True)
    out = io.StringIO()
    return kind(folder, {}, Console(out)), out


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run whose config and file name trackers of its writer's choice."""
    folder = trained(tmp_path_factory.mktemp("inbox"))
    with (folder / "config.yaml").open("a") as file:
        settings = {"_target_": "vaekl.WandbTracker", "project": "theirs", "entity": "them", "mode": "online"}
        file.write(yaml.safe_dump({"tracker": settings}))
    (folder / "tracker.json").write_text(json.dumps({"schema": 1, "tracker": "wandb", "run": "0123456789abcdef" * 2}))
    return folder


@pytest.fixture
def inbox(run, tmp_path):
    """A folder with a copy of that run."""
    shutil.copytree(run, tmp_path / "run")
    return tmp_path


@pytest.mark.parametrize("length", [(), ("trainer.steps=6",)])
def test_resume_does_not_believe_a_folder_s_tracker(length, inbox, wandb):
    if not length:
        (inbox / "run" / "results.json").unlink()
    answer = vaekl(inbox, "resume", "run", *length)
    assert answer.code == 0, answer.err
    assert answer.out.count(WARNING) == 1 and "add tracker=mlflow or tracker=wandb" in answer.out
    assert not wandb.init.called and (inbox / "run" / "results.json").exists()
    assert RunFolder(inbox / "run").config()["tracker"]["entity"] == "them"


def test_resume_takes_the_tracker_that_is_typed_and_neither_place_nor_name_of_the_folder_s(inbox, wandb):
    answer = vaekl(inbox, "resume", "run", "trainer.steps=6", "tracker=wandb", "tracker.project=mine")
    assert answer.code == 0, answer.err
    (words,) = (call.kwargs for call in wandb.init.call_args_list)
    assert (words["project"], words["entity"], words["mode"]) == ("mine", None, None)
    assert words["id"] == RunFolder(inbox / "run").tracked("wandb") != "0123456789abcdef" * 2
    assert WARNING not in answer.out and f"is not of {inbox / 'run'}: a new one begins" in answer.out


def test_tracker_none_is_typed_without_a_warning(inbox, wandb):
    (inbox / "run" / "results.json").unlink()
    answer = vaekl(inbox, "resume", "run", "tracker=none")
    assert answer.code == 0 and "warning" not in answer.out and not wandb.init.called


@pytest.mark.parametrize("word", ["tracker=wandb,mlflow", "tracker.project=mine"])
def test_a_mistake_in_the_typed_tracker_is_one_sentence(word, inbox, wandb):
    refused(vaekl(inbox, "resume", "run", "trainer.steps=6", word))
    assert not wandb.init.called and not (inbox / "outputs").exists()


def test_resume_writes_to_no_database_beside_a_folder(inbox, store):
    before = sorted(inbox.rglob("*"))
    answer = vaekl(inbox, "resume", "run", "trainer.steps=6", "tracker=mlflow")
    refused(answer, f"set MLFLOW_TRACKING_URI, to sqlite:///{inbox / 'mlflow.db'} if that is yours")
    assert sorted(inbox.rglob("*")) == before and not store.runs


def test_a_copied_name_does_not_lead_into_another_folder_s_run_of_mlflow(tmp_path, store):
    store.uri = "https://user:secret@server"
    mine, _ = tracker(MlflowTracker, tmp_path / "mine")
    name, place = mine.begin(None)
    assert store.opened == store.uri and "secret" not in place
    assert tracker(MlflowTracker, tmp_path / "mine")[0].begin(name)[0] == name
    strange, out = tracker(MlflowTracker, tmp_path / "inbox" / "mine")
    other, _ = strange.begin(name)
    strange.log({"train/loss": 1.0}, 5)
    assert other != name and name not in store.metrics and other in store.metrics
    assert out.getvalue() == (
        f"  warning: run {name} of tracker=mlflow is not of {tmp_path / 'inbox' / 'mine'}: a new one begins.\n"
    )


def test_a_copied_name_does_not_lead_into_another_folder_s_run_of_wandb(tmp_path, wandb):
    name, _ = tracker(WandbTracker, tmp_path / "mine")[0].begin(None)
    assert len(name) == 32 and tracker(WandbTracker, tmp_path / "mine")[0].begin(name)[0] == name
    strange, out = tracker(WandbTracker, tmp_path / "inbox" / "mine")
    assert strange.begin(name)[0] != name and "a new one begins" in out.getvalue()


@pytest.mark.parametrize("kind", [MlflowTracker, WandbTracker])
def test_a_relative_path_is_the_same_folder(kind, tmp_path, monkeypatch, store, wandb):
    name, place = tracker(kind, tmp_path / "run")[0].begin(None)
    monkeypatch.chdir(tmp_path)
    relative = kind(Path("run"), {}, Console(io.StringIO()))
    assert relative.begin(name) == (name, place)


def test_the_database_beside_a_run_keeps_pictures_beside_it_or_is_refused(tmp_path, store):
    store.artifacts = (tmp_path / "home").as_uri()
    with pytest.raises(VaeklError, match=r"the database beside the run folder keeps pictures in file://.*/home/run0"):
        tracker(MlflowTracker, tmp_path / "outputs" / "run")[0].begin(None)


@pytest.mark.parametrize("name", ["mlflow.db", "mlruns"])
def test_no_link_beside_a_run_is_followed(name, tmp_path, store):
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VaeklError, match="a link, and inside of a folder vaekl follows none"):
        tracker(MlflowTracker, tmp_path / "run")[0].begin(None)
    assert not store.runs
