"""What makes a folder a run's."""

import json

import pytest
import yaml
from record_cases import FACTS

from vaekl.store import RunFolder, UnreadableError, fingerprint

GROUPS = ("dataset", "transform", "likelihood", "weighting", "model", "optim", "schedule", "lr_schedule", "trainer")
CONFIG = {"choices": dict.fromkeys(GROUPS, "x"), **{group: {} for group in GROUPS}}


def test_a_fingerprint_is_the_run_s_and_not_its_place_s():
    config = {"seed": 0, "trainer": {"device": "cpu", "steps": 3}, "dataset": {"name": "mnist", "root": "/a"}}
    elsewhere = {
        **config,
        "output_dir": "b",
        "trainer": {"device": "cuda", "steps": 3},
        "dataset": {"name": "mnist", "root": "/b"},
    }
    assert fingerprint(config) == fingerprint(elsewhere)
    for changed in (
        {"seed": 1},
        {"trainer": {"device": "cpu", "steps": 4}},
        {"dataset": {"name": "kmnist", "root": "/a"}},
    ):
        assert fingerprint(config) != fingerprint({**config, **changed})


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"seed": 10**400}, "a number of more than 64 bits"),
        ({"trainer": {"sizes": [0, -(2**63)]}}, "a number of more than 64 bits"),
        ({"dataset": {"path": "x" * 5000}}, "a text of more than 4,096 characters"),
        ({"model": {1: 2}}, "a key that is no text"),
        ({"choices": {}}, "lacks choices.dataset"),
        ({"choices": {**CONFIG["choices"], "weighting": None}}, "lacks choices.weighting"),
        ({"choices": {**CONFIG["choices"], "model": ["mlp"]}}, "lacks choices.model"),
        ({"model": None}, "lacks model"),
        ({"choices": ["x"]}, "is not the config of a run"),
    ],
)
def test_a_config_holds_what_vaekl_writes(change, part, tmp_path):
    (tmp_path / "facts.json").write_text(json.dumps(FACTS))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | change))
    with pytest.raises(UnreadableError) as caught:
        RunFolder(tmp_path).config()
    assert part in str(caught.value) and "\n" not in str(caught.value)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"seed": 2**63 - 1, "valid": -0.5}))
    assert RunFolder(tmp_path).config()["seed"] == 2**63 - 1
