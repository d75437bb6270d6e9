"""Folders of a stranger's with links in them: nothing that vaekl writes comes to where a link leads.

Every name that is written is a link to the user's own files at once. A verb that refuses one names it: that one is put
back as it was, and the verb is typed again until it does its work.
"""

import os
import shutil
import socket
import time
from itertools import cycle, islice

import pytest
from cli_helpers import SMALL, contents, refused, trained, vaekl
from tensorboard.summary.writer import event_file_writer

from vaekl.system import files
from vaekl.system.workers import PARENT
from vaekl.verbs.report import style

VERBS = {
    "train": ["hydra.run.dir=sweep/run", *SMALL],
    "eval": ["sweep", "eval.k=1", "eval.images=8"],
    "sample": ["sweep/run", "sample.count=1"],
    "encode": ["sweep/run"],
    "score": ["sweep/run", "score.k=1"],
    "report": ["sweep", "report.pictures=0", "report.measure=false"],
}
#: a run of a sweep writes a log, and says how far it is
IN_WORKER = {PARENT: f"{socket.gethostname()}:1"}
#: what is there only while something happens, or in other runs
OTHERS = (
    "last.damaged.pt", "previous.pt", "best.pt", ".progress.json", ".progress.json.partial", ".lock", ".attempt.lock",
)  # fmt: skip


class CarelessLock:
    """As of filelock 3.13.1: it goes through a link, and empties what it finds."""

    def __init__(self, path, timeout=-1):
        self.path = path

    def __enter__(self):
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC))

    def __exit__(self, *_):
        pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with a sweep of one run, at which every verb has looked."""
    folder = tmp_path_factory.mktemp("links")
    (folder / "sweep").mkdir()
    trained(folder).rename(folder / "sweep" / "run")
    for verb, words in VERBS.items():
        assert vaekl(folder, verb, *words).code == 0
    return folder


@pytest.fixture
def there(whole, tmp_path, monkeypatch):
    """A copy of it, beside the user's own files."""
    monkeypatch.setattr(files, "FileLock", CarelessLock)
    monkeypatch.setattr(style, "rendered", lambda *_: b'<svg xmlns="http://www.w3.org/2000/svg"/>')
    folder = shutil.copytree(whole, tmp_path / "there")
    (tmp_path / "mine" / "letters").mkdir(parents=True)
    (tmp_path / "mine" / "diary").write_text("step,split\n")
    (tmp_path / "mine" / "letters" / "letter").write_text("dear")
    return folder


def check_untouched(mine):
    assert contents(mine) == {"diary": b"step,split\n", "letters/letter": b"dear"}
    assert sorted(path.name for path in mine.rglob("*")) == ["diary", "letter", "letters"]


def names_of(folder):
    """Every file that is there or may be, with what is in it."""
    files_there = contents(folder)
    names = {name: files_there.get(name) for name in (*files_there, *(f"sweep/run/{name}" for name in OTHERS))}
    for name in list(names):
        place, _, file = name.rpartition("/")
        names |= {f"{place}/.{file}.partial": None, f"{place}/.{file.rpartition('.')[0]}.lock": None}
    return names | {"sweep/logs/run.log": None, "sweep/report/.writable": None}


def mended_one_by_one(there, verb, names):
    """Type a verb until it does its work, each time with the file put back that it refused; yields its sentences."""
    while (answer := vaekl(there, verb, *VERBS[verb], **IN_WORKER)).code != 0:
        yield (sentence := refused(answer))
        name = max((name for name in names if name in sentence), key=len)
        (there / name).unlink()
        if (content := names.pop(name)) is not None:
            (there / name).write_bytes(content)


@pytest.mark.parametrize("turn", [0, *(pytest.param(turn, marks=pytest.mark.nightly) for turn in (1, 2))])
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_written_through_a_link(verb, turn, there, tmp_path):
    """A tar of links would else be a hand on every file of the user's."""
    mine, names = tmp_path / "mine", names_of(there)
    (there / "sweep" / "logs").mkdir()
    if verb == "train":
        names["sweep/run/results.json"] = None
    targets = islice(cycle([mine / "diary", mine / "new", mine / "letters"]), turn, None)
    for name, target in zip(names, targets, strict=False):
        (there / name).unlink(missing_ok=True)
        (there / name).symlink_to(target)
    for sentence in mended_one_by_one(there, verb, names):
        assert "a link" in sentence
        check_untouched(mine)
    check_untouched(mine)


@pytest.mark.parametrize("strange", ["pipe", "hole"])
@pytest.mark.parametrize("verb", VERBS)
def test_no_pipe_is_waited_for_and_no_endless_file_read(verb, strange, there):
    names = names_of(there)
    (there / "sweep" / "logs").mkdir()
    if verb == "train":
        names["sweep/run/results.json"] = None
    for name in names:
        (there / name).unlink(missing_ok=True)
        if strange == "pipe":
            os.mkfifo(there / name)
        else:
            (there / name).touch()
            os.truncate(there / name, 1 << 40)
    for sentence in mended_one_by_one(there, verb, names):
        assert ("a pipe" if strange == "pipe" else "bytes") in sentence


@pytest.mark.parametrize("leads_to", ["letters", "new"])
@pytest.mark.parametrize(
    ("verb", "folder"),
    [("train", "sweep/logs"), ("sample", "sweep/run/samples"), ("encode", "sweep/run/latents"),
     ("score", "sweep/run/scores"), ("report", "sweep/report/figures"), ("report", "sweep/report")],
)  # fmt: skip
def test_a_folder_inside_that_is_a_link_is_refused(verb, folder, leads_to, there, tmp_path):
    shutil.rmtree(there / folder, ignore_errors=True)
    (there / folder).symlink_to(tmp_path / "mine" / leads_to)
    refused(vaekl(there, verb, *VERBS[verb], **IN_WORKER), f"{folder} is a link", "take it away")
    check_untouched(tmp_path / "mine")


def test_an_event_file_to_come_may_be_no_link(there, tmp_path):
    """TensorBoard would write through it; its name is the second, the machine and the process."""
    (there / "sweep/run/results.json").unlink()
    number = event_file_writer._global_uid._value
    for second in range(int(time.time()), int(time.time()) + 20):
        name = f"events.out.tfevents.{second}.{socket.gethostname()}.{os.getpid()}.{number}"
        (there / "sweep/run" / name).symlink_to(tmp_path / "mine" / "diary")
    refused(vaekl(there, "resume", "sweep/run"), "sweep/run/events.out.tfevents", "is a link")
    check_untouched(tmp_path / "mine")


@pytest.mark.parametrize(
    ("name", "leads_to"),
    [("multirun.yaml", "diary"), (".manifest.lock", "new"), ("seed=0_f40baded", "letters"), (".stop", "diary"),
     (".submitit/1/1_submitted.pkl", "new"), ("logs", "letters"), ("optimization_results.yaml", "diary")],
)  # fmt: skip
def test_a_sweep_does_not_go_on_with_a_link_in_its_folder(name, leads_to, there, tmp_path):
    """Hydra, submitit and Optuna write there too."""
    place = there / "swept" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "mine" / leads_to)
    words = ("train", "-m", "seed=0,1", "hydra/launcher=basic", "hydra.sweep.dir=swept", *SMALL)
    refused(vaekl(there, *words), f"swept/{name} is a link", "take it away")
    assert contents(there / "swept").keys() <= {name}
    check_untouched(tmp_path / "mine")


@pytest.mark.parametrize("words", [[], ["-m", "seed=0,1", "hydra/launcher=basic"]])
def test_a_folder_that_the_words_lead_to_may_be_no_link_and_one_that_is_named_may(words, there, tmp_path):
    """A stranger's project may hold outputs/ with the names of runs to come; the user's outputs/ may lie elsewhere."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (there / "outputs").symlink_to(disk)
    assert vaekl(there, "train", *SMALL, *words).code == 0
    (made,) = disk.iterdir()
    assert list(made.rglob("results.json"))
    made.rename(tmp_path / "moved")
    made.symlink_to(tmp_path / "mine" / "letters")
    refused(vaekl(there, "train", *SMALL, *words), f"outputs/{made.name} is a link")
    check_untouched(tmp_path / "mine")
    if not words:
        (there / "named").symlink_to(tmp_path / "moved")
        assert vaekl(there, "resume", "named").code == 0
        assert vaekl(there, "train", *SMALL, "hydra.run.dir=named").code == 0


def test_a_run_behind_a_link_is_left_out_and_named(there, tmp_path):
    """eval and report would write into it."""
    shutil.move(there / "sweep/run", tmp_path / "other")
    shutil.copytree(tmp_path / "other", there / "sweep/own")
    (there / "sweep/linked").symlink_to(tmp_path / "other")
    before = contents(tmp_path / "other")
    answer = vaekl(there, *("eval", "sweep", "eval.k=1", "eval.images=9"))
    assert answer.code == 0 and "sweep/linked is left out: it is a link" in answer.out, answer
    answer = vaekl(there, "report", "sweep", "report.pictures=0")
    assert answer.code == 0 and "linked: broken: it is a link" in answer.out, answer
    assert contents(tmp_path / "other") == before
    shutil.rmtree(there / "sweep/own")
    refused(vaekl(there, "eval", "sweep", "eval.k=1"), "sweep/linked is left out (it is a link")
    assert contents(tmp_path / "other") == before
    assert vaekl(there, "eval", "sweep/linked", "eval.k=1", "eval.images=8").code == 0
