"""A whole example of each JSON file of a run or a sweep, and how it is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vaekl.store import RunFolder, manifest, sweep_folder
from vaekl.store.read import read_record
from vaekl.store.schema import Heartbeat

FIGURES = {
    "elbo_nats": -65.5,
    "energy_nats": 8.25,
    "log_norm_const_nats": -57.0,
    "kl_nats": 0.25,
    "elbo_standard_error_nats": 0.125,
    "loss": 65.5,
    "bits_per_dim": 5.5,
    "energy": 7.75,
    "dispersion": 0.5,
    "implied_sigma": 0.75,
    "rmse": 0.5,
    "beta_kl": 1.0,
    "effective_beta_kl": 0.5,
    "active_units": 2,
    "kl_per_latent_nats": [0.125, 0.125],
    "dispersions": [0.5],
    "information_weight": 1.0,
    "dispersion_by_channel": {"column age": {"kind": "numeric", "dispersion": 0.5, "implied_sigma": 7.5}},
    "learned_options": {"df": 4.5},
}
BOUND = {"k": 50, "nats": -65.0, "standard_error_nats": 0.125, "bits_per_dim": 3.0}
CHOICES = {"likelihood": "gaussian", "weighting": "auto"}
FACTS = {
    "schema": 1,
    "metrics_schema": 1,
    "command": "vaekl train likelihood=gaussian",
    "git_revision": "0123456789abcdef",
    "python": "3.11.7",
    "platform": "Linux",
    "packages": {"torch": "2.15.0"},
    "data": {
        "name": "digits",
        "shape": [1, 8, 8],
        "example": "image",
        "support": "unit_interval",
        "level_width": 0.0625,
        "spread": 12.5,
        "digests": {"train": "0123456789abcdef", "test": "fedcba9876543210", "valid": "0123456789abcdef"},
        "files": "0123456789abcdef",
        "protocol": "as stored",
        "columns": "0123456789abcdef",
        "levels": 17,
        "stored": {
            "support": "real",
            "levels": None,
            "has_missing": True,
            "by_total": False,
            "columns": [{"name": "city", "kind": "categorical", "words": ["Bonn"], "numbers": [1.5]}],
        },
    },
    "likelihood": {
        "name": "gaussian",
        "energy": "½(x − μ)²",
        "log_norm_const": "−½ ln(2πφ)",
        "discrete": False,
        "accepts": ["real"],
        "support": "the real line",
        "dispersion": "the variance",
        "protocol": "nothing clipped",
        "scale_power": 0.5,
        "unit_sigma": 1.0,
    },
    "weighting": {
        "name": "fixed_beta",
        "loss": "E + KL",
        "fits_dispersion": False,
        "dispersion": 0.5,
        "implied_beta_kl": 0.5,
        "drops_constant": True,
        "dispersions": 1,
        "draws": False,
    },
    "control": {
        "name": "information_weight",
        "penalty": "KL",
        "target_kl_nats": 20.0,
        "target_rmse": 0.14,
        "target_distortion_nats": -400.0,
    },
    "objective": {"name": "iwae", "samples": 5},
    "parameters": 2345,
    "init": {"run": "/a/run", "weights": "best.pt", "step": 7},
}
RESULTS = {
    "schema": 1,
    "choices": CHOICES,
    "weighting": "fixed_beta",
    "protocol": {"data": "as stored", "likelihood": "nothing clipped"},
    "seed": 0,
    "weights": "last.pt",
    "step": 4,
    "restores": 0,
    "digests": {"train": "0123456789abcdef", "test": "fedcba9876543210", "valid": "0123456789abcdef"},
    "images": {"train": 1294, "valid": 143, "test": 360},
    "valid": FIGURES,
    "test": FIGURES,
}
EVALUATION = {
    "schema": 1,
    "run": "outputs/run",
    "choices": CHOICES,
    "weighting": "fixed_beta",
    "run_seed": 0,
    "weights": "last.pt",
    "step": 4,
    "finished": True,
    "split": "test",
    "images": 360,
    "other_data": "/data/mine.npz",
    "example": "image",
    "seed": 0,
    "changes": ["dataset=kmnist"],
    "digests": {"train": "0123456789abcdef", "test": "fedcba9876543210", "valid": "0123456789abcdef"},
    "protocol": {"data": "as stored", "likelihood": "nothing clipped", "bits_per_dim": "none", "ruler": "masses"},
    "elbo": FIGURES,
    "iwae": [BOUND],
    "ruler": {
        "nats": -136.0,
        "standard_error_nats": 0.5,
        "bits_per_dim": 3.0,
        "standard_error_bits_per_dim": 0.125,
        "iwae": [BOUND],
    },
    "ais": {
        "nats": -64.0,
        "standard_error_nats": 0.125,
        "images": 100,
        "steps": 1000,
        "iwae_of_these_images_nats": -65.0,
    },
    "rate": {
        "mutual_information_nats": 0.125,
        "marginal_kl_nats": 0.125,
        "total_correlation_nats": 0.0625,
        "dimension_wise_kl_nats": 0.0625,
        "largest_mutual_information_nats": 5.75,
        "images": 360,
    },
    "calibration": {"all": {"implied_sigma": 0.5, "rmse": 0.5, "sigma_over_rmse": 1.0, "calibrated_beta_kl": 0.25}},
    "reliability": {"predicted": [0.25], "observed": [0.25], "error": 0.0, "groups": 16, "images": 360},
    "quality": {"psnr_db": 7.5, "ssim": 0.5},
    "knn_accuracy": 0.5,
    "features": {
        "frechet": 1.5,
        "inception_mean": 2.0,
        "inception_std": 0.125,
        "real": 360,
        "generated": 360,
        "protocol": "InceptionV3",
    },
}
HEARTBEAT = {"step": 30, "steps": 40, "elbo_nats": -12.5}
MANIFEST = {
    "schema": 1,
    "runs": {
        "seed=0": {
            "status": "finished",
            "reason": "none",
            "overrides": ["seed=0"],
            "session": "a1",
            "started": 1.5,
            "ended": 2.5,
            "host": "here",
            "process": 12,
            "slurm_job": "7_1",
            "stack": 3,
        }
    },
}
SEARCH = {"schema": 1, "drawn_at_once": 3}
TRACKED = {"schema": 1, "tracker": "wandb", "run": "0123456789abcdef"}


def _heartbeat(folder: Path) -> Any:
    return read_record(folder / ".progress.json", Heartbeat, 1 << 12, "take it away")


#: by the file's name: what it holds, and its reader, which takes the folder
FILES: dict[str, tuple[dict[str, Any], Callable[[Path], Any]]] = {
    "facts.json": (FACTS, lambda folder: RunFolder(folder).facts()),
    "results.json": (RESULTS, lambda folder: RunFolder(folder).results()),
    "eval.json": (EVALUATION, lambda folder: RunFolder(folder).evaluation()),
    "tracker.json": (TRACKED, lambda folder: RunFolder(folder).tracked("wandb")),
    ".progress.json": (HEARTBEAT, _heartbeat),
    "manifest.json": (MANIFEST, manifest.read),
    "search.json": (SEARCH, lambda folder: sweep_folder.drawn_at_once(folder, lambda: 1)),
}
