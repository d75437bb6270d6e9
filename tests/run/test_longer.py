"""A run that is given more steps is the run that was typed with them, to the last bit; or it is refused."""

import contextlib
import shlex
import shutil

import pytest
import torch
from cli_helpers import contents, refused, results, rows, trained, vaekl

from vaekl.config.job import single
from vaekl.run import start
from vaekl.store import RunFolder, config

#: by what they try: the words of the run, its first length and its second
EXACT = {
    "between logs and validations": (
        # the last validation of the shorter run is not its best
        ("trainer.patience=4", "optim.lr=0.3", "seed=1", "trainer.valid_every=3", "trainer.log_every=4"),
        "steps=5",
        "steps=10",
    ),
}
EXACT_TOO = {
    "epochs": (("trainer.steps=null", "trainer.batch_size=500", "trainer.ema=0.9"), "epochs=2", "epochs=4"),
    "an end between logs": (("trainer.log_every=3",), "steps=5", "steps=9"),
    "an end before the first log": (("trainer.log_every=50", "trainer.valid_every=3"), "steps=4", "steps=7"),
    "early stopping": (("trainer.patience=3", "optim.lr=0.01"), "steps=4", "steps=9"),
    "schedules in steps": (("schedule=linear", "schedule.steps=3", "lr_schedule.warmup_steps=2"), "steps=5", "steps=8"),
    "a control": (("control=geco", "control.rmse=0.2", "weighting=auto", "likelihood=gaussian"), "steps=5", "steps=8"),
}
CASES = [*EXACT, *(pytest.param(case, marks=pytest.mark.nightly) for case in EXACT_TOO)]


def same(a, b):
    """Whether two states agree in every bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0)) if a.is_floating_point() else torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def state(file):
    return torch.load(file, weights_only=True)["state"]


def check_equal(run, whole):
    assert results(run) == results(whole)
    assert (run / "config.yaml").read_text() == (whole / "config.yaml").read_text()
    speed = {"images_per_second": ""}
    assert [row | speed for row in rows(run)] == [row | speed for row in rows(whole)]
    names = {path.name for path in whole.glob("*.pt")}
    assert names == {path.name for path in run.glob("*.pt")}
    for name in names:
        assert same(state(run / name), state(whole / name)), name


@pytest.mark.parametrize("case", CASES)
def test_more_steps_give_the_run_that_was_typed_with_them(tmp_path, case):
    words, short, long = (EXACT | EXACT_TOO)[case]
    run = trained(tmp_path, *words, f"trainer.{short}")
    (tmp_path / "typed").mkdir()
    whole = trained(tmp_path / "typed", *words, f"trainer.{long}")
    answer = vaekl(tmp_path, "resume", "run", f"trainer.{long}")
    assert answer.code == 0, answer.err
    assert f"resumed at step {state(run / 'last.pt')['step']}" not in answer.out and "resumed at step" in answer.out
    check_equal(run, whole)
    assert "nothing to resume" in vaekl(tmp_path, "resume", "run").out


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same run with four more steps from the start."""
    return trained(tmp_path_factory.mktemp("whole"), "trainer.steps=8")


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.mark.parametrize(
    ("module", "function", "is_longer"), [(config, "write", False), (start, "_complete", True)], ids=["before", "after"]
)
def test_stopped_before_its_config_is_written_it_is_the_shorter_run_and_after_it_the_longer_one(
    module, function, is_longer, run, finished, whole, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, function, stop)
        assert vaekl(run.parent, "resume", "run", "trainer.steps=8").code == 130
    assert not (run / "results.json").exists()
    assert vaekl(run.parent, "resume", "run").code == 0
    if not is_longer:
        assert results(run) == results(finished)
        assert vaekl(run.parent, "resume", "run", "trainer.steps=8").code == 0
    check_equal(run, whole)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("trainer.patience=9", "trainer.valid_every=4", "trainer.steps=5"), "the validation at its end was its best"),
        (("trainer.on_nan=restore", "trainer.valid_every=4", "trainer.steps=5"), "no checkpoint at step 5"),
    ],
)
@pytest.mark.parametrize("has_results", [True, False])
def test_what_only_the_shorter_run_did_at_its_end_is_refused(words, part, has_results, tmp_path):
    run = trained(tmp_path, *words)
    if not has_results:  # killed after the checkpoint of its last step
        (run / "results.json").unlink()
    before = contents(run)
    refused(vaekl(tmp_path, "resume", "run", "trainer.steps=9"), part, "train one from its first step", "init=/")
    assert contents(run) == before


def test_a_length_beyond_all_measure_is_refused(run):
    refused(vaekl(run.parent, "resume", "run", f"trainer.steps={'9' * 300}"), "trainer.steps=999", "whole number")


def test_a_run_that_was_stopped_gets_more_steps_too(run, whole):
    (run / "results.json").unlink()
    assert vaekl(run.parent, "resume", "run", "trainer.steps=8").code == 0
    check_equal(run, whole)


#: by what is wrong: the words of the run, those of the resume and parts of the sentence
BOTH_WAYS = ("vaekl train ...", "init=")
REFUSED = {
    "a cosine": (("lr_schedule=cosine",), ("trainer.steps=9",), ("lr_schedule=cosine", *BOTH_WAYS)),
    "early stopping": (
        ("trainer.patience=1", "optim.lr=1", "trainer.steps=40"),
        ("trainer.steps=50",),
        ("trainer.patience=1", *BOTH_WAYS),
    ),
    "fewer": ((), ("trainer.steps=3",), ("of 4 steps", "give more")),
    "as many": ((), ("trainer.steps=4",), ("of 4 steps", "vaekl resume run")),
    "both": ((), ("trainer.steps=9", "trainer.epochs=3"), ("trainer.steps=9 and trainer.epochs=3",)),
    "epochs beside steps": ((), ("trainer.epochs=3",), ("trainer.steps=4",)),
    "nothing": ((), ("trainer.steps=null",), ("trainer.steps", "whole number")),
    "a word": ((), ("trainer.steps=many",), ("trainer.steps=many", "whole number")),
    "below one": ((), ("trainer.steps=0",), ("trainer.steps", "from 1")),
    "several": ((), ("trainer.steps=8,9",), ("trainer.steps=8,9", "whole number")),
    "another setting": ((), ("optim.lr=1",), ("optim.lr", "init=RUN")),
}
REFUSED_TOO = {
    "a fraction": (("schedule=linear",), ("trainer.steps=9",), ("schedule=linear", *BOTH_WAYS)),
    "cycles": (("schedule=cyclical", "schedule.cycles=2"), ("trainer.steps=8",), ("schedule=cyclical", *BOTH_WAYS)),
}
MISTAKES = [*REFUSED, *(pytest.param(case, marks=pytest.mark.nightly) for case in REFUSED_TOO)]


@pytest.mark.parametrize("case", MISTAKES)
def test_what_would_be_another_run_is_refused_and_nothing_is_changed(tmp_path, finished, case):
    words, change, parts = (REFUSED | REFUSED_TOO)[case]
    run = trained(tmp_path, *words) if words else shutil.copytree(finished, tmp_path / "run")
    before = contents(run)
    refused(vaekl(tmp_path, "resume", "run", *change), *parts)
    assert contents(run) == before


def test_resume_again_says_what_trains_a_run_once_more(tmp_path, finished):
    shutil.copytree(finished, tmp_path / "a b")
    sentence = refused(vaekl(tmp_path, "resume", "a b", "--again"), "from its first step", "--again")
    words = shlex.split(sentence.split("`")[1])
    assert words[:2] == ["vaekl", "train"] and words[-1] == "--again"
    with contextlib.chdir(tmp_path):
        job = single(words[2:])
    assert job.again and job.path == tmp_path / "a b" and RunFolder(job.path).is_run_of(job.content)
    refused(vaekl(tmp_path, "resume", "--again"), "vaekl train ... --again")


def test_a_finished_run_without_its_last_checkpoint_is_not_begun_again(run):
    (run / "last.pt").unlink()
    before = contents(run)
    refused(vaekl(run.parent, "resume", "run", "trainer.steps=8"), "last.pt")
    assert contents(run) == before


def test_a_folder_that_holds_the_same_run_of_another_length_says_so(tmp_path):
    words = ("train", "hydra.run.dir=run", "model.hidden=[4]", "model.latents=2")
    assert vaekl(tmp_path, *words, "trainer.steps=2").code == 0
    assert vaekl(tmp_path, "resume", "run", "trainer.steps=4").code == 0
    refused(vaekl(tmp_path, *words, "trainer.steps=2"), "holds this run with trainer.steps=4, not 2")
    refused(vaekl(tmp_path, *words, "trainer.steps=2", "seed=1"), "of another config")
    assert vaekl(tmp_path, *words, "trainer.steps=4").code == 0
