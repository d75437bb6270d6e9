"""A whole suggestion, small: what it says, what it leaves behind, and that the same words go on."""

import json
import re
import signal

import pytest
from cli_helpers import contents, refused, vaekl

from vaekl.run import build_data
from vaekl.store import RunFolder
from vaekl.suggest.judge import Judge

SMALL = (
    "model.hidden=[16]", "trainer.steps=4", "trainer.log_every=2", "images=50", "seeds=2", "jobs=1", "budget=60s",
)  # fmt: skip
WORDS = ("suggest", "dataset=digits", "likelihood=cb,gaussian", "model.latents=4", *SMALL)


def only(folder):
    (place,) = (folder / "outputs").glob("suggest_*")
    return place


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suggest")
    answer = vaekl(folder, *WORDS)
    assert answer.code == 0, answer.err
    return folder, answer


def test_the_card_says_what_suggest_json_holds(done):
    folder, answer = done
    suggestion = json.loads((only(folder) / "suggest.json").read_text())
    best, second = suggestion["finalists"][:2]
    assert " ".join(best["words"]) in answer.out
    assert best["nats"] >= second["nats"] and second["behind_nats"] == pytest.approx(best["nats"] - second["nats"])
    assert best["bits_per_dim"] == pytest.approx(-best["nats"] / (64 * 0.6931471805599453))
    assert f"{best['bits_per_dim']:.4g}" in answer.out
    assert best["seeds"] == 2 and best["seeds_step"] == best["step"] == 4
    assert suggestion["train"] in answer.out and "model.latents=4" in suggestion["train"]
    assert re.search(r"BCE +without its constant would", answer.out)
    assert "β_KL = " in answer.out and "(x − x̂)²" in answer.out
    assert "bernoulli" not in suggestion["unfit"]  # only the likelihoods that were named are looked at


def test_no_run_is_tested_and_each_can_go_on(done):
    folder, _ = done
    runs = [path for path in only(folder).iterdir() if RunFolder(path).holds_run()]
    assert len(runs) >= 5
    assert not any((path / "results.json").exists() for path in runs)
    answer = vaekl(folder, "resume", str(runs[0]))
    assert answer.code == 0, answer.err
    assert (runs[0] / "results.json").exists()


def test_the_same_words_train_nothing_again(done):
    folder, answer = done
    before = {name: data for name, data in contents(only(folder)).items() if name.endswith((".pt", "judged.json"))}
    again = vaekl(folder, *WORDS)
    assert again.code == 0
    after = {name: data for name, data in contents(only(folder)).items() if name.endswith((".pt", "judged.json"))}
    assert after == before
    assert again.out[again.out.index("  use ") :] == answer.out[answer.out.index("  use ") :]


def test_the_page_needs_nothing_else(done):
    page = (only(done[0]) / "suggest.html").read_text()
    assert "vaekl suggest: digits, for density" in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_a_budget_that_is_too_small_tells_nothing_apart(tmp_path, monkeypatch):
    reads, make = [], build_data.make
    monkeypatch.setattr(build_data, "make", lambda group, *more: (reads.append(group), make(group, *more))[1])
    words = [word for word in WORDS if not word.startswith("budget=")]
    answer = vaekl(tmp_path, *words, "budget=0.01s")
    assert answer.code == 0, answer.err
    assert "cannot tell likelihood=" in answer.out and "one seed of each, so that chance is not known" in answer.out
    suggestion = json.loads((only(tmp_path) / "suggest.json").read_text())
    assert not suggestion["is_certain"] and "no time to try it" in suggestion["not_tried"].values()
    assert reads.count("dataset") == 1  # whatever the number of runs
    # a larger budget goes on in the same folder
    assert vaekl(tmp_path, *words, "budget=60s").code == 0
    assert "no time to try it" not in json.loads((only(tmp_path) / "suggest.json").read_text())["not_tried"].values()


def test_ctrl_c_saves_and_the_same_words_go_on(tmp_path, monkeypatch):
    logged = Judge.logged

    def interrupted(self, trainer, figures):
        logged(self, trainer, figures)
        if trainer.step == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Judge, "logged", interrupted)
    words = [word.replace("cb,gaussian", "beta") for word in WORDS]
    answer = vaekl(tmp_path, *words)
    assert answer.code == 130
    assert answer.err.startswith("vaekl: the suggestion was stopped, and what was trained is saved: `vaekl suggest ")
    assert list(only(tmp_path).glob("*/last.pt"))
    monkeypatch.undo()
    assert vaekl(tmp_path, *words).code == 0
    assert (only(tmp_path) / "suggest.json").exists()


def test_data_that_are_refused_leave_no_folder_behind(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    words = ("suggest", "dataset=npz", "dataset.path=missing.npz", "jobs=1", "output_dir=mine/inner")
    refused(vaekl(tmp_path, *words), "missing.npz does not exist", "dataset.path")
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["mine", "notes.txt"]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("aim", "figure"),
    [
        ("reconstruction", "RMSE: "),
        ("representation", "accuracy of the 15 nearest neighbours: "),
        ("samples", "Fréchet distance of the values of draws: "),
    ],
)
def test_other_aims_choose_the_information_weight(tmp_path, aim, figure):
    words = [word.replace("cb,gaussian", "beta").replace("budget=60s", "budget=10m") for word in WORDS]
    answer = vaekl(tmp_path, *words, f"for={aim}")
    assert answer.code == 0, answer.err
    assert figure in answer.out and "with λ = 1" in answer.out
    finalists = json.loads((only(tmp_path) / "suggest.json").read_text())["finalists"]
    assert len(finalists) == 3
    assert finalists[0]["goal"] == max(one["goal"] for one in finalists)
