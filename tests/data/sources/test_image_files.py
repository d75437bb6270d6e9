import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaekl.data.sources import images as module
from vaekl.data.sources.folders import image_folder
from vaekl.data.sources.images import decoded
from vaekl.data.sources.pixels import Decoding
from vaekl.system.errors import VaeklError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 6, 8, 3), np.uint8)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "photos"
    place.mkdir()
    for i, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(place / f"{i:02d}.png")
    return place


def caches(root):
    return sorted((root / "decoded").glob("*.npy"))


def images_of(folder, root, **options):
    return decoded(folder, sorted(folder.glob("*.png")), root, Decoding(**options)).images.read(slice(None))


def test_images_are_those_of_pil_and_decoded_once(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TOGETHER", 3)
    assert np.array_equal(images_of(folder, tmp_path), PIXELS.transpose(0, 3, 1, 2))
    small = images_of(folder, tmp_path, size=4, grayscale=True)
    expected = Image.fromarray(PIXELS[7]).convert("L").crop((1, 0, 7, 6)).resize((4, 4), Image.Resampling.BILINEAR)
    assert np.array_equal(small[7, 0], np.asarray(expected))
    assert len(caches(tmp_path)) == 2
    monkeypatch.setattr(module.pixels, "read", None)
    assert np.array_equal(images_of(folder, tmp_path), PIXELS.transpose(0, 3, 1, 2))
    assert np.array_equal(images_of(folder, tmp_path, size=4, grayscale=True), small)


def test_a_changed_folder_is_decoded_again_and_the_stale_file_goes(folder, tmp_path):
    images_of(folder, tmp_path)
    Image.fromarray(255 - PIXELS[0]).save(folder / "00.png")
    os.utime(folder / "00.png", (1, 1))
    assert np.array_equal(images_of(folder, tmp_path)[0], 255 - PIXELS[0].transpose(2, 0, 1))
    (folder / "01.png").unlink()
    assert len(images_of(folder, tmp_path)) == 19
    assert len(caches(tmp_path)) == 1


@pytest.mark.parametrize("length", [0, 50, -1])
def test_a_broken_file_is_written_anew(folder, tmp_path, length):
    whole = images_of(folder, tmp_path)
    (file,) = caches(tmp_path)
    file.write_bytes(file.read_bytes()[:length])
    assert np.array_equal(images_of(folder, tmp_path), whole)


def test_a_folder_without_an_image_that_can_be_read_leaves_nothing_behind(folder, tmp_path):
    for file in folder.iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(VaeklError, match="none of the 20 images"):
        images_of(folder, tmp_path)
    assert [path.suffix for path in (tmp_path / "decoded").iterdir()] == [".lock"]


def test_only_what_has_changed_is_decoded_again(folder, tmp_path, monkeypatch):
    (folder / "05.png").write_bytes(b"no image")
    whole, read, names = images_of(folder, tmp_path), module.pixels.read, []
    assert len(whole) == 19
    monkeypatch.setattr(module.pixels, "read", lambda path, *how: (names.append(path.name), read(path, *how))[1])
    Image.fromarray(PIXELS[5]).save(folder / "05.png")
    (folder / "00.png").unlink()
    Image.fromarray(PIXELS[0]).save(folder / "99.png")
    expected = np.concatenate([PIXELS[1:], PIXELS[:1]]).transpose(0, 3, 1, 2)
    assert np.array_equal(images_of(folder, tmp_path), expected)
    assert sorted(names) == ["05.png", "99.png"]
    assert len(caches(tmp_path)) == 1


def test_every_image_has_a_digest_of_its_own(folder, tmp_path):
    shutil.copy(folder / "03.png", folder / "20.png")
    images = decoded(folder, sorted(folder.glob("*.png")), tmp_path, Decoding()).images
    assert len(set(images.hashes.tolist())) == 20
    assert images.hashes[3] == images.hashes[20] == images[[7, 20]].hashes[1]


def test_pages_of_a_file_are_images_one_after_the_other(folder, tmp_path):
    for i in (3, 11):
        shots = [Image.fromarray(PIXELS[i]), Image.fromarray(PIXELS[i + 1])]
        shots[0].save(folder / f"{i:02d}.png", save_all=True, append_images=shots[1:])
    files = decoded(folder, sorted(folder.glob("*.png")), tmp_path, Decoding())
    order = [*range(4), 4, 4, *range(5, 12), 12, 12, *range(13, 20)]
    assert files.pages.tolist() == [1 + (i in (3, 11)) for i in range(20)]
    assert np.array_equal(files.images.read(slice(None)), PIXELS[order].transpose(0, 3, 1, 2))


def test_images_of_different_depth_are_refused(folder, tmp_path):
    Image.fromarray(PIXELS[0, ..., 0].astype(np.uint16)).save(folder / "07.png")
    with pytest.raises(VaeklError, match=r"07\.png has 16 bits a channel \(uint16\), but .*00\.png 8"):
        images_of(folder, tmp_path)


@pytest.mark.nightly
def test_two_processes_at_once_decode_once(folder, tmp_path):
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from vaekl.data.sources import images as module\n"
        "from vaekl.data.sources.pixels import Decoding\n"
        "read = module.pixels.read\n"
        "def slow(path, *options):\n"
        "    sys.stdout.write(path.name + '\\n'); time.sleep(0.05); return read(path, *options)\n"
        "module.pixels.read = slow\n"
        "folder, root = map(Path, sys.argv[1:])\n"
        "images = module.decoded(folder, sorted(folder.glob('*.png')), root, Decoding()).images\n"
        "assert images.read(slice(None)).sum() == int(" + repr(str(int(PIXELS.sum()))) + ")\n"
    )
    command = [sys.executable, "-c", program, str(folder), str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    names = [process.communicate(timeout=60)[0].split() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sorted(names[0] + names[1]) == [f"{i:02d}.png" for i in range(20)]


def test_where_the_data_directory_cannot_be_written_the_users_cache_is_used(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("vaekl.data.sources.staging.user_cache_dir", lambda name: str(tmp_path / "cache"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAEKL_DATA_DIR", str(tmp_path / "file"))
    assert len(image_folder(str(folder)).train) == 18
    assert caches(tmp_path / "cache")
    assert Path(tmp_path / "file").read_text() == ""
