"""Every pair of likelihood and weighting, killed at places that cover all."""

import csv
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
from killed import PLACES
from killed_words import PATIENT, RESTORED, SEED, SHORT, SWEEP
from kills import OUTSIDE, Killer, Tally, differences, in_order, possible, undisturbed
from pairs import DATA, LIKELIHOODS, WEIGHTINGS, fits
from sklearn.datasets import load_wine

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
    reachable = possible(whole)
    rare = [place for place in reachable if place.startswith(RARE)]
    common = [place for place in reachable if place not in rare]
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
    runs = zip(names, seeds, done, strict=True)
    wrong = {f"{name}, seed {seed}": differing for name, seed, (_, differing) in runs if differing}
    assert wrong == {}
    assert total.kills.total() >= 100
    assert {place for place, count in total.kills.items() if count} == {*PLACES, OUTSIDE}
