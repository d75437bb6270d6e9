"""Small image files that would take gigabytes or hours, alone or together, whatever the number of cores."""

import io
import json
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import finished
from decoding_memory import grown, kilobytes
from forks import Fork
from PIL import Image

from vaekl.data.sources import images, limits, pixels
from vaekl.data.sources.pixels import Decoding, UnreadableError, read


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(side, kind=0, depth=8, more=b""):
    """A PNG of zeros: kind 0 grey, 2 RGB, 6 RGBA."""
    row = bytes(side * {0: 1, 2: 3, 6: 4}[kind] * depth // 8 + 1)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "depth", "how"), [(0, 8, Decoding(size=8)), (6, 8, Decoding()), (2, 16, Decoding(size=8))], ids=str
)
def test_the_memory_of_all_threads_is_bounded(kind, depth, how, tmp_path):
    """32 threads, each of which would have its image in memory, and glibc would keep what each has freed."""
    bomb, count = png(1280, kind, depth), 16
    (tmp_path / "00.png").write_bytes(bomb if how.size is None else png(8, kind, depth))
    for number in range(1, count):
        (tmp_path / f"{number:02}.png").write_bytes(bomb)
    assert len(bomb) < 20_000
    # in a process of its own: what other tests have left in this one's memory would be counted too
    answer = finished(Fork(grown, tmp_path, how, folder=tmp_path))
    assert answer.code == 0, answer.err
    images, stays, peak = json.loads(answer.out)
    assert images == count
    # of 1.6 million pixels each, which take 5 to 28 bytes; two may be decoded at once, and all would be 130 to 730 MB
    assert stays < 60_000
    assert peak < 2 * 1.6384e3 * (28 if depth == 16 else 14) + 40_000


def test_images_larger_than_the_first_are_not_kept(tmp_path, monkeypatch):
    """After a small one 512 are decoded ahead, of which each could have been 200 MB."""
    monkeypatch.setattr(images, "_TOGETHER_BYTES", 1 << 20)
    (tmp_path / "00.png").write_bytes(png(8))
    for number in range(1, 40):
        (tmp_path / f"{number:02}.png").write_bytes(png(1536))
    Path("/proc/self/clear_refs").write_text("5")
    before = kilobytes("VmRSS")
    with pytest.raises(Exception, match=r"01\.png has the shape \(3, 1536, 1536\)"):
        list(images._decode(sorted(tmp_path.iterdir()), Decoding()))
    assert kilobytes("VmHWM") - before < 150_000


def test_a_budget_is_shared_and_given_back():
    budget = limits.Budget(10)
    with budget.taken(4), budget.taken(6):
        assert budget._left == 0
    with budget.taken(1000):  # more than there is: alone
        assert budget._left == 0
    assert budget._left == 10


def directory(tags, order="<"):
    """A TIFF directory: number, type, count, and value or offset of each tag."""
    return struct.pack(f"{order}H", len(tags)) + b"".join(struct.pack(f"{order}HHII", *tag) for tag in tags) + bytes(4)


def tiff(tags, content=b""):
    return b"II*\0" + struct.pack("<I", 8) + directory(sorted(tags)) + content


SIZE = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 0), (279, 4, 1, 64)]


@pytest.mark.filterwarnings("ignore:Tag data larger")
@pytest.mark.usefixtures("bounded")
def test_tags_that_all_refer_to_the_same_megabyte(tmp_path):
    tags = [(40_000 + number, 7, 1 << 20, 8) for number in range(4000)]
    (tmp_path / "a.tif").write_bytes(tiff([*SIZE, *tags], bytes(1 << 20)))
    with suppress(UnreadableError):  # newer versions of Pillow leave such tags out
        assert read(tmp_path / "a.tif", Decoding()).pages.shape == (1, 3, 8, 8)


def test_a_file_is_not_read_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr(limits.Source, "_left", 100)
    (tmp_path / "a").write_bytes(bytes(60))
    with limits.Source.opened(tmp_path / "a") as source:
        assert len(source.read()) == 60
        source.seek(0)
        with pytest.raises(ValueError, match="again and again"):
            source.read()
        source.allow_pixels()
        source.seek(0)
        assert len(source.read()) == 60


@pytest.mark.filterwarnings("ignore:Tag data larger")
@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_exif_that_refers_to_itself(name, tmp_path):
    tags = [(40_000 + number, 7, 1 << 20, 8) for number in range(4000)]
    notes = b"Exif\0\0" + tiff(tags, bytes(1 << 20))
    if name == "a.png":
        (tmp_path / name).write_bytes(png(8, more=chunk(b"eXIf", notes[6:])))
    elif name == "a.webp":
        Image.new("L", (8, 8)).save(tmp_path / name, exif=notes[6:])
    else:
        file = io.BytesIO()
        Image.new("L", (8, 8)).save(file, "JPEG")
        parts = [b"Exif\0\0" + notes[start : start + 65_000] for start in range(6, len(notes), 65_000)]
        segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)
        (tmp_path / name).write_bytes(file.getvalue()[:2] + segments + file.getvalue()[2:])
    with pytest.raises(UnreadableError, match="Exif"):
        read(tmp_path / name, Decoding())


def test_a_tile_of_gigabytes_on_a_small_picture(tmp_path):
    tiles = [(322, 4, 1, 1 << 16), (323, 4, 1, 1 << 16), (324, 4, 1, 0), (325, 4, 1, 64)]
    (tmp_path / "a.tif").write_bytes(tiff([*SIZE[:5], *tiles]))
    with pytest.raises(UnreadableError, match="65536 times 65536 pixels"):
        read(tmp_path / "a.tif", Decoding())


@pytest.mark.usefixtures("bounded")
def test_pages_that_unfold_as_no_pictures_do(tmp_path, monkeypatch):
    """An animation of 80 empty pages in a few kilobytes, resized to 8 times 8."""
    monkeypatch.setattr(pixels, "_MOST_PIXELS", 1 << 18)
    monkeypatch.setattr(pixels, "_DENSEST", 50)  # of larger pages more are as small
    pages = [Image.fromarray(np.full((512, 512), number, np.uint8)) for number in range(4)]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:] * 20)
    with pytest.raises(UnreadableError, match="pages or more, which unfold as no pictures do"):
        read(tmp_path / "a.gif", Decoding(size=8))


def test_pages_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "_MOST_PAGES", 5)
    pages = [Image.new("L", (8, 8), number) for number in range(6)]
    for count in (5, 6):
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:count])
        if count == 5:
            assert len(read(tmp_path / "a.tif", Decoding()).pages) == 5
    with pytest.raises(UnreadableError, match="5 pages or more"):
        read(tmp_path / "a.tif", Decoding())


def test_a_file_of_many_pages_is_decoded_alone(tmp_path, monkeypatch):
    """A file that takes more than its share of the memory is left until it has all of it."""
    monkeypatch.setattr(images, "_TOGETHER_BYTES", 3000)
    allowed = []
    monkeypatch.setattr(pixels, "read", lambda path, how, most: (allowed.append(most), read(path, how, most))[1])
    shots = [Image.fromarray(np.full((8, 8), number, np.uint8)) for number in range(60)]
    shots[0].save(tmp_path / "0.tif")
    shots[1].save(tmp_path / "1.tif", save_all=True, append_images=shots[2:])
    parts = list(images._decode([tmp_path / "0.tif", tmp_path / "1.tif", tmp_path / "0.tif"], Decoding(grayscale=True)))
    assert [len(part.pages) for part in parts] == [1, 59, 1]
    assert sum(most == pixels.MOST_BYTES for most in allowed) == 1
    assert parts[1].pages[:, 0, 0, 0].tolist() == list(range(1, 60))
