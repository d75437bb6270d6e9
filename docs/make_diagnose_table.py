"""The table of docs/diagnose.md: `python docs/make_diagnose_table.py OUT [part ...]`, the parts those of `PARTS`.

Trains runs that are spoiled on purpose, each in one way, and runs that are not, diagnoses all of them and prints a row
for each. Runs that are there already are not trained again. The thresholds were chosen on `tuned` and `good`;
`held_out` was looked at once they stood, and
`new` and `new_good` once the rules stood that followed from those.
"""

import contextlib
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from vaekl import cli

SMALL = ["model.hidden=[128,128]", "model.latents=16", "trainer.log_every=20", "trainer.valid_every=50"]
SHORT = [*SMALL, "trainer.steps=800"]
LONG = [*SMALL, "trainer.steps=3000"]
FULL = [*SMALL, "trainer.steps=4000", "trainer.patience=8", "lr_schedule=cosine"]
DIGITS, PATCHES, TABLE = ["dataset=digits"], ["dataset=patches", "dataset.train_size=3000"], ["dataset=breast_cancer"]
GAUSSIAN = ["likelihood=gaussian", "weighting=learned_precision"]
LINEAR = ["model=linear", *(word for word in FULL if not word.startswith("model.hidden="))]
SOLVED = ["likelihood=gaussian", "weighting=optimal_precision"]
FIXED = ["likelihood=gaussian", "weighting=fixed_dispersion"]
LAMBDA = "control=information_weight"

#: what is expected first, and the words of the run
TUNED = {
    "digits_phi_1": ("dispersion too large", [*SHORT, *DIGITS, *FIXED, "weighting.dispersion=1"]),
    "digits_cb_lambda_30": ("λ too large", [*SHORT, *DIGITS, LAMBDA, "control.weight=30"]),
    "digits_phi_0.0005": ("dispersion too small", [*SHORT, *DIGITS, *FIXED, "weighting.dispersion=0.0005"]),
    "digits_lambda_0.02": ("λ too small", [*SHORT, *DIGITS, *GAUSSIAN, LAMBDA, "control.weight=0.02"]),
    "digits_80_steps": ("stopped too early", [*SMALL, *DIGITS, "trainer.steps=80", "trainer.log_every=5"]),
    "digits_lr_0.1": ("learning rate too high", [*SHORT, *DIGITS, *GAUSSIAN, "optim.lr=0.1"]),
    "digits_lr_1e-6": ("learning rate too low", [*SHORT, *DIGITS, *GAUSSIAN, "optim.lr=1e-6"]),
    "digits_bce_on_grey": ("constant dropped", [*SHORT, *DIGITS, "likelihood=cb", "weighting=fixed_beta"]),
    "patches_1_latent": ("too few latents", [*SHORT, *PATCHES, *GAUSSIAN, "model.latents=1"]),
    "digits_80_images": ("overfit", [*LONG, "dataset=npz", "dataset.path=few.npz", *GAUSSIAN]),
    "digits_schedule_stopped": (
        "schedule unfinished",
        [*SMALL, *DIGITS, *GAUSSIAN, "schedule=linear", "schedule.steps=90000", "trainer.steps=100000"],
    ),
    "digits_weak_encoder": ("encoder too weak", [*SHORT, *DIGITS, *GAUSSIAN, "model=weak"]),
}
HELD_OUT = {
    "patches_beta_3": (
        "dispersion too large",
        [*SHORT, *PATCHES, "likelihood=gaussian", "weighting=fixed_beta", "weighting.beta=3"],
    ),
    "table_lambda_50": ("λ too large", [*SHORT, *TABLE, *GAUSSIAN, "model.latents=8", LAMBDA, "control.weight=50"]),
    "patches_laplace_phi_0.002": (
        "dispersion too small",
        [*SHORT, *PATCHES, "likelihood=laplace", "weighting=fixed_dispersion", "weighting.dispersion=0.002"],
    ),
    "counts_lambda_0.02": (
        "λ too small",
        [*SHORT, "dataset=digits_counts", "likelihood=poisson", LAMBDA, "control.weight=0.02"],
    ),
    "patches_cb_lr_0.05": ("learning rate too high", [*SHORT, *PATCHES, "likelihood=cb", "optim.lr=0.05"]),
    "digits_beta_dropped": ("constant dropped", [*SHORT, *DIGITS, "likelihood=beta", "weighting=fixed_beta"]),
    "table_1_latent": ("too few latents", [*SHORT, *TABLE, *GAUSSIAN, "model.latents=1"]),
    "table_overfit": ("overfit", [*LONG, *TABLE, *GAUSSIAN, "model.hidden=[500,500]"]),
}
GOOD = {
    "good_digits_cb": ("", [*FULL, *DIGITS, "likelihood=cb"]),
    "good_digits_gaussian": ("", [*FULL, *DIGITS, *GAUSSIAN]),
    "good_digits_laplace": ("", [*FULL, *DIGITS, "likelihood=laplace"]),
    "good_digits_logistic": ("", [*FULL, *DIGITS, "likelihood=logistic"]),
    "good_digits_categorical": ("", [*FULL, *DIGITS, "likelihood=categorical"]),
    "good_digits_bernoulli": ("", [*FULL, *DIGITS, "likelihood=bernoulli", "transform=binarize"]),
    "good_digits_beta": ("", [*FULL, *DIGITS, "likelihood=beta"]),
    "good_counts": ("", [*FULL, "dataset=digits_counts", "likelihood=negative_binomial"]),
    "good_table": ("", [*FULL, *TABLE, *GAUSSIAN, "model.hidden=[32]", "model.latents=8"]),
}
NEW = {
    "wine_lambda_30": (
        "λ too large",
        [*SHORT, "dataset=wine", *GAUSSIAN, "model.hidden=[32]", "model.latents=4", LAMBDA, "control.weight=30"],
    ),
    "diabetes_lr_1e-6": (
        "learning rate too low",
        [*SHORT, "dataset=diabetes", "likelihood=student_t", "model.latents=4", "optim.lr=1e-6"],
    ),
    "counts_1_latent": ("too few latents", [*SHORT, "dataset=digits_counts", "likelihood=poisson", "model.latents=1"]),
    "digits_conv_phi_2": (
        "dispersion too large",
        [
            *SHORT,
            *DIGITS,
            "model=conv",
            "model.hidden=64",
            "model.width=8",
            "likelihood=laplace",
            "weighting=fixed_dispersion",
            "weighting.dispersion=2",
        ],
    ),
    "digits_80_levels": ("overfit", [*LONG, "dataset=npz", "dataset.path=few.npz", "likelihood=discretized_logistic"]),
}
NEW_GOOD = {
    "good_wine": ("", [*FULL, "dataset=wine", *GAUSSIAN, "model.hidden=[32]", "model.latents=4"]),
    "good_diabetes": ("", [*FULL, "dataset=diabetes", "likelihood=student_t", "model.latents=4"]),
    "good_digits_conv": (
        "",
        [*FULL, *DIGITS, "model=conv", "model.hidden=64", "model.width=8", "likelihood=truncated_gaussian"],
    ),
    "good_digits_levels": ("", [*FULL, *DIGITS, "likelihood=discretized_logistic"]),
    "good_counts_zinb": ("", [*FULL, "dataset=digits_counts", "likelihood=zinb"]),
}
LAST = {
    "table_student_lambda_20": ("λ too large", [*SHORT, *TABLE, "likelihood=student_t", LAMBDA, "control.weight=20"]),
    "wine_lr_1e-6": ("learning rate too low", [*SHORT, "dataset=wine", *GAUSSIAN, "model.latents=4", "optim.lr=1e-6"]),
    "counts_zinb_lambda_0.02": (
        "λ too small",
        [*SHORT, "dataset=digits_counts", "likelihood=zinb", LAMBDA, "control.weight=0.02"],
    ),
    "binarized_1_latent": (
        "too few latents",
        [*LONG, *DIGITS, "likelihood=bernoulli", "transform=binarize", "model.latents=1", "trainer.patience=8"],
    ),
    "diabetes_phi_0.01": (
        "dispersion too small",
        [*SHORT, "dataset=diabetes", *FIXED, "weighting.dispersion=0.01", "model.latents=4"],
    ),
}
LAST_GOOD = {
    "good_table_student": ("", [*FULL, *TABLE, "likelihood=student_t", "model.latents=8"]),
    "good_wine_laplace": ("", [*FULL, "dataset=wine", "likelihood=laplace", "model.latents=4"]),
    "good_counts_poisson": ("", [*FULL, "dataset=digits_counts", "likelihood=poisson"]),
    "good_digits_truncated": ("", [*FULL, *DIGITS, "likelihood=truncated_gaussian", "trainer.steps=8000"]),
    "good_diabetes_gaussian": ("", [*FULL, "dataset=diabetes", *GAUSSIAN, "model.hidden=[64]", "model.latents=4"]),
}
#: meant to be good; what was said of them turned out to be so, as docs/diagnose.md shows
NOT_GOOD = {
    "patches_124_latents": ("worse than a linear model", [*FULL, *PATCHES, *SOLVED, "model.latents=124"]),
    "patches_16_latents": ("worse than a linear model", [*FULL, *PATCHES, *SOLVED]),
    "patches_linear": ("too few latents", [*LINEAR, *PATCHES, "likelihood=gaussian", "optim.lr=3e-3"]),
}
PARTS = {
    "tuned": TUNED, "held_out": HELD_OUT, "good": GOOD, "new": NEW, "new_good": NEW_GOOD, "last": LAST,
    "last_good": LAST_GOOD, "not_good": NOT_GOOD,
}  # fmt: skip

WEAK = '''
from torch import nn

import vaekl


class Weak(nn.Module):
    """Sees only the mean of an image."""

    def __init__(self, latents):
        super().__init__()
        self.out = nn.Linear(1, 2 * latents)

    def forward(self, x):
        return self.out(x.flatten(1).mean(1, keepdim=True)).chunk(2, 1)


def nets(shape, outputs, latents, hidden):
    return vaekl.Nets(Weak(latents), vaekl.mlp(shape, outputs, latents, hidden).decoder)
'''


def vaekl(*words: str) -> tuple[int, str]:
    """A command within this process: its exit code, and what it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = cli.main(words)
    return code, out.getvalue()


def train(name: str, words: list[str]) -> None:
    own = ["--config-dir", "conf"] if "model=weak" in words else []
    last = {word.partition("=")[0]: word for word in words}
    typed = ["train", *own, *last.values(), f"hydra.run.dir={name}"]
    if "schedule=linear" not in words:
        vaekl(*typed)
        return
    log = Path(name, "metrics.csv")
    with subprocess.Popen([sys.executable, "-m", "vaekl", *typed], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and (not log.is_file() or log.read_text().count("\n") < 60):
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)


def prepare() -> None:
    """A file of few images, and a network of one's own."""
    images = 15 * load_digits().images.astype(np.uint8)
    np.savez("few.npz", x_train=images[:80], x_test=images[1437:])
    Path("weak_nets.py").write_text(WEAK, encoding="utf-8")
    Path("conf", "model").mkdir(parents=True, exist_ok=True)
    lines = ["# an encoder that sees nothing", "_target_: weak_nets.nets", "latents: 16", "hidden: [128, 128]", ""]
    Path("conf", "model", "weak.yaml").write_text("\n".join(lines), encoding="utf-8")


def main(parts: list[str]) -> None:
    prepare()
    right = 0
    runs = [(name, *run) for part in parts for name, run in PARTS[part].items()]
    print("| run | spoiled by | named first | and then |")
    print("|---|---|---|---|")
    for name, cause, words in runs:
        if not Path(name, "last.pt").exists():
            train(name, words)
        code, text = vaekl("diagnose", "--json", name, *(["--trust=weak_nets"] if "model=weak" in words else []))
        causes = [each["cause"] for each in json.loads(text)[0]["causes"]] if code == 0 else [text.strip()]
        first = causes[0] if causes else ""
        right += first == cause
        print(f"| {name} | {cause or '–'} | {first or 'nothing stands out'} | {', '.join(causes[1:])} |", flush=True)
    print(f"\n{right} of {len(runs)}")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder):
        main(sys.argv[2:] or list(PARTS))
