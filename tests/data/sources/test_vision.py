import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from source_cases import refused
from torchvision import datasets
from torchvision.datasets import utils

from vaekl.data.sources import vision
from vaekl.data.sources.idx import read_idx
from vaekl.data.sources.staging import data_root


def staged(root: Path) -> list[str]:
    """What was left behind in the staging area."""
    return [path.name for path in (root / ".vaekl").glob("*") if path.suffix != ".lock"]


def test_archives_unpack_without_a_network(copied):
    source = vision.mnist(str(copied))
    assert source.train.shape == (60_000, 1, 28, 28)
    assert source.test.shape == (10_000, 1, 28, 28)
    assert source.train.dtype == torch.uint8
    assert source.spec.levels == 256
    assert source.spec.support == "levels"
    pixels = source.train.float() / 255
    assert pixels.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std().item() == pytest.approx(0.3081, abs=5e-5)
    assert source.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert source.test_labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert staged(copied) == []

    unpacked = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    again = vision.mnist(str(copied))
    assert torch.equal(again.train, source.train)
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == unpacked, "unpacked once"


def test_fashion_mnist_mean(shared, tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in (shared / "FashionMNIST" / "raw").iterdir():
        (raw / archive.name).write_bytes(archive.read_bytes())
    pixels = vision.fashion_mnist(str(tmp_path)).train.float() / 255
    assert pixels.mean().item() == pytest.approx(0.2860, abs=5e-5)
    assert pixels.std().item() == pytest.approx(0.3530, abs=5e-5)


def test_a_truncated_archive_is_named_and_left_alone(copied):
    archive = copied / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    archive.write_bytes(archive.read_bytes()[:5_000_000])
    refused(lambda: vision.mnist(str(copied)), archive, "truncated", "dataset=digits")
    assert archive.stat().st_size == 5_000_000
    assert staged(copied) == []
    assert not list(copied.rglob("*-ubyte"))


def test_a_truncated_unpacked_file_is_mended_from_its_archive(copied):
    vision.mnist(str(copied))
    unpacked = copied / "MNIST" / "raw" / "train-images-idx3-ubyte"
    unpacked.write_bytes(unpacked.read_bytes()[:1_000_000])
    assert len(vision.mnist(str(copied)).train) == 60_000


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mnist", "MNIST/raw"),
        ("kmnist", "KMNIST/raw"),
        ("emnist", "EMNIST/raw"),
        ("cifar10", "cifar-10-python.tar.gz"),
        ("cifar100", "cifar-100-python.tar.gz"),
        ("svhn", "train_32x32.mat"),
        ("omniglot", "images_background.zip"),
        ("celeba", "img_align_celeba.zip"),
    ],
)
def test_without_a_network_one_sentence_says_what_goes_where(tmp_path, name, file):
    message = refused(
        lambda: getattr(vision, name)(str(tmp_path)), name, tmp_path, file.split("/")[-1], "dataset=patches"
    )
    assert "not in" in message
    assert staged(tmp_path) == []


def test_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    refused(lambda: vision.mnist(str(tmp_path / "file")), tmp_path / "file", "VAEKL_DATA_DIR")


def test_leftovers_of_a_killed_process_are_cleared(copied):
    stale = copied / ".vaekl" / "MNIST" / "MNIST" / "raw"
    stale.mkdir(parents=True)
    (stale / "train-images-idx3-ubyte").write_bytes(b"half")
    assert len(vision.mnist(str(copied)).train) == 60_000
    assert staged(copied) == []


@pytest.mark.nightly
def test_a_kill_while_unpacking_leaves_no_half_set(copied):
    program = (
        "import torchvision.datasets.mnist as m, time, sys\n"
        "extract = m.download_and_extract_archive\n"
        "def slow(*a, **k):\n    extract(*a, **k); print('one', flush=True); time.sleep(60)\n"
        "m.download_and_extract_archive = slow\n"
        "from vaekl.data.sources.vision import mnist\n"
        f"mnist({str(copied)!r})\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"one"
        os.kill(child.pid, signal.SIGKILL)
    assert staged(copied) == ["MNIST"]
    assert not list((copied / "MNIST").rglob("*-ubyte"))
    assert len(vision.mnist(str(copied)).test) == 10_000
    assert staged(copied) == []


def _mean(root: str) -> float:
    return vision.mnist(root).train.float().mean().item() / 255


@pytest.mark.nightly
def test_two_processes_at_once(copied):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        means = pool.map(_mean, [str(copied)] * 2, chunksize=1)
    assert means == pytest.approx([0.1307] * 2, abs=5e-5)
    assert staged(copied) == []


def test_emnist_is_turned_upright(tmp_path, monkeypatch):
    image = torch.zeros(2, 28, 28, dtype=torch.uint8)
    image[:, 3, 20] = 255
    monkeypatch.setattr(datasets.EMNIST, "_check_exists", lambda self: True)
    monkeypatch.setattr(datasets.EMNIST, "_load_data", lambda self: (image, torch.tensor([1, 2])))
    source = vision.emnist(str(tmp_path))
    assert source.train[0, 0, 20, 3] == 255
    assert source.train[0].sum() == 255
    refused(lambda: vision.emnist(str(tmp_path), split="all"), "balanced")


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_omniglot_unpacks_archives_that_torchvision_would_not(tmp_path, monkeypatch):
    folder = tmp_path / "omniglot-py"
    folder.mkdir()
    sums = {}
    for name, count in (("images_background", 4), ("images_evaluation", 2)):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for i in range(count):
                path = tmp_path / "one.png"
                Image.fromarray(np.full((105, 105), 255 - 10 * i, np.uint8)).save(path)
                archive.write(path, f"{name}/Latin/character{i // 2}/{i}.png")
        sums[name] = md5(folder / f"{name}.zip")
    monkeypatch.setattr(datasets.Omniglot, "zips_md5", sums)
    source = vision.omniglot(str(tmp_path))
    assert source.train.shape == (4, 1, 28, 28)
    assert source.test.shape == (2, 1, 28, 28)
    assert source.train[:, 0, 0, 0].tolist() == [0, 10, 20, 30]
    assert source.train_labels.tolist() == [0, 0, 1, 1]
    (folder / "images_background" / "Latin" / "character0" / "1.png").unlink()
    assert len(vision.omniglot(str(tmp_path)).train) == 4


def test_celeba_is_unpacked_once_and_kept_decoded(tmp_path, monkeypatch):
    folder = tmp_path / "celeba"
    folder.mkdir()
    names = [f"{i:06d}.jpg" for i in range(6)]
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for i, name in enumerate(names):
            Image.new("RGB", (178, 218), (40 * i, 0, 0)).save(tmp_path / name)
            archive.write(tmp_path / name, f"img_align_celeba/{name}")
    rows = "".join(f"{name} {i // 2}\n" for i, name in enumerate(names))
    for name in ("list_eval_partition.txt", "identity_CelebA.txt"):
        (folder / name).write_text(rows)
    for name in ("list_attr_celeba.txt", "list_bbox_celeba.txt", "list_landmarks_align_celeba.txt"):
        (folder / name).write_text("6\nsome column\n" + rows)
    monkeypatch.setattr(datasets.CelebA, "file_list", [("", md5(path), path.name) for path in sorted(folder.iterdir())])
    first = vision.celeba(str(tmp_path))
    assert first.train.shape == first.valid.shape == first.test.shape == (2, 3, 64, 64)
    assert first.test.gather(slice(1, 2))[0, 0].float().mean().item() == pytest.approx(200, abs=3)
    monkeypatch.setattr("vaekl.data.sources.pixels.read", None)
    again = vision.celeba(str(tmp_path))
    assert torch.equal(again.valid.gather(slice(None)), first.valid.gather(slice(None)))


def test_cifar_and_svhn_arrays(tmp_path, monkeypatch):
    image = np.zeros((2, 32, 32, 3), np.uint8)
    image[:, 4, 5, 2] = 7

    def fill(self, root, **_):
        self.data, self.targets = image, [1, 9]

    monkeypatch.setattr(datasets.CIFAR10, "__init__", fill)
    assert vision.cifar10(str(tmp_path)).train[0, 2, 4, 5] == 7

    def fill_svhn(self, root, split, **_):
        self.data, self.labels = image.transpose(0, 3, 1, 2), np.array([1, 9])

    monkeypatch.setattr(datasets.SVHN, "__init__", fill_svhn)
    source = vision.svhn(str(tmp_path))
    assert source.train[0, 2, 4, 5] == 7
    assert source.train.is_contiguous()
    assert source.test_labels.tolist() == [1, 9]


def test_data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("VAEKL_DATA_DIR", str(tmp_path))
    assert data_root(None) == tmp_path
    assert data_root("~/x") == Path.home() / "x"
    monkeypatch.delenv("VAEKL_DATA_DIR")
    assert data_root(None).is_absolute()
    assert "vaekl" in str(data_root(None))


def test_a_fetched_archive_lands_whole(copied, monkeypatch):
    raw = copied / "MNIST" / "raw"
    whole = (raw / "t10k-labels-idx1-ubyte.gz").read_bytes()
    (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(whole[:100])
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr(utils, "_urlretrieve", lambda url, filename, **_: Path(filename).write_bytes(whole))
    assert len(vision.mnist(str(copied)).test) == 10_000
    assert (raw / "t10k-labels-idx1-ubyte.gz").read_bytes() == whole


@pytest.mark.parametrize("kind", ["MNIST", "EMNIST"])
def test_unpacked_files_are_read_as_torchvision_reads_them(kind, tmp_path, monkeypatch):
    raw = tmp_path / kind / "raw"
    raw.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    prefixes = {"MNIST": ("train", "t10k"), "EMNIST": ("emnist-letters-train", "emnist-letters-test")}[kind]
    for prefix, count in zip(prefixes, (7, 3), strict=True):
        for what, shape in (("images-idx3", (count, 4, 5)), ("labels-idx1", (count,))):
            begin = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">i4").tobytes()
            file = raw / f"{prefix}-{what}-ubyte"
            file.write_bytes(begin + numbers.integers(256, size=shape, dtype=np.uint8).tobytes())
    read = {"MNIST": vision.mnist, "EMNIST": lambda root: vision.emnist(root, split="letters")}[kind]
    monkeypatch.setattr(vision, "torchvision", lambda module: pytest.fail("torchvision is loaded"))
    source = read(str(tmp_path))
    settings = {"split": "letters"} if kind == "EMNIST" else {}
    for split, images, labels in (
        (True, source.train, source.train_labels),
        (False, source.test, source.test_labels),
    ):
        theirs = getattr(datasets, kind)(tmp_path, train=split, **settings)
        expected = theirs.data.transpose(1, 2) if kind == "EMNIST" else theirs.data
        assert torch.equal(images[:, 0], expected)
        assert torch.equal(labels, theirs.targets)
        assert images.dtype == torch.uint8
        assert labels.dtype == torch.int64


@pytest.mark.parametrize(
    "content", [b"", bytes([0, 0, 8, 1]), bytes([0, 0, 9, 1, 0, 0, 0, 1, 5]), bytes([0, 0, 8, 1, 0, 0, 0, 2, 5])]
)
def test_a_file_that_is_not_whole_or_not_of_bytes_is_refused(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="file"):
        read_idx(tmp_path / "file", 1, 1 << 20)
