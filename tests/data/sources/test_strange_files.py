"""Pipes, sockets, devices and files without end among a data set's files: the images are read, or one sentence is said.

Each within ten seconds and 1 GB beyond what the process has.
"""

import io
import os
import signal
import socket
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from source_cases import refused

from vaekl.data import files
from vaekl.data.files import open_file
from vaekl.data.inventory import Inventory
from vaekl.data.sources import array_files, binarized, vision
from vaekl.data.sources.folders import image_folder
from vaekl.data.sources.npz import npz
from vaekl.data.sources.table_files import Format, read_table

TERABYTE = 1 << 40


pytestmark = pytest.mark.usefixtures("bounded")


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path.name)
    os.chdir(here)


def make_device(path):
    path.symlink_to("/dev/zero")


def make_hole(path, start=b"", size=TERABYTE):
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)


STRANGE = [make_pipe, make_socket, make_device, make_hole]


@pytest.mark.parametrize("make", STRANGE)
@pytest.mark.parametrize(
    "name", ["a.npz", "a.mat", "a.h5", "a.pt", "a.safetensors", "x_train.npy", "folder/x_train.npy"]
)
def test_among_arrays(name, make, tmp_path):
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    make(place)
    refused(lambda: npz(str(place.parent if place.parent.name == "folder" else place)))


@pytest.mark.parametrize("make", STRANGE)
def test_among_images(make, tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("L", (8, 8)).save(tmp_path / name)
    make(tmp_path / "strange.png")
    source = image_folder(str(tmp_path), root=str(tmp_path / "root"), skip_broken=True)
    assert len(source.train) == 1 and "strange.png" in str(source.inventory)


@pytest.mark.parametrize("make", STRANGE)
@pytest.mark.parametrize("name", ["binarized_mnist.npz", "binarized_mnist_train.amat"])
def test_among_binary_digits(name, make, tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / f"binarized_mnist_{split}.amat").write_text("0 1\n")
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    refused(lambda: binarized.binarized_mnist(str(tmp_path)), tmp_path)


@pytest.mark.parametrize("make", STRANGE)
@pytest.mark.parametrize(
    ("source", "name"),
    [
        (vision.mnist, "MNIST/raw/train-images-idx3-ubyte"), (vision.mnist, "MNIST/raw/t10k-labels-idx1-ubyte.gz"),
        (vision.emnist, "EMNIST/raw/emnist-balanced-train-images-idx3-ubyte"), (vision.emnist, "EMNIST/raw/gzip.zip"),
        (vision.cifar10, "cifar-10-python.tar.gz"), (vision.cifar10, "cifar-10-batches-py/data_batch_1"),
        (vision.svhn, "train_32x32.mat"), (vision.omniglot, "omniglot-py/images_background.zip"),
        (vision.celeba, "celeba/list_eval_partition.txt"),
    ],
)  # fmt: skip
def test_among_files_of_a_known_data_set(source, name, make, tmp_path):
    place = tmp_path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    make(place)
    sentence = refused(lambda: source(str(tmp_path)))
    assert make is not make_hole or (f"{place} is no file of " in sentence and "1,099,511,627,776 bytes" in sentence)


@pytest.mark.parametrize("make", STRANGE)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_as_a_table(name, make, tmp_path):
    pytest.importorskip("pyarrow")
    make(tmp_path / name)
    refused(lambda: read_table(tmp_path / name, Format(), Inventory()), name)


def test_a_table_of_endless_columns_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "a.csv").write_text("a," * 1_000_000 + "a\n")
    refused(lambda: read_table(tmp_path / "a.csv", Format(), Inventory()), "1,000,001 columns, more than 20,000")


def test_what_torchvision_once_kept_is_not_read(tmp_path, monkeypatch):
    """Before any other file torchvision would read files of PyTorch's there."""
    (tmp_path / "MNIST/processed").mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        (tmp_path / "MNIST/processed" / name).touch()
    monkeypatch.setattr("torch.load", lambda *_, **__: pytest.fail("it is read"))
    refused(lambda: vision.mnist(str(tmp_path)), "MNIST/raw")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/stdin", "/proc/kmsg", "/dev", "/proc/self/fd"])
@pytest.mark.parametrize("source", [npz, image_folder, binarized.binarized_mnist])
def test_paths_that_are_no_data(source, path):
    refused(lambda: source(path))


def header(shape, order=False, dtype="|u1"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": order, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize("order", [False, True])
def test_an_array_of_a_terabyte_of_nothing_is_refused(order, tmp_path):
    """NumPy's header is right, and all that follows is a hole, which would be read as zeros for half an hour."""
    make_hole(tmp_path / "x_train.npy", header((1 << 29, 32, 32), order))
    refused(lambda: npz(str(tmp_path / "x_train.npy")), "x_train.npy", "next to none were ever written")


def test_a_file_with_some_holes_is_data(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_SMALL", 1 << 16)
    part, hole = b"x" * 4096, 1 << 20
    with (tmp_path / "file").open("wb") as file:
        for number in range(8):
            file.seek(number * hole)
            file.write(part)
    open_file(tmp_path / "file").close()
    with (tmp_path / "file").open("r+b") as file:
        file.truncate(TERABYTE)
    with pytest.raises(ValueError, match="next to none were ever written"):
        open_file(tmp_path / "file")


@pytest.mark.parametrize(
    "start",
    [
        b"\x93NUMPY\x02\x00\xff\xff\xff\x3f", b"\x93NUMPY\x01\x00\xff\xff", header((8, 8))[:40], header((-1, 8, 8)),
        header((1 << 62, 1 << 62)), header((2,) * 40), header((4, 4, 4), dtype="|O"),
        b"\x93NUMPY\x01\x00\x88\x13" + b"(" * 5000, header((9, 8, 8)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("in_archive", [False, True])
def test_headers_of_no_array(start, in_archive, tmp_path):
    """4 GB of a header, a negative length, one that is nested, ..."""
    make_hole(tmp_path / "x_train.npy", start, 1 << 9)
    if in_archive:
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.write(tmp_path / "x_train.npy", "x_train.npy")
    refused(lambda: npz(str(tmp_path / ("a.npz" if in_archive else "x_train.npy"))))


def test_an_archive_of_a_long_table_of_contents_is_refused(tmp_path):
    length = 50 << 20
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, length, 0, 0)
    make_hole(tmp_path / "a.npz", size=length)
    with (tmp_path / "a.npz").open("ab") as file:
        file.write(end)
    refused(lambda: npz(str(tmp_path / "a.npz")), "its table of contents is too long")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, "encrypted", "patched", 99])
def test_members_that_numpy_does_not_write(method, tmp_path):
    file = tmp_path / "a.npz"
    with zipfile.ZipFile(file, "w", method if method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA) else 0) as archive:
        archive.writestr("x_train.npy", header((4, 8, 8)) + bytes(256))
    content = bytearray(file.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.index(signature) + flags
        if method in ("encrypted", "patched"):
            content[place] |= 1 if method == "encrypted" else 32
        if method == 99:
            content[place + 2] = 99
    file.write_bytes(content)
    refused(lambda: npz(str(file)), "a.npz")


def test_a_member_that_unfolds_as_no_images_do_is_refused(tmp_path, monkeypatch):
    """Zeros are deflated to a thousandth: 20 MB would fill 20 GB of memory, if there are so many."""
    monkeypatch.setattr(array_files, "_LARGE", 1 << 20)
    np.savez_compressed(tmp_path / "a.npz", x_train=np.zeros((4096, 32, 32), np.uint8))
    refused(lambda: npz(str(tmp_path / "a.npz")), "x_train.npy", "times its size, which no images do")


@pytest.mark.nightly
@pytest.mark.parametrize("suffix", [".png", ".txt"])
def test_a_folder_of_a_million_files(suffix, tmp_path):
    signal.alarm(120)
    for number in range(1_000_000):
        os.close(os.open(tmp_path / f"{number}{suffix}", os.O_CREAT))
    signal.alarm(60)  # a million images are work
    refused(lambda: image_folder(str(tmp_path), root=str(tmp_path.parent / "root")))
    refused(lambda: npz(str(tmp_path)))
