"""`report=true`: a report at the end of a sweep, of the runs that are finished."""

import io
from contextlib import suppress

import pytest
from cli_helpers import SMALL, refused, vaekl

from vaekl.store import manifest
from vaekl.sweep import ending, parse, plan
from vaekl.system.console import Console
from vaekl.system.errors import VaeklError
from vaekl.verbs import report

SERIAL = "hydra/launcher=basic"
#: of these two runs one is refused
TWO = ("train", "-m", SERIAL, *SMALL, "likelihood=cb", "weighting=auto,learned_precision")


def test_those_that_are_finished_are_reported_though_one_has_failed(tmp_path, monkeypatch):
    folders = []
    monkeypatch.setattr(report, "main", lambda words: folders.extend(words.runs))
    answer = vaekl(tmp_path, *TWO, "report=true")
    (sweep,) = (tmp_path / "outputs").glob("sweep_*")
    assert answer.code == 1 and "1 of 2 runs failed" in answer.err and folders == [sweep]
    assert "2 runs, 1 at a time with" in answer.out and "and the report's evaluation of 2 runs" in answer.out


def ended(sweep, *statuses):
    """The folder of a sweep of as many runs that ended so in the session s."""
    sweep.mkdir()
    for number, status in enumerate(statuses):
        with suppress(VaeklError), manifest.recorded(sweep / f"run{number}", [], "s"):
            if status == "failed":
                raise VaeklError("no.")
    return sweep


def closed(sweep, runs, make_report, *words):
    """What is said at the end of such a sweep of two seeds."""
    out = io.StringIO()
    asked = parse.read(["-m", f"seed=range({runs})", *words], [], report=make_report is not None)
    try:
        ending.close(sweep, "s", asked, Console(out), make_report)
    except VaeklError as error:
        return f"{out.getvalue()}vaekl: {error}"
    return out.getvalue()


def test_a_report_is_made_where_it_was_asked_for_and_something_is_finished(tmp_path):
    made = []
    both = ended(tmp_path / "both", "finished", "finished")
    assert "vaekl:" not in closed(both, 2, lambda *words: made.append(words)) and made == [(both, [])]
    assert "  report      vaekl report" in closed(both, 2, None) and len(made) == 1
    none = ended(tmp_path / "none", "failed", "failed")
    assert "vaekl: 2 of 2 runs failed" in closed(none, 2, lambda *words: made.append(words)) and len(made) == 1


def test_a_report_that_fails_hides_no_run_that_did(tmp_path):
    def fails(path, trusted):
        raise VaeklError("the disk is full.")

    one = closed(ended(tmp_path / "one", "finished", "failed"), 2, fails)
    assert "  report      the disk is full." in one and "vaekl: 1 of 2 runs failed" in one
    left = closed(ended(tmp_path / "left", "finished"), 2, fails)
    assert "  report      the disk is full." in left and "vaekl: 1 of 2 runs were stopped" in left
    assert closed(ended(tmp_path / "both", "finished", "finished"), 2, fails).endswith("vaekl: the disk is full.")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("report=true",), ("at the end of a sweep", "vaekl report RUN")),
        (("-m", "seed=0,1", "report=yes"), ("report=yes", "true")),
        (
            ("-m", "seed=0,1", "report=true", "hydra/launcher=submitit_slurm"),
            ("login node", "vaekl report outputs/sweep_seed_"),
        ),
    ],
)
def test_what_cannot_be_reported_is_said_before_anything_is_trained(words, parts, tmp_path, monkeypatch):
    monkeypatch.setattr(parse, "find_spec", lambda _: True)
    refused(vaekl(tmp_path, "train", *words), *parts)
    assert not list(tmp_path.iterdir())


def test_the_word_changes_no_folder():
    words, asked = parse.reported(["-m", "seed=0,1", "report=false", "report=true"])
    assert asked and words == ["-m", "seed=0,1"]
    assert parse.read(words, [], report=True).folder() == parse.read(words, []).folder()


def test_the_plan_names_the_evaluation_and_its_time(monkeypatch):
    monkeypatch.setattr(plan, "allowed_cores", lambda: 4)
    trial = plan.Trial(600, 4, 1e9, 100, "cpu", evaluation=30.0)
    text = plan.Plan(12, 3, 4, 1, "4 cores", trial, to_evaluate=12).text()
    # nine runs of ten minutes and twelve evaluations of half a minute, four at a time: three rounds of each
    assert text.endswith("; about 30 min, and about 94 s for the report's evaluation")
    # on a GPU one after the other
    on_gpu = plan.Plan(12, 3, 1, 1, "", plan.replace(trial, device="cuda"), to_evaluate=12)
    assert on_gpu.text().endswith("and about 6 min for the report's evaluation")
    assert "report" not in plan.Plan(12, 3, 4, 1, "4 cores", trial).text()
    assert plan.Plan(3, 3, 3, 1, "", to_evaluate=2).text() == (
        "3 runs, all finished before, and the report's evaluation of 2 runs"
    )


@pytest.mark.nightly
def test_a_trial_times_the_evaluation_and_a_sweep_ends_with_its_report(tmp_path):
    words = ("train", "-m", "seed=0,1", *SMALL, "report=true", "hydra.launcher.n_jobs=1")
    answer = vaekl(tmp_path, *words)
    assert answer.code == 0, answer.err
    assert "for the report's evaluation" in answer.out
    (page,) = (tmp_path / "outputs").glob("sweep_*/report/report.html")
    assert len(list(page.parents[1].glob("*/eval.json"))) == 2
