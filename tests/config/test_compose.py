"""A config whose choices were composed before is the one that Hydra makes, to the last key."""

import re
import time

import hydra
import pytest
from omegaconf import OmegaConf

from vaekl.config import compose
from vaekl.config.overrides import for_hydra

WORDS = {
    "nothing": [],
    "values": ["seed=3", "model.hidden=[1,2]", "trainer.steps=3", "trainer.steps=5", "valid=abc"],
    "choices and values": ["likelihood=gaussian", "weighting=fixed_beta", "weighting.beta=0.1"],
    "a choice twice": ["likelihood=gaussian", "likelihood=cb", "seed=1"],
    "an experiment": ["experiment=mnist_cb", "trainer.steps=3", "model=conv"],
    "a choice as a dict": ["model={latents: 1}", "model.latents=2"],
    "a key of another option": ["weighting.beta=1"],
    "no such key": ["foo=1"],
    "no such option": ["likelihood=nope", "foo=1"],
    "no such group": ["a/b=1"],
    "a group that is chosen already": ["+likelihood=cb"],
    "a group in a package": ["likelihood@x=cb"],
    "added": ["+foo=1", "++trainer.steps=3"],
    "added and there": ["+seed=1"],
    "taken away": ["~optim.lr", "~experiment"],
    "taken away and not there": ["~foo"],
    "missing": ["seed=???"],
    "interpolated": ["trainer.steps=${seed}", "run_name=${now:%Y}"],
    "several values": ["seed=0,1"],
    "hydra's own": ["hydra.run.dir=x", "hydra/launcher=joblib", "hydra.launcher.n_jobs=3", "hydra.job.name=mine"],
    "no key of hydra's": ["hydra.foo=1"],
    "the environment": ["hydra.job.env_copy=[HOME]"],
    "a naming of hydra's": ["hydra.job.config.override_dirname.exclude_keys=[seed]", "seed=1", "valid=0"],
}


def by_hydra(words):
    with compose.initialized():
        return hydra.compose("train", for_hydra(words, []), return_hydra_config=True)


def outcome(make, words):
    """The config with its order and its flags, or the error with its cause."""
    try:
        cfg = make(words)
    except Exception as error:
        return type(error), str(error), repr(error.__cause__)
    return OmegaConf.to_yaml(cfg), OmegaConf.is_struct(cfg), OmegaConf.is_readonly(cfg.hydra)


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_it_is_hydra_s(words, tmp_path, monkeypatch):
    expected = outcome(by_hydra, words)
    assert outcome(compose.compose, words) == expected
    # what is done to one config is not done to the next
    monkeypatch.chdir(tmp_path)
    if isinstance(expected[0], str):
        compose.compose(words).seed = 99
        expected = (re.sub(r"(?m)^    cwd: .*", f"    cwd: {tmp_path}", expected[0]), *expected[1:])
    assert outcome(compose.compose, words) == expected


def test_each_config_has_its_own_time():
    first = compose.compose(["run_name=${now:%f}"]).run_name
    time.sleep(0.001)
    assert compose.compose(["run_name=${now:%f}"]).run_name != first


def test_choices_are_composed_once(monkeypatch):
    compose._of_choices.cache_clear()
    composed = []
    monkeypatch.setattr(hydra, "compose", lambda *words, **_: composed.append(words) or OmegaConf.create(HYDRA))
    for seed in range(3):
        assert compose.compose([f"seed={seed}"]).seed == seed
    compose._of_choices.cache_clear()
    assert len(composed) == 1


HYDRA = {
    "seed": 7,
    "hydra": {
        "overrides": {"task": [], "hydra": []},
        "runtime": {"cwd": ""},
        "job": {
            "override_dirname": "",
            "config": {"override_dirname": {"kv_sep": "=", "item_sep": ",", "exclude_keys": []}},
        },
    },
}
