"""What is printed equals what the runs' own files say."""

import csv
import json
import math
import shlex
import shutil
import statistics
from importlib.metadata import version

import pytest
from report_cases import RUNS, load, page, reported, table

from vaekl.config.job import single
from vaekl.store import RunFolder, fingerprint
from vaekl.verbs.report import prose
from vaekl.verbs.report.collect import collect
from vaekl.verbs.report.groups import Stat

#: its runs are trained once
pytestmark = pytest.mark.xdist_group("report")

OF_RESULTS = {
    "elbo_nats": "elbo_nats",
    "rate_nats": "kl_nats",
    "active_units": "active_units",
    "effective_beta_kl": "effective_beta_kl",
    "information_weight": "information_weight",
    "implied_sigma": "implied_sigma",
    "rmse": "rmse",
}


def test_runs_csv_has_each_run_s_own_figures_to_the_last_digit(made):
    rows = table(made / "sweep/report")
    assert set(rows) == set(RUNS)
    for name, row in rows.items():
        test, evaluation = (
            load(made / "sweep" / name / "results.json")["test"],
            load(made / "sweep" / name / "eval.json"),
        )
        for key, of in OF_RESULTS.items():
            assert float(row[key]) == test[of]
        assert float(row["distortion_nats"]) == test["energy_nats"] - test["log_norm_const_nats"]
        assert float(row["ruler_bits_per_dim"]) == evaluation["ruler"]["bits_per_dim"]
        assert float(row["iwae_nats"]) == evaluation["iwae"][-1]["nats"] and row["iwae_k"] == "50"
        assert row["status"] == "finished" and row["counted"] == "True"
        verb, again = shlex.split(row["command"])[:2], single(shlex.split(row["command"])[2:])
        assert verb == ["vaekl", "train"]
        assert fingerprint(again.content) == fingerprint(RunFolder(made / "sweep" / name).config())


def printed(values, digits):
    mean = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:,.{digits}f} ± {error:,.{digits}f}".replace("-", "−"), mean


def test_the_page_folds_seeds_into_mean_and_standard_error(made):
    head, *rows = page(made / "sweep/report").tables["table-groups"]
    titles = [text for text, _, _ in head]
    assert titles[:4] == ["likelihood", "weighting", "weighting.beta", "n"] and len(rows) == 4
    text = (made / "sweep/report/report.md").read_text(encoding="utf-8")
    assert "\n    vaekl train likelihood=gaussian" in text  # as it is typed
    for row in rows:
        cells = dict(zip(titles, row, strict=True))
        prefix = {"cb": "cb", "learned_precision": "learned"}.get(cells["likelihood"][0]) or (
            "learned" if cells["weighting"][0] == "learned_precision" else f"beta{cells['weighting.beta'][0]}"
        )
        runs = [made / "sweep" / f"{prefix}_{seed}" for seed in (0, 1)]
        ruler = [load(run / "eval.json")["ruler"]["bits_per_dim"] for run in runs]
        elbo = [load(run / "results.json")["test"]["elbo_nats"] for run in runs]
        for title, values, digits in (("bits/dim, fair ruler", ruler, 4), ("ELBO, nats", elbo, 2)):
            words, mean = printed(values, digits)
            assert cells[title][0] == words
            assert float(cells[title][1]) == pytest.approx(mean, rel=1e-12)
            assert words.replace(" ±", "** ±") in text or words in text
        assert cells["n"][0] == "2"


def test_the_best_is_bold_only_among_what_can_be_compared(made):
    head, *rows = page(made / "sweep/report").tables["table-groups"]
    titles = [text for text, _, _ in head]
    ruler, elbo, likelihood = (titles.index(t) for t in ("bits/dim, fair ruler", "ELBO, nats", "likelihood"))
    lowest = min(float(row[ruler][1]) for row in rows)
    assert [row[ruler][2] for row in rows] == [float(row[ruler][1]) == lowest for row in rows]
    # the continuous Bernoulli's ELBO is the only one on [0, 1]: nothing to be better than
    gaussians = max(float(row[elbo][1]) for row in rows if row[likelihood][0] == "gaussian")
    assert [row[elbo][2] for row in rows] == [
        row[likelihood][0] == "gaussian" and float(row[elbo][1]) == gaussians for row in rows
    ]
    assert not any(bold for row in rows for place, (_, _, bold) in enumerate(row) if place not in (ruler, elbo))


def test_stat_is_that_of_the_statistics_module():
    values = [2.5, 3.25, 11.0, -4.0]
    stat = Stat.of(values)
    assert stat.mean == pytest.approx(statistics.fmean(values))
    assert stat.error == pytest.approx(statistics.stdev(values) / 2)
    assert Stat.of([3.0]) == Stat(1, 3.0, None)


def test_without_measuring_the_ruler_says_so(sweep, undrawn):
    (sweep / "cb_0/eval.json").unlink()
    (sweep / "cb_1/eval.json").unlink()
    answer = reported(sweep.parent, "sweep", "report.measure=false", "report.pictures=0")
    assert answer.code == 0 and not (sweep / "cb_0/eval.json").exists()
    rows = page(sweep / "report").tables["table-groups"]
    assert [row[4][0] for row in rows if row[0][0] == "cb"] == ["not measured"]
    assert table(sweep / "report")["cb_0"]["unmeasured"] == "not measured"


def test_an_evaluation_of_another_checkpoint_or_other_data_is_not_taken(sweep, undrawn):
    for name, key, value in (("cb_0", "step", 3), ("cb_1", "changes", ["transform=scale"])):
        content = load(sweep / name / "eval.json") | {key: value}
        (sweep / name / "eval.json").write_text(json.dumps(content))
    assert reported(sweep.parent, "sweep", "report.measure=false", "report.pictures=0").code == 0
    rows = table(sweep / "report")
    assert rows["cb_0"]["ruler_bits_per_dim"] == rows["cb_1"]["ruler_bits_per_dim"] == ""
    assert "another checkpoint" in rows["cb_0"]["unmeasured"] and "other data" in rows["cb_1"]["unmeasured"]


def test_training_seconds_are_steps_times_batch_over_speed(made):
    run = collect([made / "sweep/cb_0"])[0]
    with (made / "sweep/cb_0/metrics.csv").open(newline="") as file:
        speeds = [float(row["images_per_second"]) for row in csv.DictReader(file) if row["split"] == "train"]
    assert len(speeds) == 2 and run.seconds == pytest.approx(sum(200 / speed for speed in speeds))
    assert run.images_per_second == pytest.approx(400 / run.seconds)
    assert float(table(made / "sweep/report")["cb_0"]["training_seconds"]) == run.seconds


def test_a_repeated_seed_is_listed_and_not_counted(sweep, undrawn):
    shutil.copytree(sweep / "cb_1", sweep / "cb_again")
    assert reported(sweep.parent, "sweep", "report.pictures=0").code == 0
    rows = table(sweep / "report")
    assert rows["cb_1"]["counted"] == "True" and rows["cb_again"]["counted"] == "False"
    html = (sweep / "report/report.html").read_text(encoding="utf-8")
    assert "cb_again repeats seed 1" in html and "2 of 3" in html


def test_what_was_run_is_in_the_report_with_its_versions(made):
    lines = prose.facts(collect([made / "sweep"]))
    names = ["revision", "vaekl", "python", "torch", "numpy", "data protocol", "fair ruler", "examples", "seeds"]
    assert [name for name in lines if name in names] == names
    assert lines["torch"] == [version("torch")] and lines["seeds"] == ["0, 1"]
    assert len(lines["data protocol"]) == 2 and "(6 runs)" in "".join(lines["data protocol"]), "Gaussian and cb"
    html = (made / "sweep/report/report.html").read_text(encoding="utf-8")
    assert all(name in html for name in names)


@pytest.mark.nightly
def test_the_same_runs_give_the_same_files(made, sweep):
    assert reported(sweep.parent, "sweep", "report.pictures=4").code == 0
    for name in ("runs.csv", "report.md", "report.html", "figures/rate_distortion.svg", "figures/samples_draw.png"):
        assert (sweep / "report" / name).read_bytes() == (made / "sweep/report" / name).read_bytes()


def test_every_figure_is_there_as_png_svg_and_pdf(made):
    names = {
        "rate_distortion",
        "elbo_against_beta",
        "bits_against_beta",
        "ruler",
        "calibration",
        "kl_spectrum",
        "samples_mean",
        "samples_draw",
        "reconstructions",
        "latent_planes",
    }
    files = {path.name for path in (made / "sweep/report/figures").iterdir()}
    drawn = {f"{name}.{kind}" for name in names for kind in ("png", "svg", "pdf")}
    assert files == {*drawn, "table.tex", "captions.txt"}
    assert not list((made / "sweep/report").glob(".*"))


def test_the_report_names_the_versions_that_the_figures_depend_on(made):
    packages = load(made / "sweep/cb_0/facts.json")["packages"]
    text = (made / "sweep/report/report.md").read_text(encoding="utf-8")
    for name in ("vaekl", "torch", "numpy"):
        assert f"- {name}: {packages[name]}" in text
    assert "- python: " in text and "- data protocol: " in text


def test_what_a_group_s_control_holds_stands_beside_what_it_reached(sweep, undrawn):
    for seed, kl in ((0, 19.0), (1, 23.0)):
        run = sweep / f"cb_{seed}"
        facts, results = load(run / "facts.json"), load(run / "results.json")
        facts["control"]["target_kl_nats"], results["test"]["kl_nats"] = 20.0, kl
        (run / "facts.json").write_text(json.dumps(facts))
        (run / "results.json").write_text(json.dumps(results))
    assert reported(sweep.parent, "sweep", "report.measure=false", "report.pictures=0").code == 0
    text = (sweep / "report/report.md").read_text(encoding="utf-8")
    assert text.count("holds a target") == 1 and "holds a target: KL, target: 21.000, 20 (+5.0 %)." in text
