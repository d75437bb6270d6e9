"""A search by Optuna: which figure it goes by, and that the same command finds its trials again."""

import pytest
import yaml
from cli_helpers import SMALL, finished, process, refused, results, vaekl

from vaekl.store import manifest


def states(folder):
    return {name: run.status for name, run in manifest.read(folder).items()}


# more than ten: the sampler then goes by what it has seen
@pytest.mark.nightly
@pytest.mark.parametrize("trials", [3, 12])
def test_a_search_is_by_the_validation_elbo_and_can_be_typed_again(trials, tmp_path):
    pytest.importorskip("optuna")
    words = [
        "train", "-m", "hydra/sweeper=optuna", f"hydra.sweeper.n_trials={trials}", "likelihood=gaussian",
        "weighting=fixed_beta",
        "weighting.beta=tag(log, interval(0.001, 1))", "optim.lr=choice(0.001, 1e30)", "trainer.steps=2", "valid=20",
        *SMALL[:2], "hydra.sweep.dir=search",
    ]  # fmt: skip
    answer = finished(process(tmp_path, *words), 300)
    folder = tmp_path / "search"
    runs = states(folder)
    assert len(runs) == trials and set(runs.values()) == {"finished", "diverged"}
    elbo, best = max(
        (results(folder / name)["valid"]["elbo_nats"], name)
        for name in runs
        if (folder / name / "results.json").exists()
    )
    found = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    assert found["best_value"] == elbo and f"validation ELBO {elbo:,.3f} nats" in answer.out
    assert (
        yaml.safe_load((folder / best / "config.yaml").read_text())["weighting"]["beta"]
        == found["best_params"]["weighting.beta"]
    )
    assert answer.code == 1 and "Traceback" not in answer.err and "training diverged" in answer.err
    # nothing is left to train: fewer workers, the same trials
    again = finished(process(tmp_path, *words), 300)
    assert states(folder) == runs and f"validation ELBO {elbo:,.3f} nats" in again.out
    refused(vaekl(tmp_path, *words, "valid=0"), "valid=0", "validation ELBO")
