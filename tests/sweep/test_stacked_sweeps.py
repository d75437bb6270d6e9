"""Sweeps whose runs take their steps together: configs, folders, and how they end."""

import signal
from functools import partial

import torch
from cli_helpers import SMALL, results, same_weights, weights
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from vaekl.config import compose
from vaekl.config.job import single
from vaekl.run import start, together
from vaekl.store import checkpoint
from vaekl.sweep import launcher
from vaekl.system.errors import StoppedError
from vaekl.training.callbacks import MetricsCsv
from vaekl.training.joint import JointStep

WORDS = [
    "likelihood=gaussian", "weighting=fixed_beta", "weighting.beta=0.1", "seed=3", "trainer.ema=null",
    "optim.betas=[0.8,0.9]", "hydra.job.chdir=false", "optim.lr=0.1",
    "+optim.amsgrad=true", "++optim.fused=null", "+optim.more={one:1}",
]  # fmt: skip
OTHERS = [
    {"weighting.beta=": "weighting.beta=10", "seed=": "seed=-1"},
    {"trainer.ema=": "trainer.ema=0.99", "optim.betas=": "optim.betas=[0.5,0.999]"},
    {"weighting.beta=": "weighting.beta=${optim.lr}"},
    {"+optim.amsgrad=": "+optim.amsgrad=false", "++optim.fused=": "++optim.fused=false"},
    {"+optim.more=": "+optim.more={two:2}"},
]


def test_the_config_of_every_run_of_a_stack_is_the_one_that_hydra_composes():
    with compose.initialized() as hydra:
        master = hydra.compose_config("train", ["hydra.sweep.dir=there"], run_mode=RunMode.MULTIRUN)
        loader = launcher._OfAStack(hydra.config_loader)
        loader.load_sweep_config(master, WORDS)
        for changes in OTHERS:
            words = [next((new for key, new in changes.items() if word.startswith(key)), word) for word in WORDS]
            quick = loader.load_sweep_config(master, words)
            whole = hydra.config_loader.load_sweep_config(master, words)
            assert OmegaConf.to_yaml(quick) == OmegaConf.to_yaml(whole)
            HydraConfig.instance().set_config(whole)
            names = [str(OmegaConf.select(cfg, "hydra.sweep.subdir")) for cfg in (quick, whole)]
            assert names[0] == names[1] != ""


def trained(folder):
    """Two runs that take their steps together; the errors that ended them."""
    errors = []

    def train(seed):
        words = [*SMALL, "trainer.steps=6", "likelihood=gaussian", f"seed={seed}", f"hydra.run.dir={folder}/{seed}"]
        try:
            start.train(single(words))
        except StoppedError as error:
            errors.append(str(error))

    together.train([partial(train, seed) for seed in (0, 1)], folder)
    return errors


def test_ctrl_c_lets_every_run_of_a_stack_save_and_they_go_on_to_the_same_bits(tmp_path, monkeypatch, capsys):
    assert trained(tmp_path / "whole") == []
    before, logged = signal.getsignal(signal.SIGINT), MetricsCsv.logged

    def interrupted(self, trainer, figures):
        logged(self, trainer, figures)
        if (trainer.seed, trainer.step) == (1, 2):
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(MetricsCsv, "logged", interrupted)
        errors = trained(tmp_path / "stopped")
    # the first run had begun its third step
    assert sorted(error.partition(":")[0] for error in errors) == ["stopped at step 2", "stopped at step 3"]
    assert signal.getsignal(signal.SIGINT) is before
    steps = [checkpoint.load(tmp_path / "stopped" / seed / "last.pt")["step"] for seed in "01"]
    assert steps == [3, 2]
    assert trained(tmp_path / "stopped") == []
    for seed in "01":
        whole, again = tmp_path / "whole" / seed, tmp_path / "stopped" / seed
        assert results(whole)["test"] == results(again)["test"]
        assert same_weights(weights(whole), weights(again))


def test_the_steps_of_a_stack_take_denormals_for_zeros(tmp_path, monkeypatch):
    products, gradient = [], JointStep.gradient

    def looked_at(self, *batch):
        products.append((torch.full((8,), 1e-38) * 0.01).max().item())
        return gradient(self, *batch)

    monkeypatch.setattr(JointStep, "gradient", looked_at)
    assert trained(tmp_path) == []
    assert len(products) == 7 and not any(products)  # six steps, and the comparison with the runs alone
    assert (torch.full((8,), 1e-38) * 0.01).max().item() > 0
