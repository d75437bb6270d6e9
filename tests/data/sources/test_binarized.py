import numpy as np
import pytest
import torch
from source_cases import refused

from vaekl.data.sources.binarized import binarized_mnist


def test_binarized_mnist_is_larochelles(shared):
    source = binarized_mnist(root=str(shared))
    assert [len(x) for x in (source.train, source.valid, source.test)] == [50_000, 10_000, 10_000]
    assert source.spec.support == "binary"
    assert source.spec.levels == 2
    assert source.spec.shape == (1, 28, 28)
    assert set(source.train.unique().tolist()) == {0, 1}
    assert source.train.float().mean().item() == pytest.approx(0.1307, abs=0.002)  # MNIST's own mean, it was drawn from


def test_binarized_mnist_from_text(shared, tmp_path):
    expected = binarized_mnist(path=str(shared / "binarized_mnist.npz"))
    for split in ("train", "valid", "test"):
        rows = getattr(expected, split).reshape(-1, 784).numpy() + ord("0")
        text = np.full((len(rows), 1568), ord(" "), np.uint8)
        text[:, ::2], text[:, -1] = rows, ord("\n")
        (tmp_path / f"binarized_mnist_{split}.amat").write_bytes(text.tobytes())
    source = binarized_mnist(root=str(tmp_path))
    assert torch.equal(source.valid, expected.valid)
    assert torch.equal(source.train, expected.train)
    file, rows = tmp_path / "binarized_mnist_train.amat", text[:100].tobytes()
    for broken in (rows, rows[:-100], rows.replace(b"1", b"2"), b""):
        file.write_bytes(broken)
        refused(lambda: binarized_mnist(root=str(tmp_path)), file)


def test_binarized_mnist_says_what_is_missing(tmp_path):
    refused(lambda: binarized_mnist(root=str(tmp_path)), tmp_path, "binarized_mnist.npz", "dataset=digits")
    (tmp_path / "binarized_mnist.npz").write_bytes(b"PK")
    refused(lambda: binarized_mnist(root=str(tmp_path)), tmp_path / "binarized_mnist.npz")
