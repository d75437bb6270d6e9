import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaekl.data.sources import images as module
from vaekl.data.sources.folders import image_folder
from vaekl.data.sources.images import decoded
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
    return decoded(folder, sorted(folder.glob("*.png")), root, **options).read(slice(None))


def test_images_are_those_of_pil_and_decoded_once(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TOGETHER", 3)
    assert np.array_equal(images_of(folder, tmp_path), PIXELS.transpose(0, 3, 1, 2))
    small = images_of(folder, tmp_path, size=4, grayscale=True)
    expected = Image.fromarray(PIXELS[7]).convert("L").crop((1, 0, 7, 6)).resize((4, 4), Image.Resampling.BILINEAR)
    assert np.array_equal(small[7, 0], np.asarray(expected))
    assert len(caches(tmp_path)) == 2
    monkeypatch.setattr(module, "_read", None)
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


def test_an_image_that_cannot_be_read_leaves_nothing_behind(folder, tmp_path):
    (folder / "19.png").write_bytes(b"no image")
    with pytest.raises(VaeklError, match=r"19\.png cannot be read"):
        images_of(folder, tmp_path)
    assert [path.suffix for path in (tmp_path / "decoded").iterdir()] == [".lock"]


def test_two_processes_at_once_decode_once(folder, tmp_path):
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from vaekl.data.sources import images as module\n"
        "read = module._read\n"
        "def slow(path, *options):\n"
        "    sys.stdout.write(path.name + '\\n'); time.sleep(0.05); return read(path, *options)\n"
        "module._read = slow\n"
        "folder, root = map(Path, sys.argv[1:])\n"
        "images = module.decoded(folder, sorted(folder.glob('*.png')), root)\n"
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
