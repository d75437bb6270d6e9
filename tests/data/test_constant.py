"""What never varies in training is counted in the head of a run, once."""

import numpy as np
import pytest
import torch
from cli_helpers import vaekl

from vaekl.data.constant import constant_values
from vaekl.data.sources.npz import npz
from vaekl.data.spec import DataSpec
from vaekl.data.splits import Data
from vaekl.data.transforms import AsStored

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("constant", "line"), [((), []), ((2,), ["1 of 5 values never varies in training"])])
def test_values_of_an_array(tmp_path, constant, line):
    train, test = RNG.normal(size=(2, 40, 5))
    train[:, constant] = 3.5
    np.savez(tmp_path / "a.npz", x_train=train, x_test=test)
    source = npz(str(tmp_path / "a.npz"))

    def remarks(to_train):
        lines = Data.from_source(source, AsStored(), ("real",), to_train=to_train).inventory.remarks
        return [one for one in lines if "never" in one]

    assert remarks(to_train=True) == line and remarks(to_train=False) == []


def test_a_late_change_counts_and_images_do_not():
    late = torch.zeros(2500, 3)
    late[-1, 1] = 1
    assert constant_values(late, DataSpec("mine", (3,), None, "real")) == ["2 of 3 values never vary in training"]
    assert constant_values(late[:, None, None], DataSpec("mine", (1, 1, 3), None, "real")) == []
    deep = late.to(torch.uint16)
    assert constant_values(deep, DataSpec("mine", (3,), 4096, "levels")) == ["2 of 3 values never vary in training"]


def test_columns_of_a_table_are_named(tmp_path):
    rows = [f"{i * 0.5},{7 + (part == 'test') * i},{i % 5},{part}" for part in ("train", "test") for i in range(20)]
    (tmp_path / "x.csv").write_text("\n".join(["a,planet,b,part", *rows]))
    words = ("train", "dataset=table", "dataset.path=x.csv", "dataset.split=part", "likelihood=gaussian", "valid=0")
    answer = vaekl(tmp_path, *words, "model.hidden=[4]", "model.latents=2", "trainer.steps=1", "hydra.run.dir=run")
    assert answer.code == 0 and answer.out.count("1 of 3 columns never varies in training: planet") == 1
