"""A run's config in typed parts, each setting checked where it is split."""

import copy
import re

import pytest
import torch
import yaml

from vaekl.config.job import single
from vaekl.run.config import RunConfig
from vaekl.system.devices import half_precision
from vaekl.system.errors import VaeklError


@pytest.fixture(scope="module")
def content():
    """The default config, resolved."""
    return single([]).content


def changed(content, key, value):
    """The config with another value of a dotted key."""
    other = copy.deepcopy(content)
    *path, last = key.split(".")
    node = other
    for part in path:
        node = node[part]
    node[last] = value
    return other


def test_each_builder_sees_its_own_part(content):
    cfg = RunConfig.of(content)
    assert cfg.data.dataset == {"_target_": "vaekl.digits", "name": "digits"}
    assert (cfg.data.valid, cfg.data.split_seed) == (0.1, 0)
    assert cfg.model.nets["_target_"] == "vaekl.mlp" and cfg.model.latents == content["model"]["latents"]
    assert (cfg.training.lr, cfg.training.steps, cfg.training.epochs) == (content["optim"]["lr"], None, 100)
    assert (cfg.machine.device, cfg.machine.tf32) == ("auto", False)
    assert cfg.choices["experiment"] == "none" and cfg.choices["likelihood"] == "cb"
    assert yaml.safe_load(cfg.yaml) == content


def test_the_type_of_the_networks_and_of_a_gpu_s_factors_are_one_setting(content):
    kinds = {name: RunConfig.of(changed(content, "trainer.autocast", name)) for name in (None, "bfloat16", "tf32")}
    assert {name: half_precision(cfg.model.autocast) for name, cfg in kinds.items()} == {
        None: None, "bfloat16": torch.bfloat16, "tf32": None,
    }  # fmt: skip
    assert [cfg.machine.tf32 for cfg in kinds.values()] == [False, False, True]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("split_seed", "0"),
        ("model.latents", 0),
        ("optim.lr", 0),
        ("trainer.steps", 1.5),
        ("trainer.epochs", None),
        ("trainer.batch_size", True),
        ("trainer.log_every", 0),
        ("trainer.valid_every", None),
        ("trainer.clip_norm", -1),
        ("trainer.ema", 1),
        ("trainer.patience", 0),
        ("trainer.on_nan", "hope"),
        ("trainer.compile", 1),
        ("trainer.autocast", "float16"),
    ],
)
def test_a_setting_that_cannot_be_is_named(key, value, content):
    with pytest.raises(VaeklError, match=f"^{re.escape(key)} must be .*not {re.escape(repr(value))}"):
        RunConfig.of(changed(content, key, value))


def test_epochs_may_be_null_beside_steps(content):
    cfg = RunConfig.of(changed(changed(content, "trainer.steps", 7), "trainer.epochs", None))
    assert (cfg.training.steps, cfg.training.epochs) == (7, None)


@pytest.mark.parametrize("key", ["seed", "trainer.batch_size", "model.latents", "optim.lr", "choices"])
def test_a_key_that_is_missing_is_named_with_its_file(key, content, tmp_path):
    other = changed(content, key, None)
    *path, last = key.split(".")
    del (other[path[0]] if path else other)[last]
    with pytest.raises(VaeklError, match=f"^{re.escape(key)} must be given: add "):
        RunConfig.of(other)
    with pytest.raises(VaeklError, match=rf"config\.yaml is not as this vaekl writes it \({re.escape(key)} is missing"):
        RunConfig.of(other, tmp_path / "config.yaml")
