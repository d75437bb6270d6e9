"""The table of real counts in figures.md: `python docs/make_counts_table.py outputs/counts`.

How often each of the 200 most frequent words stands in the documentation of each of SciPy's functions and classes:
texts that come with a library that vaekl needs, of very different lengths. Trains the families of counts on them, with
and without `dataset.offset=total`.
"""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import scipy
import torch
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression

from vaekl.run.load import TrainedRun, load_run

MODULES = (
    *("fft", "integrate", "interpolate", "linalg", "ndimage", "optimize"),
    *("signal", "sparse", "spatial", "special", "stats"),
)
WORDS = 200
#: shorter texts are of aliases
LEAST = 300
MODELS = {
    "`poisson`": ["likelihood=poisson"],
    "`negative_binomial`, one φ": ["likelihood=negative_binomial"],
    "`negative_binomial`, a φ for each word": [
        "likelihood=negative_binomial", "weighting=learned_precision", "weighting.per=value",
    ],
    "`negative_binomial`, φ by the decoder": ["likelihood=negative_binomial", "likelihood.dispersion=decoder"],
    "`zinb`, a φ for each word": ["likelihood=zinb", "weighting=learned_precision", "weighting.per=value"],
}  # fmt: skip
SEEDS = (0, 1, 2)
COMMON = [
    "dataset=npz",
    "dataset.kind=counts",
    "model.hidden=[128]",
    "model.latents=8",
    "trainer.steps=2000",
    "trainer.valid_every=100",
    "trainer.patience=3",
]


def texts() -> list[str]:
    """The documentation of every public function and class of these modules, each once."""
    unique = {}
    for name in MODULES:
        module = importlib.import_module(f"scipy.{name}")
        for word in sorted(vars(module)):
            thing = getattr(module, word)
            is_code = inspect.isclass(thing) or inspect.isroutine(thing) or isinstance(thing, np.ufunc)
            text = inspect.getdoc(thing) or ""
            if not word.startswith("_") and is_code and len(text) >= LEAST:
                unique[text] = None
    return list(unique)


def table(place: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write the counts of 1 in 5 texts to test on, and of the others, [N, 200], and return them."""
    shuffled = np.array(texts(), dtype=object)[np.random.default_rng(0).permutation(len(texts()))]
    test, train = shuffled[: len(shuffled) // 5], shuffled[len(shuffled) // 5 :]
    counter = CountVectorizer(stop_words="english", max_features=WORDS, token_pattern=r"[a-zA-Z]{3,}").fit(train)
    x_train, x_test = (counter.transform(part).toarray() for part in (train, test))
    np.savez(place, x_train=x_train, x_test=x_test)
    return x_train, x_test


def log_total(x_train: np.ndarray, x_test: np.ndarray) -> float:
    """The mean of ln p(total) of the test rows, under a log-normal of the training rows' that is cut into bins."""
    logs = np.log(x_train.sum(1))
    law = stats.norm(logs.mean(), logs.std())
    total = x_test.sum(1)
    return float(np.log(law.cdf(np.log(total + 0.5)) - law.cdf(np.log(total - 0.5))).mean())


def length_of_latents(run: TrainedRun) -> float:
    """R² of ln(total) on the posterior means, fitted to the training rows, of the test rows."""
    means, logs = [], []
    for split in (run.data.train, run.data.test):
        x = split.batch(slice(None))
        with torch.no_grad():
            means.append(run.model.encode(x)[0].numpy())
        logs.append(x.sum(1).log().numpy())
    return float(LinearRegression().fit(means[0], logs[0]).score(means[1], logs[1]))


def main(folder: str) -> None:
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    file = root / "words.npz"
    x_train, x_test = table(file)
    totals = x_train.sum(1)
    print(f"SciPy {scipy.__version__}: {len(x_train):,} and {len(x_test):,} rows, {(x_train == 0).mean():.0%} zeros,")
    print(f"totals {totals.min()} to {totals.max():,}, in the middle {np.median(totals):g}")
    of_total, share = log_total(x_train, x_test), x_train.sum(0) / x_train.sum()
    rates = {None: x_train.mean(0), "total": x_test.sum(1, keepdims=True) * share}
    constant = {offset: stats.poisson(rate).logpmf(x_test).sum(1).mean() for offset, rate in rates.items()}
    print(f"ln p(total) is {of_total:.2f} nats\n")
    print("| | without | `dataset.offset=total` | the same + ln p(total) | R², without | R², with |")
    print("|---|---:|---:|---:|---:|---:|")
    with_total = constant["total"]
    print(f"| Poisson, no latents | {constant[None]:.1f} | {with_total:.1f} | {with_total + of_total:.1f} | | |")
    for number, (title, words) in enumerate(MODELS.items()):
        cells, lengths = [], []
        for offset in (None, "total"):
            values, shares = [], []
            for seed in SEEDS:
                run = root / f"{number}_{offset}_{seed}"
                more = [f"dataset.path={file}", f"seed={seed}", f"hydra.run.dir={run}", *words]
                more += [f"dataset.offset={offset}"] if offset else []
                if not (run / "results.json").exists():  # of a call that was stopped
                    subprocess.run(["vaekl", "train", *COMMON, *more], check=True, stdout=subprocess.DEVNULL)
                trained = load_run(run)
                values.append(trained.results.test.elbo_nats)
                shares.append(length_of_latents(trained))
            cells.append(f"{mean(values):.1f} ± {stdev(values):.1f}")
            lengths.append(f"{mean(shares):.2f}")
        cells += [f"{mean(values) + of_total:.1f}", *lengths]
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
