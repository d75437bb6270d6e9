"""Data from a stranger: what would fill the memory, start a program or leave its folder is refused in a sentence."""

import io
import os
import shutil
import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from source_cases import refused

from vaekl.data.sources import array_files, images, pixels
from vaekl.data.sources.folders import image_folder
from vaekl.data.sources.npz import npz
from vaekl.data.sources.pixels import Decoding
from vaekl.data.sources.table import table
from vaekl.data.sources.vision import mnist


def png_bomb(side):
    """A PNG of a few kilobytes whose pixels take side² bytes."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_an_image_that_unfolds_is_refused_before_it_does(tmp_path):
    bomb = png_bomb(8193)
    assert len(bomb) < 100_000
    (tmp_path / "bomb.png").write_bytes(bomb)
    refused(lambda: image_folder(str(tmp_path), root=str(tmp_path)), "bomb.png", "8193 times 8193 pixels")
    Image.new("L", (8192, 8192)).save(tmp_path / "bomb.png")  # the largest
    assert images.read_images([tmp_path / "bomb.png"], Decoding(size=1)).shape == (1, 3, 1, 1)


def test_many_large_images_are_not_held_together(tmp_path, monkeypatch):
    """12 of them, of which two may be in memory."""
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(png_bomb(64))
    monkeypatch.setattr(images, "_TOGETHER_BYTES", 2 * 3 * 64 * 64)
    read, begun = pixels.read, []
    monkeypatch.setattr(pixels, "read", lambda path, *how: (begun.append(path), read(path, *how))[1])
    decoded = images._decode(sorted(tmp_path.iterdir()), Decoding())
    next(decoded)
    next(decoded)
    time.sleep(0.2)
    assert len(begun) == 3
    assert len(list(decoded)) == 10


def test_text_that_unfolds_in_an_image_is_refused(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    words = PngInfo()
    words.add_text("comment", "0" * (65 << 20), zip=True)
    Image.new("L", (8, 8)).save(tmp_path / "bomb.png", pnginfo=words)
    assert (tmp_path / "bomb.png").stat().st_size < 200_000
    refused(lambda: image_folder(str(tmp_path), root=str(tmp_path)), "bomb.png", "can be read")


def test_postscript_under_another_name_starts_no_ghostscript(tmp_path, monkeypatch):
    """Pillow looks at the content, not at the name, and draws PostScript by starting `gs`."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    (bin_ / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "photos").mkdir()
    script = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(%pipe%touch ran) (r) file\n%%EOF\n"
    (tmp_path / "photos/a.png").write_text(script)
    refused(lambda: image_folder(str(tmp_path / "photos"), root=str(tmp_path)), "a.png", "can be read")
    assert not (tmp_path / "ran").exists()
    # the trap is a good one
    with Image.open(tmp_path / "photos/a.png") as file, pytest.raises(Exception):  # noqa: B017, PT011
        file.load()
    assert (tmp_path / "ran").exists()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_arrays_that_unfold_beyond_the_memory_are_refused(tmp_path, monkeypatch):
    file = tmp_path / "bomb.npz"
    np.savez_compressed(file, x_train=np.zeros((1000, 100, 100), np.uint8))
    assert file.stat().st_size < 100_000
    monkeypatch.setattr(array_files, "free_memory", lambda: 9e6)
    refused(lambda: npz(str(file)), "bomb.npz unfolds to 0.0 GB", ".npy files in a folder")
    monkeypatch.setattr(array_files, "free_memory", lambda: 11e6)
    npz(str(file))


def test_an_archive_that_lies_about_its_size_is_refused(tmp_path):
    """The array's header says 640 GB; then the directory says less than what unfolds."""
    whole = npy(np.zeros((100, 8, 8), np.uint8))
    huge = whole.replace(b"(100, 8, 8), }" + 8 * b" ", b"(100000000, 8, 800), }")
    file = tmp_path / "a.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", huge)
    assert np.lib.format.read_array_header_1_0(io.BytesIO(huge[8:]))[0] == (100_000_000, 8, 800)
    refused(lambda: npz(str(file)), "a.npz unfolds to 640.0 GB")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", whole)
    size = struct.pack("<I", len(whole))
    assert file.read_bytes().count(size) == 2
    file.write_bytes(file.read_bytes().replace(size, struct.pack("<I", 200)))
    refused(lambda: npz(str(file)), "a.npz cannot be read")


def test_what_is_no_array_in_an_archive_is_left_alone(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", bytes(1000))
    refused(lambda: npz(str(tmp_path / "a.npz")), "x_train (it is no .npy file)")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    refused(lambda: npz(str(tmp_path / "a.npz")), "neither a file nor a folder")
    (tmp_path / "mixed").mkdir()
    os.mkfifo(tmp_path / "mixed" / "x_train.npy")
    refused(lambda: npz(str(tmp_path / "mixed")), "holds no .npy files")
    os.mkfifo(tmp_path / "mixed" / "a.png")
    refused(lambda: image_folder(str(tmp_path / "mixed")), "holds no images")


@pytest.mark.parametrize("source", [npz, image_folder, table])
def test_what_cannot_be_read_has_a_sentence(source, tmp_path):
    (tmp_path / "a.csv").touch()
    refused(lambda: source(str(tmp_path / "a.csv")), "a.csv is empty; set dataset.path=F", " to where the data are.")
    refused(
        lambda: source("x" * 300), f"dataset.path={'x' * 100}… cannot be read (File name too long); set dataset.path"
    )


def test_a_file_that_the_system_cannot_read_has_a_sentence():
    file = Path("/proc/self/mem")
    if not file.exists():
        pytest.skip("no such file here")
    refused(lambda: npz(str(file)), "/proc/self/mem is empty; set dataset.path=FILE.npz to where the data are.")
    refused(
        lambda: array_files.of_npz(file),
        "/proc/self/mem cannot be read (Input/output error): set dataset.path to another file.",
    )


@pytest.mark.parametrize("name", ["a.npz", "x_train.npy", "folder"])
def test_pickled_objects_are_not_read(name, tmp_path):
    class Evil:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    evil = np.array([Evil()] * 4, dtype=object)
    place = tmp_path / name
    if name == "a.npz":
        np.savez(place, x_train=evil)
    elif name == "folder":
        place.mkdir()
        np.save(place / "x_train.npy", evil)
    else:
        np.save(place, evil)
    refused(lambda: npz(str(place)), "x_train.npy" if name == "folder" else name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("place", ["decoded", "decoded/.photos-{}.lock", ".vaekl", ".vaekl/MNIST", ".vaekl/MNIST.lock"])
def test_nothing_is_written_through_a_link_in_the_data_directory(place, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(png_bomb(8))
    (tmp_path / "photos/b.png").write_bytes(png_bomb(8))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/diary").write_text("dear")
    root = tmp_path / "root"
    image_folder(str(tmp_path / "photos"), root=str(root))
    (lock,) = (root / "decoded").glob("*.lock")
    shutil.rmtree(root)
    link = root / place.format(lock.name[len(".photos-") : -len(".lock")])
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "mine" / ("diary" if link.suffix == ".lock" else ""))
    read = {
        "decoded": lambda: image_folder(str(tmp_path / "photos"), root=str(root)),
        ".vaekl": lambda: mnist(str(root)),
    }
    refused(read[place.split("/")[0]], str(link), "is a link", "take it away")
    assert [(path.name, path.read_text()) for path in (tmp_path / "mine").iterdir()] == [("diary", "dear")]
