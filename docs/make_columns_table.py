"""The table of tables in figures.md: `python docs/make_columns_table.py outputs/columns`.

Trains `likelihood=columns` and Gaussians on three of scikit-learn's tables, and judges them alike: a column of whole
numbers by the probability of its value, which a Gaussian gives to [k − ½, k + ½]; a column of numbers by its density.
"""

import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

import torch

from vaekl.data import generator
from vaekl.run.load import TrainedRun, load_run

TABLES = ("wine", "diabetes", "breast_cancer")
MODELS = {
    "`columns`": ["likelihood=columns"],
    "`gaussian`, one φ": ["likelihood=gaussian"],
    "`gaussian`, a φ for each column": ["likelihood=gaussian", "weighting=learned_precision", "weighting.per=value"],
}
SEEDS = (0, 1, 2)
COMMON = [
    "model.hidden=[64]",
    "model.latents=8",
    "trainer.steps=3000",
    "trainer.valid_every=100",
    "trainer.patience=10",
]
SAMPLES = 50


def nats(run: TrainedRun) -> float:
    """The test ELBO, nats per row, with whole numbers judged by probabilities."""
    model, spec, noise = run.model, run.model.spec, generator("columns table", 0)
    kinds = [kind for kind, width in spec.kinds for _ in range(width)]
    whole = torch.tensor([kind != "numeric" for kind in kinds])
    x = run.data.test.batch(slice(None), noise)
    spread = spec.scaling.spread.expand(spec.shape)
    total = torch.zeros(len(x))
    with torch.no_grad():
        for _ in range(SAMPLES):
            terms, eta = model.terms(x, model.noise(len(x), noise))
            phi = model.weighting.dispersion
            ln_p = model.likelihood.log_prob(eta, x, phi) - spread.log()
            if model.likelihood.name == "gaussian":
                half = 0.5 / spread.double()
                mass = model.likelihood.log_mass(eta, x.double() - half, x.double() + half, phi)
                ln_p = torch.where(whole, mass, ln_p)
            total += ln_p.sum(1) - terms.total_kl
    return (total / SAMPLES).mean().item()


def main(folder: str) -> None:
    print("| table | rows, columns | " + " | ".join(MODELS) + " |\n|---|---:|" + "---:|" * len(MODELS))
    for table in TABLES:
        cells = []
        for number, words in enumerate(MODELS.values()):
            values = []
            for seed in SEEDS:
                place = Path(folder) / f"{table}_{number}_{seed}"
                command = [
                    "vaekl",
                    "train",
                    f"dataset={table}",
                    *words,
                    *COMMON,
                    f"seed={seed}",
                    f"hydra.run.dir={place}",
                ]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                run = load_run(place)
                values.append(nats(run))
            cells.append(f"{mean(values):.2f} ± {stdev(values):.2f}")
        size = f"{len(run.data.train):,}, {run.model.spec.dims}"
        print(f"| `{table}` | {size} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
