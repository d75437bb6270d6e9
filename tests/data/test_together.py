"""All images of a data set, those that were held out put back into their order."""

import numpy as np
import pytest
import torch

from vaekl.data import Data
from vaekl.data.auto import AutoTransform
from vaekl.data.sources.npz import npz
from vaekl.data.transforms import AsStored

GREY = np.random.default_rng(0).integers(0, 256, (40, 4, 3), np.uint8)


def everything(path, **settings):
    return Data.from_source(npz(str(path), layout="NHW"), AsStored(), ("levels",), **settings).all()


def saved(folder, as_files, **arrays):
    if not as_files:
        np.savez(folder / "a.npz", **arrays)
        return folder / "a.npz"
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.mark.parametrize("as_files", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("valid", [0, 0.2])
@pytest.mark.parametrize(
    "cuts",
    [{"x_train": (0, 40)}, {"x_train": (0, 30), "x_test": (30, 40)}, {"x_test": (0, 40)},
     {"x_train": (0, 25), "x_val": (25, 30), "x_test": (30, 40)}, {"x_train": (0, 30), "x_val": (30, 40)}],
    ids=lambda cuts: "+".join(cuts),
)  # fmt: skip
def test_all_images_are_there_once_and_in_the_order_of_their_file(tmp_path, as_files, dtype, valid, cuts):
    images = GREY.astype(dtype) * (1 if dtype == np.uint8 else 16)
    arrays = {name: images[start:end] for name, (start, end) in cuts.items()}
    labels = {name.replace("x", "y"): np.arange(*cut) for name, cut in cuts.items()}
    split = everything(saved(tmp_path, as_files, **arrays, **labels), valid=valid, to_train=False)
    expected = torch.from_numpy(images.astype(np.int32))
    assert torch.equal(split.stored(slice(None))[:, 0].int(), expected)
    assert split.labels.tolist() == list(range(40))
    some = torch.tensor([39, 0, 17, 17])
    assert torch.equal(split.stored(some)[:, 0].int(), expected[some])
    assert torch.equal(
        torch.cat(list(split.stream([slice(0, 7), some])))[:, 0].int(), expected[[*range(7), *some.tolist()]]
    )
    first = split.first(9)
    assert len(first) == 9 and torch.equal(first.stored(slice(3, 9))[:, 0].int(), expected[3:9])
    assert first.labels.tolist() == list(range(9))


def test_few_images_are_looked_at_whatever_the_run_held_out(tmp_path):
    """A run may have held out more images than there are in the data that it looks at."""
    assert len(everything(saved(tmp_path, False, x_train=GREY[:7]), valid=500, to_train=False)) == 7


def test_the_labels_of_some_are_the_labels_of_none(tmp_path):
    assert everything(saved(tmp_path, False, x_train=GREY[:30], x_test=GREY[30:], y_train=np.arange(30))).labels is None


def test_real_values_that_are_only_looked_at_are_standardized_for_now_by_themselves(tmp_path):
    source = npz(str(saved(tmp_path, False, x_test=GREY - 300.0)))
    data = Data.from_source(source, AutoTransform(), ("real",), to_train=False)
    assert data.spec.scaling is not None
    assert data.all().batch(slice(None)).mean().abs() < 1e-5
