"""Runs that are missing, broken or hostile are listed, and nothing of a run becomes markup."""

import json
import re
import shutil

import pytest
import yaml
from cli_helpers import contents, refused
from report_cases import Page, load, page, reported, table

from vaekl.store import RunFolder
from vaekl.store.metrics import FIELDS
from vaekl.verbs.report import sweeps
from vaekl.verbs.report.collect import collect
from vaekl.verbs.report.groups import grouped

#: its runs are trained once
pytestmark = pytest.mark.xdist_group("report")

QUICK = ("report.measure=false", "report.pictures=0")


def edited(path, change):
    content = load(path)
    change(content)
    path.write_text(json.dumps(content))


def test_every_kind_of_failure_is_listed_with_its_reason(sweep, undrawn):
    (sweep / "cb_0/results.json").unlink()
    (sweep / "cb_1/results.json").write_text('{"test": {')
    edited(sweep / "beta1_0/results.json", lambda c: c["test"].update(elbo_nats=float("nan")))
    edited(sweep / "beta1_1/results.json", lambda c: c["test"].pop("kl_nats"))
    (sweep / "learned_0/config.yaml").write_text("a: [")
    (sweep / "learned_1/config.yaml").unlink()
    manifest = {
        "schema": 1,
        "runs": {
            "7_gone": {"status": "failed", "reason": "model.latents must be at least 1.", "overrides": []},
            "8_taken": {"status": "finished", "reason": None},
            "cb_0": {"status": "failed", "reason": "the disk is full."},
        },
    }
    (sweep / "manifest.json").write_text(json.dumps(manifest))
    answer = reported(sweep.parent, "sweep", *QUICK)
    assert answer.code == 0, answer.err
    expected = {
        "cb_0": ("failed", "the disk is full.; last logged at step 4"),
        "cb_1": ("broken", "results.json cannot be read (input data was truncated)"),
        "beta1_0": ("broken", "results.json cannot be read (JSON is malformed"),
        "beta1_1": ("broken", "results.json cannot be read (test: object missing required field kl_nats)"),
        "learned_0": ("broken", "cannot be read (as YAML"),
        "learned_1": ("broken", "config.yaml is missing"),
        "7_gone": ("failed", "model.latents must be at least 1."),
        "8_taken": ("missing", "its folder is gone"),
    }
    rows, listed = table(sweep / "report"), page(sweep / "report").tables
    failures = {row[0][0]: row for row in next(t for name, t in listed.items() if name not in _SORTABLE)[1:]}
    assert set(failures) == set(expected) and set(rows) == {*expected, "beta0.1_0", "beta0.1_1"}
    markdown = (sweep / "report/report.md").read_text(encoding="utf-8")
    for name, (status, reason) in expected.items():
        assert failures[name][1][0] == rows[name]["status"] == status
        assert reason in failures[name][2][0] and reason in rows[name]["reason"] and name in answer.out
        assert name.replace("_", "\\_") in markdown
    # a group without a finished run keeps its row
    groups = {row[1][0]: row for row in listed["table-groups"][1:]}
    assert groups["cb_normalizer"][3][0] == "0 of 2"


_SORTABLE = ("table-groups", "table-runs")


@pytest.mark.parametrize("value", [10**400, -(10**400), "x" * 5000, {}, [1], float("inf"), -1, 0])
def test_odd_values_cost_one_run_and_not_the_report(value, sweep, undrawn):
    for name, key in {"cb_0": "batch_size", "cb_1": "steps"}.items():
        config = yaml.safe_load((sweep / name / "config.yaml").read_text())
        config["trainer"][key] = value
        config["seed"] = value
        (sweep / name / "config.yaml").write_text(yaml.safe_dump(config))
    answer = reported(sweep.parent, "sweep", *QUICK)
    assert answer.code == 0, answer.err
    rows = table(sweep / "report")
    assert all(row["status"] == "finished" for name, row in rows.items() if not name.startswith("cb"))


def test_an_unfinished_run_says_how_far_it_came(sweep):
    (sweep / "cb_0/results.json").unlink()
    run = next(run for run in collect([sweep]) if run.name == "cb_0")
    assert (run.status, run.reason) == ("unfinished", "no results.json, last logged at step 4")


def test_jobs_of_a_sweep_that_left_no_folder_are_missing(sweep):
    for number, name in enumerate(("cb_0", "cb_1", "learned_1")):
        (sweep / name).rename(sweep / f"{number + (number == 2)}_{name}")
    task = ["likelihood=cb,gaussian", "seed=0,1", "model.hidden=[16,16]"]
    (sweep / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {"overrides": {"task": task}}}))
    missing = [run for run in collect([sweep]) if run.status == "missing"]
    assert [run.path.name for run in missing] == ["2_"] and "without a folder" in missing[0].reason


@pytest.mark.parametrize("manifest", [None, "{"])
def test_without_a_manifest_no_run_that_is_there_is_called_missing(manifest, sweep):
    task = ["likelihood=cb,gaussian", "seed=0,1"]
    (sweep / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {"overrides": {"task": task}}}))
    if manifest:
        (sweep / "manifest.json").write_text(manifest)
    others = [(run.name, run.status) for run in collect([sweep]) if run.status != "finished"]
    assert others == ([("manifest.json", "broken")] if manifest else [])


def test_a_run_whose_folder_may_not_be_read_is_a_row(sweep, monkeypatch):
    manifest = {"schema": 1, "runs": {"cb_0": {"status": "finished", "reason": None}}}
    (sweep / "manifest.json").write_text(json.dumps(manifest))
    holds_run = RunFolder.holds_run
    monkeypatch.setattr(RunFolder, "holds_run", lambda self: self.path.name != "cb_0" and holds_run(self))
    monkeypatch.setattr(sweeps, "is_readable", lambda folder: folder.name != "cb_0")
    (run,) = (run for run in collect([sweep]) if run.name == "cb_0")
    assert (run.status, run.reason) == ("broken", "you may not look into its folder: make that readable")


def test_runs_of_equal_names_are_told_apart(sweep):
    shutil.copytree(sweep, sweep.parent / "other")
    names = [run.name for run in collect([sweep, sweep.parent / "other", sweep / "cb_0"])]
    assert len(names) == len(set(names)) == 16 and str(sweep / "cb_0") in names


@pytest.mark.parametrize(
    "change", [{"iwae": {"k": 1}}, {"protocol": "none"}, {"ruler": 3}, {"ruler": {"bits_per_dim": "<b>"}}]
)
def test_a_damaged_evaluation_is_no_evaluation(sweep, change):
    edited(sweep / "cb_0/eval.json", lambda content: content.update(change))
    run = next(run for run in collect([sweep]) if run.name == "cb_0")
    assert run.finished and run.evaluation is None
    assert run.unmeasured.startswith("not measured: ") and "eval.json cannot be read" in run.unmeasured


def test_a_run_that_the_manifest_calls_running_is_unfinished(sweep):
    (sweep / "cb_0/results.json").unlink()
    (sweep / "manifest.json").write_text(
        json.dumps({"schema": 1, "runs": {"cb_0": {"status": "running", "reason": None}}})
    )
    run = next(run for run in collect([sweep]) if run.name == "cb_0")
    assert (
        run.status == "unfinished" and "still running, on this machine or another: last logged at step 4" in run.reason
    )


def test_a_model_that_cannot_be_loaded_costs_its_pictures_only(sweep, undrawn):
    for seed in (0, 1):
        (sweep / f"cb_{seed}/last.pt").write_bytes(b"no checkpoint")
        (sweep / f"cb_{seed}/eval.json").unlink()
    answer = reported(sweep.parent, "sweep", "report.jobs=1", "report.pictures=2")
    assert answer.code == 0
    html = (sweep / "report/report.html").read_text(encoding="utf-8")
    assert "no pictures of cb_0" in html and "could not be measured" in html
    assert "could not be measured" in table(sweep / "report")["cb_0"]["unmeasured"]


def test_nothing_of_a_run_becomes_markup(sweep, undrawn):
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&{{7*7}}$x_1$|"
    hostile = (sweep / "cb_0").rename(sweep / "<img src=x onerror=alert(3)>")
    config = yaml.safe_load((hostile / "config.yaml").read_text())
    config["weighting"]["note"] = evil
    config["model"]["activation"] = evil
    config["dataset"]["name"] = evil
    (hostile / "config.yaml").write_text(yaml.safe_dump(config))
    edited(hostile / "results.json", lambda c: c.update(weighting=evil))
    edited(hostile / "results.json", lambda c: c["protocol"].update(data=evil, likelihood=evil))
    edited(hostile / "eval.json", lambda c: c["protocol"].update(ruler=evil))
    edited(hostile / "facts.json", lambda c: c.update(command=evil, git_revision=evil, packages={"torch": evil}))
    edited(hostile / "facts.json", lambda c: c["likelihood"].update(name=evil, support=evil))
    edited(hostile / "facts.json", lambda c: c["weighting"].update(name=evil))
    (sweep / "cb_1/results.json").unlink()
    (sweep / "manifest.json").write_text(
        json.dumps({"schema": 1, "runs": {"cb_1": {"status": "failed", "reason": evil}}})
    )
    assert reported(sweep.parent, "sweep", *QUICK).code == 0
    text = (sweep / "report/report.html").read_text(encoding="utf-8")
    shown = Page(text)
    tags = [tag for tag, _ in shown.tags]
    assert tags.count("script") == 1 and tags.count("style") == 1
    assert all(str(attrs["src"]).startswith("data:image/") for tag, attrs in shown.tags if tag == "img")
    assert not any(name.startswith("on") or name in ("style", "href") for _, attrs in shown.tags for name in attrs)
    assert "<script>alert" not in text and "onerror=alert(3)&gt;" in text and "{{7*7}}" in text
    rows = shown.tables["table-groups"]
    assert any(cell == re.sub(r"\s+", " ", evil) for row in rows for cell, _, _ in row)
    lines = (sweep / "report/report.md").read_text(encoding="utf-8").splitlines()
    assert not any("<script" in line for line in lines if not line.startswith("    "))  # commands are blocks of code


def test_the_page_fetches_nothing(made):
    text = (made / "sweep/report/report.html").read_text(encoding="utf-8")
    shown = Page(text)
    assert not re.search(r"https?://", text) and "@import" not in text and not re.search(r"url\((?!data:|#)", text)
    assert {tag for tag, _ in shown.tags}.isdisjoint({"link", "iframe", "object", "embed", "base", "form", "a"})
    policy = next(attrs["content"] for tag, attrs in shown.tags if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy


def test_groups_are_named_by_what_differs_and_only_that(made, sweep):
    names = {group.name for group in grouped(collect([made / "sweep"]))}
    assert names == {
        "likelihood=gaussian weighting=fixed_beta weighting.beta=0.1",
        "likelihood=gaussian weighting=fixed_beta weighting.beta=1",
        "likelihood=gaussian weighting=learned_precision",
        "likelihood=cb weighting=cb_normalizer",
    }
    groups = grouped(collect([sweep / "beta0.1_0", sweep / "beta1_0"]))
    assert {group.name for group in groups} == {"weighting.beta=0.1", "weighting.beta=1"}
    assert len({group.series for group in groups}) == 1
    (alone,) = grouped(collect([sweep / "cb_0", sweep / "cb_1"]))
    assert alone.name == "all runs" and len(alone.counted) == 2
    for name, key, value in (("cb_0", "lr", 0.1), ("cb_1", "lr", 0.2)):
        config = yaml.safe_load((sweep / name / "config.yaml").read_text())
        config["optim"][key], config["run_name"], config["trainer"]["log_every"] = value, name, int(10 * value)
        (sweep / name / "config.yaml").write_text(yaml.safe_dump(config))
    groups = grouped(collect([sweep / "cb_0", sweep / "cb_1"]))
    assert {group.name for group in groups} == {"optim.lr=0.1", "optim.lr=0.2"}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("nowhere",), ("nowhere holds no run (nothing is there): give a folder that `vaekl train` made.",)),
        (("empty",), ("empty holds no run",)),
        (("sweep", "report.measure=perhaps"), ("report.measure must be true or false",)),
        (("sweep", "report.pictures=-1"), ("report.pictures must be a whole number from 0",)),
        (("sweep", "report.jobs=0"), ("report.jobs must be null or a whole number from 1",)),
        (("sweep", "report.seed=x"), ("report.seed must be a whole number",)),
        (("sweep", "report.colour=red"), ("there is no key report.colour",)),
        (("sweep", "dataset=mnist"), ("runs on their own data",)),
        (("sweep", "report.output="), ("report",)),
        (("sweep", "report.output=file/here"), ("file is no folder", "set report.output=FOLDER")),
        (("file",), ("file is a file, and neither a run folder nor a checkpoint: give a folder that",)),
        (("/dev/null",), ("/dev/null is neither a file nor a folder: give a folder that `vaekl train` made.",)),
        ((), ("report needs a run folder",)),
    ],
)
def test_mistakes_are_answered_with_a_sentence(made, undrawn, tmp_path, words, parts):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "sweep").symlink_to(made / "sweep")
    if words == ("sweep", "report.output="):
        # an empty value is the default
        shutil.copytree(made / "sweep/cb_0", tmp_path / "one")
        assert reported(tmp_path, "one", "report.output=", *QUICK).code == 0
        return
    refused(reported(tmp_path, *words), *parts)


def test_the_report_writes_into_its_folder_alone_and_takes_away_its_old_figures(sweep, undrawn):
    before = contents(sweep)
    out = sweep.parent / "paper"
    (out / "figures").mkdir(parents=True)
    (out / "figures/samples_mean.png").write_bytes(b"old")
    (out / "figures/mine.png").write_bytes(b"mine")
    assert reported(sweep.parent, "sweep", "report.output=paper", *QUICK).code == 0
    assert contents(sweep) == before
    names = {path.name for path in (out / "figures").iterdir()}
    assert "mine.png" in names and "samples_mean.png" not in names and "calibration.svg" in names


def test_a_long_log_costs_no_memory_and_no_second(sweep):
    log = sweep / "cb_0" / "metrics.csv"
    place = {name: number for number, name in enumerate(FIELDS)}

    def row(step):
        cells = [str(step), "train", *[""] * (len(FIELDS) - 2)]
        for name, value in {"implied_sigma": step / 1e6, "rmse": 0.5, "images_per_second": 100 + step % 7}.items():
            cells[place[name]] = str(value)
        return ",".join(cells)

    log.write_text("\n".join([",".join(FIELDS), *map(row, range(10, 500_000, 10))]) + "\n")
    run = next(run for run in collect([sweep]) if run.name == "cb_0")
    assert 200 <= len(run.train) <= 401 and run.train[-1]["step"] == 499_990
    # 10 steps at each speed, in images a second
    seconds = sum(10 / (100 + step % 7) for step in range(10, 500_000, 10)) * run.batch_size
    assert run.seconds == pytest.approx(seconds, rel=1e-12)
    assert run.images_per_second == pytest.approx(499_990 * run.batch_size / seconds, rel=1e-12)
    assert all(row["implied_sigma"] == row["step"] / 1e6 for row in run.train)


def test_a_manifest_that_is_a_link_to_itself_is_a_broken_one(tmp_path):
    (tmp_path / "manifest.json").symlink_to("manifest.json")
    (run,) = collect([tmp_path])
    assert run.status == "broken" and "it is a link" in run.reason
