"""However often a run is killed, and wherever, it ends as if it never had been."""

import csv
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
from cli_helpers import finished, fresh_process, refused, results
from killed import BACK, HUNG, PLACES
from kills import KILLED, OUTSIDE, Killer, Tally, command, differences, in_order, possible, start, undisturbed
from pairs import DATA, LIKELIHOODS, WEIGHTINGS, fits
from sklearn.datasets import load_wine

#: they share the run that nobody stopped
pytestmark = pytest.mark.xdist_group("kills")

SEED = 20
#: no checkpoint lies at the end of an epoch (12 steps) or of a line of the log; most lie in the middle of both
SHORT = (
    "model.hidden=[16]", "model.latents=4", "trainer.steps=60", "trainer.valid_every=15", "trainer.log_every=6",
)  # fmt: skip
RUN = ("train", "hydra.run.dir=run", *SHORT)
PATIENT = (
    "likelihood=gaussian", "weighting=learned_precision", "trainer.patience=1", "trainer.valid_every=4", "optim.lr=0.3",
)  # fmt: skip
#: diverges some times in the first steps
RESTORED = (
    "likelihood=gaussian", "weighting=fixed_beta", "weighting.beta=0.001", "optim=sgd", "optim.lr=1",
    "trainer.on_nan=restore",
)  # fmt: skip
#: diverges before its first checkpoint, twice after the second one, and once after the third
LATE = (
    *RESTORED, "optim.lr=30", "lr_schedule.warmup_steps=50",
)  # fmt: skip
SWEEP = (
    "train", "-m", "seed=0,1", "hydra/launcher=basic", "hydra.sweep.dir=sweep", *SHORT, "trainer.steps=20",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody stopped."""
    return undisturbed(tmp_path_factory.mktemp("whole") / "folder", *RUN)


def killed(whole, folder, places, draw, fault=None):
    """The run after kills at these places."""
    killer = Killer(whole, folder, draw)
    killer.fault = {"fault": fault} if fault else {}
    killer.die_at(places)
    return killer


def same_after_kills(whole, folder, places, seed=SEED):
    """All the kills happen, and nothing is different afterwards."""
    print(f"seed {seed}")
    killer = killed(whole, folder, places, random.Random(seed))
    assert differences(folder, whole.folder) == []
    assert killer.tally.kills.total() == len(places), killer.tally.line()


@pytest.mark.nightly
def test_a_real_process_ends_as_its_fork_does(whole, tmp_path):
    answer = finished(fresh_process(tmp_path, *RUN))
    assert answer.code == 0, answer
    assert differences(tmp_path, whole.folder) == []


def test_killed_at_five_places(whole, tmp_path):
    places = ["config half written", "half an event", "checkpoint half written", "previous renamed", "half a row"]
    same_after_kills(whole, tmp_path, places)


@pytest.mark.nightly
def test_killed_at_four_places_of_a_run_with_patience(tmp_path):
    whole = undisturbed(tmp_path / "whole", *RUN, *PATIENT)
    places = ["best renamed", "checkpoint renamed", "half an event of the test", "results synced"]
    assert whole.steps < 45  # else patience did not end it
    same_after_kills(whole, tmp_path / "killed", places)


@pytest.fixture(scope="module")
def restored(tmp_path_factory):
    """A run that nobody stopped, and that went back to its checkpoints by itself."""
    whole = undisturbed(tmp_path_factory.mktemp("restored") / "folder", *RUN, *LATE)
    assert results(whole.folder / "run")["restores"] == 4 == whole.counts["diverged"]
    return whole


@pytest.mark.nightly
def test_killed_while_it_goes_back_and_while_it_writes_the_next_checkpoint(restored, tmp_path):
    going_back_killed(restored, tmp_path, 2, "steps taken again", "checkpoint half written")


@pytest.mark.nightly
@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("place", BACK)
def test_killed_each_time_that_it_goes_back(place, number, restored, tmp_path):
    for after in ("checkpoint half written", "checkpoint synced", "previous renamed", "checkpoint renamed"):
        going_back_killed(restored, tmp_path / after, number, place, after)


def going_back_killed(restored, folder, number, place, after):
    """Killed at that passing of the place, and then at the next checkpoint."""
    folder.mkdir(exist_ok=True)
    assert command(folder, *restored.words, place=place, number=number).code == KILLED
    assert command(folder, *restored.words, place=after, number=1).code == KILLED
    assert command(folder, "resume", "run").code == 0
    assert differences(folder, restored.folder) == []


@pytest.mark.nightly
def test_a_sweep_killed_while_it_writes_its_manifest(tmp_path):
    whole = undisturbed(tmp_path / "whole", *SWEEP)
    same_after_kills(whole, tmp_path / "killed", ["manifest half written", "manifest renamed"])


def test_killed_before_there_is_a_run(whole, tmp_path):
    """What is there is no run yet; the same command makes it one."""
    answer = command(tmp_path, *RUN, place="config synced", number=1)
    assert answer.code == KILLED
    refused(command(tmp_path, "resume", "run"), "run holds no run")
    assert command(tmp_path, *RUN).code == 0
    assert differences(tmp_path, whole.folder) == []


@pytest.mark.nightly
def test_pictures_are_on_the_disk_before_their_checkpoint(whole, tmp_path):
    """Else a kill right after the checkpoint loses them: the resumed run begins after their step."""
    answer = command(tmp_path, *RUN, place="checkpoint renamed", number=2, fault="slow events")
    assert answer.code == KILLED
    assert command(tmp_path, "resume", "run").code == 0
    assert differences(tmp_path, whole.folder) == []


def test_killed_right_after_the_results(whole, tmp_path):
    same_after_kills(whole, tmp_path, ["results renamed"])


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("rows stay", "run: metrics.csv"),
        pytest.param(None, None, marks=pytest.mark.nightly),
        pytest.param("events stay", "run: steps of scalars train/loss", marks=pytest.mark.nightly),
        pytest.param("noise begins again", "run: last.pt", marks=pytest.mark.nightly),
    ],
)
def test_a_fault_is_found(fault, found, whole, tmp_path):
    """The second checkpoint's rows and events are there when it is not: a fault shows, and nothing else."""
    answer = command(tmp_path, *RUN, place="checkpoint half written", number=2, fault=fault)
    assert answer.code == KILLED
    assert command(tmp_path, "resume", "run", fault=fault).code == 0
    told = differences(tmp_path, whole.folder)
    assert found in told or (fault, told) == (None, [])
    assert fault == "noise begins again" or "run: last.pt" not in told


def test_a_checkpoint_that_is_written_in_place_is_found(tmp_path):
    for fault, code in ((None, 0), ("written in place", 1)):
        folder = tmp_path / f"{fault}"
        folder.mkdir()
        assert command(folder, *RUN, place="checkpoint half written", number=2, fault=fault).code == KILLED
        assert command(folder, "resume", "run").code == code


def hung(folder, place, number):
    """A run that waits at a place for its file to be taken away."""
    child = start(folder, *RUN, place=place, number=number, act="hang")
    for _ in range(6000):
        if (folder / HUNG).exists():
            return child
        time.sleep(0.01)
    raise AssertionError(finished(child))


@pytest.mark.parametrize(
    ("number", "place", "passing", "step"),
    [
        (signal.SIGTERM, "step", 21, 21),
        (signal.SIGINT, "checkpoint half written", 3, 45),
        pytest.param(signal.SIGTERM, "validation", 2, 30, marks=pytest.mark.nightly),
        pytest.param(signal.SIGINT, "half a row", 5, 24, marks=pytest.mark.nightly),
    ],
    ids=str,
)
def test_a_signal_ends_the_step_and_saves(number, place, passing, step, whole, tmp_path):
    child = hung(tmp_path, place, passing)
    child.send_signal(number)
    (tmp_path / HUNG).unlink()
    answer = finished(child)
    assert (answer.code, f"vaekl: stopped at step {step}: " in answer.err) == (130, True), answer
    answer = command(tmp_path, "resume", "run")
    assert (answer.code, f"resumed at step {step}" in answer.out) == (0, True), answer
    assert differences(tmp_path, whole.folder) == []


@pytest.mark.parametrize(
    ("place", "passing"),
    [
        ("step", 21),
        ("checkpoint half written", 3),
        pytest.param("half a row", 5, marks=pytest.mark.nightly),
        pytest.param("validation", 2, marks=pytest.mark.nightly),
    ],
)
def test_a_second_ctrl_c_stops_at_once(place, passing, whole, tmp_path):
    """What waits would wait for ever; nothing is saved, and the run goes on from its last checkpoint."""
    child = hung(tmp_path, place, passing)
    child.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert (tmp_path / HUNG).exists() and child.poll() is None
    child.send_signal(signal.SIGINT)
    answer = finished(child)
    assert (answer.code, answer.err) == (130, "vaekl: interrupted.\n")
    (tmp_path / HUNG).unlink()
    assert command(tmp_path, "resume", "run").code == 0
    assert differences(tmp_path, whole.folder) == []


CONTROLS = {
    "capacity": ("control.target=3",), "controller": ("control.target=3",), "geco": ("control.rmse=0.2",),
    "free_bits": (), "learned_beta": (), "decomposed": (), "mmd": (), "information_weight": ("control.weight=2",),
}  # fmt: skip
PAIRS = [
    (f"likelihood={likelihood}", f"weighting={weighting}", *DATA.get(likelihood, ()))
    for likelihood, weighting in product(LIKELIHOODS, WEIGHTINGS)
    if fits(likelihood, weighting)
]
OTHERS = [
    *[(*PATIENT, f"seed={seed}") for seed in range(3)],
    ("trainer.ema=0.9", "optim=adamw", "lr_schedule=cosine", "trainer.clip_norm=1"),
    ("schedule=cyclical", "likelihood=laplace", "weighting=optimal_precision", "optim=sgd", "optim.lr=1e-4"),
    ("model=conv", "model.width=4", "model.hidden=8", "valid=0"),
    ("likelihood=gaussian", "objective=iwae", "objective.gradient=doubly_reparameterized", "schedule=linear"),
    *[("likelihood=gaussian", f"control={name}", *words) for name, words in CONTROLS.items()],
    RESTORED,
    # what families learn beside φ, or leave to the decoder
    ("likelihood=student_t", "likelihood.df=learned", "dataset=wine"),
    ("likelihood=student_t", "likelihood.df=decoder", "likelihood.scale=decoder"),
    ("likelihood=gaussian", "likelihood.scale=decoder", "likelihood.min_scale=learned"),
    ("likelihood=negative_binomial", "dataset=digits_counts", "dataset.offset=total"),
    ("likelihood=zinb", "likelihood.dispersion=decoder", "dataset=digits_counts"),
    ("likelihood=mixture", "likelihood.family=laplace", "likelihood.components=3", "dataset=wine"),
    ("dataset=table", "dataset.path=WINE", "dataset.missing=mask", "likelihood=columns"),
    ("dataset=table", "dataset.path=WINE", "dataset.missing=mask", "likelihood=columns", "likelihood.numeric=laplace"),
]
KILLS = 5
#: what only some runs write
RARE, BEGIN = ("manifest", "best"), ("versions", "config")


def dealt(whole, number, draw):
    """Places for one of many commands, so that all together are killed at each."""
    found = possible(whole)
    rare = [place for place in found if place.startswith(RARE)]
    common = [place for place in found if place not in rare]
    places = in_order([common[(number * KILLS + i) % len(common)] for i in range(KILLS)])
    if rare:
        return in_order([*places, rare[number % 3]])
    begun = sum(place.startswith(BEGIN) for place in places)  # what only a run without a config meets
    places.insert(draw.randint(begun, KILLS), OUTSIDE)
    return places


def work(seed, whose, folder):
    """Train whole, then with kills at places drawn by the seed; returns what was done and what is wrong."""
    draw = random.Random(seed)
    whole = undisturbed(folder / "whole", *whose)
    killer = Killer(whole, folder / "killed", draw)
    try:
        killer.die_at(dealt(whole, seed, draw))
        return killer.tally, differences(killer.folder, whole.folder)
    except AssertionError as error:
        return killer.tally, [str(error)]


def wine_with_missing_cells(file):
    """Numbers, counts and a category; a tenth of the cells is empty."""
    wine, draw = load_wine(), random.Random(SEED)
    rows = [[*row, "abc"[kind]] for row, kind in zip(wine.data, wine.target, strict=True)]
    cells = [["" if draw.random() < 0.1 else cell for cell in row] for row in rows]
    with file.open("w", newline="") as table:
        csv.writer(table).writerows([[*wine.feature_names, "kind"], *cells])
    return file


def commands(wine):
    """Every pair, the other kinds of state, and sweeps."""
    for words in PAIRS + OTHERS:
        words = [word.replace("WINE", str(wine)) for word in words]
        free = [word for word in SHORT if not (word.startswith("model.hidden") and "model=conv" in words)]
        yield " ".join(words), ("train", "hydra.run.dir=run", *free, *words)
    for number in range(3):
        yield f"sweep {number}", SWEEP


@pytest.mark.nightly
def test_a_hundred_kills(tmp_path, capsys):
    names, words = zip(*commands(wine_with_missing_cells(tmp_path / "wine.csv")), strict=True)
    seeds = range(SEED, SEED + len(names))
    folders = [tmp_path / str(seed) for seed in seeds]
    with ThreadPoolExecutor(2) as lanes:
        done = list(lanes.map(work, seeds, words, folders))
    total = Tally()
    for tally, _ in done:
        total.kills.update(tally.kills)
        total.resumes.update(tally.resumes)
    with capsys.disabled():
        print(f"\n{len(names)} runs: {total.line()}")
    wrong = {f"{name}, seed {seed}": told for name, seed, (_, told) in zip(names, seeds, done, strict=True) if told}
    assert wrong == {}
    assert total.kills.total() >= 100
    assert {place for place, count in total.kills.items() if count} == {*PLACES, OUTSIDE}
