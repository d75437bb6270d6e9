import pytest
import torch

from vaekl.data import batch_slices, epoch_order
from vaekl.data.auto import AutoTransform
from vaekl.data.order import shuffled
from vaekl.data.sources.embedded import digits
from vaekl.data.spec import DataSpec, Source
from vaekl.data.splits import Data
from vaekl.data.transforms import Scale
from vaekl.system.errors import VaeklError


def numbered(n: int = 100, valid: int | None = None) -> Source:
    """Image i has the value i everywhere, so that splits can be told apart."""
    images = torch.arange(n, dtype=torch.uint8).reshape(n, 1, 1, 1)
    own = None if valid is None else torch.full((valid, 1, 1, 1), 255, dtype=torch.uint8)
    test = torch.full((7, 1, 1, 1), 200, dtype=torch.uint8)
    return Source(DataSpec("numbered", (1, 1, 1), 256, "levels"), images, test, own, train_labels=torch.arange(n))


def values(split) -> set[int]:
    return set(split.images.flatten().tolist())


@pytest.mark.parametrize(("valid", "count"), [(0.1, 10), (0.001, 1), (25, 25), (1, 1), (99, 99)])
def test_validation_is_cut_from_train_alone(valid, count):
    splits = {}
    for seed in (0, 1):
        data = Data.from_source(numbered(), Scale(), (), valid=valid, split_seed=seed)
        assert len(data.valid) == count
        assert len(data.train) == 100 - count
        assert values(data.train) | values(data.valid) == set(range(100))
        assert torch.equal(data.train.labels, data.train.images.flatten())
        assert values(data.test) == {200}
        assert len(data.test) == 7
        splits[seed] = values(data.valid)
    again = Data.from_source(numbered(), Scale(), (), valid=valid, split_seed=0)
    assert values(again.valid) == splits[0]
    assert splits[0] != splits[1]


def test_a_fraction_is_capped_and_a_count_is_not():
    images = torch.zeros(60_000, 1, 1, 1, dtype=torch.uint8)
    source = Source(DataSpec("many", (1, 1, 1), 256, "levels"), images, images[:1])
    assert len(Data.from_source(source, Scale(), (), valid=0.1).valid) == 5000
    assert len(Data.from_source(source, Scale(), (), valid=6000).valid) == 6000


def test_no_validation_and_a_sources_own():
    data = Data.from_source(numbered(), Scale(), (), valid=0)
    assert data.valid is None
    assert len(data.train) == 100
    data = Data.from_source(numbered(valid=3), Scale(), ())
    assert len(data.valid) == 3
    assert values(data.valid) == {255}
    assert len(data.train) == 100
    assert Data.from_source(numbered(valid=3), Scale(), (), valid=0).valid is None


@pytest.mark.parametrize("valid", [-0.1, 1.5, 100, 101, float("nan"), float("inf")])
def test_a_senseless_validation_size_is_refused(valid):
    with pytest.raises(VaeklError, match="valid="):
        Data.from_source(numbered(), Scale(), (), valid=valid)


def test_batches_are_gathered_and_transformed():
    data = Data.from_source(numbered(), Scale(), (), valid=0)
    index = torch.tensor([3, 1, 3])
    assert (data.train.batch(index) * 255).flatten().tolist() == pytest.approx([3, 1, 3])
    assert (data.train.batch(slice(5, 7)) * 255).flatten().tolist() == pytest.approx([5, 6])
    assert data.spec.support == "unit_interval"
    assert data.stored.support == "levels"


def test_auto_on_digits_gives_back_the_stored_levels():
    data = Data.from_source(digits(), AutoTransform(), ("unit_interval",)).to("cpu")
    x = data.train.batch(slice(None), torch.Generator().manual_seed(0))
    assert torch.equal((x * 17).floor().to(torch.uint8), data.train.images)
    assert data.spec.dequantized
    assert data.spec.levels == 17


def test_epoch_order_is_a_pure_function_of_seed_and_epoch():
    seen = set()
    for seed in (0, 1, 2**32, 2**63, -1):
        for epoch in (0, 1, 2**32):
            order = epoch_order(50, seed, epoch)
            assert order.dtype == torch.int64
            assert sorted(order.tolist()) == list(range(50))
            assert torch.equal(order, epoch_order(50, seed, epoch))
            seen.add(tuple(order.tolist()))
    assert len(seen) == 15


def test_orders_are_uniform():
    first = torch.stack([shuffled(5, seed) for seed in range(5000)])[:, 0].bincount() / 5000
    assert (first - 0.2).abs().max() < 0.03


def test_batch_slices():
    assert [(s.start, s.stop) for s in batch_slices(10, 4)] == [(0, 4), (4, 8)]
    assert [(s.start, s.stop) for s in batch_slices(10, 4, drop_last=False)] == [(0, 4), (4, 8), (8, 10)]
    assert [(s.start, s.stop) for s in batch_slices(3, 4)] == [(0, 3)]
    assert [(s.start, s.stop) for s in batch_slices(4, 4)] == [(0, 4)]
    with pytest.raises(VaeklError, match="batch"):
        batch_slices(3, 0)
