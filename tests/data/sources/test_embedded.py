import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_images

from vaekl.data.sources import embedded
from vaekl.data.sources.embedded import PATCH_TRAIN_COLUMNS, digits, patches


@pytest.mark.parametrize("has_file", [True, False])
def test_digits_are_sklearns(has_file, monkeypatch):
    bunch = load_digits()
    if not has_file:
        monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    source = digits()
    both = torch.cat([source.train, source.test])
    assert (len(source.train), len(source.test)) == (1437, 360)
    assert np.array_equal(both[:, 0].numpy(), bunch.images)
    assert np.array_equal(torch.cat([source.train_labels, source.test_labels]), bunch.target)
    assert source.spec.shape == (1, 8, 8)
    assert source.spec.levels == 17
    assert source.spec.support == "levels"


def _found(patch: np.ndarray, photograph: np.ndarray) -> list[int]:
    """The columns at which a patch [3, 32, 32] occurs in a photograph [H, W, 3]."""
    height, width, _ = photograph.shape
    rows, columns = np.nonzero((photograph[: height - 31, : width - 31] == patch[:, 0, 0]).all(-1))
    wanted = patch.transpose(1, 2, 0)
    at = zip(rows, columns, strict=True)
    return [c for r, c in at if np.array_equal(photograph[r : r + 32, c : c + 32], wanted)]


def test_patches_of_train_and_test_come_from_separate_places():
    source, photographs = patches(), load_sample_images().images
    assert source.train.shape == (6000, 3, 32, 32)
    assert source.test.shape == (1000, 3, 32, 32)
    assert source.train.dtype == torch.uint8
    assert source.spec.levels == 256
    for i in range(0, 1000, 50):
        columns = _found(source.train[i].numpy(), photographs[source.train_labels[i]])
        assert columns
        assert all(c + 32 <= PATCH_TRAIN_COLUMNS for c in columns)
        columns = _found(source.test[i].numpy(), photographs[source.test_labels[i]])
        assert columns
        assert all(c >= PATCH_TRAIN_COLUMNS for c in columns)


def test_patches_repeat_by_seed_and_are_all_different():
    first, again, other = patches(), patches(), patches(seed=1)
    assert torch.equal(first.train, again.train)
    assert torch.equal(first.test, again.test)
    assert not torch.equal(first.train, other.train)
    assert len(first.train.flatten(1).unique(dim=0)) == 6000
    assert set(first.train_labels.tolist()) == {0, 1}
