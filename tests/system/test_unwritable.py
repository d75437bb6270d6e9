"""A place that cannot be written: the true reason, and the option that names another one."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cli_helpers import refused, vaekl
from PIL import Image

from vaekl.system.errors import VaeklError
from vaekl.system.files import made_folder, unwritable
from vaekl.system.places import check_place, is_full, unmade

CURE = "set output_dir=FOLDER to another one that you may write to."


@pytest.mark.parametrize(
    ("words", "what"), [(("output_dir=PLACE",), "run folder"), (("-m", "seed=0,1", "output_dir=PLACE"), "sweep")]
)
@pytest.mark.parametrize(
    ("place", "reason"),
    [("file", "HERE/file is no folder"), ("file/x", "HERE/file is no folder"), ("/dev/null", "/dev/null is no folder")],
)
def test_a_file_in_the_place_of_a_folder(place, reason, words, what, tmp_path):
    (tmp_path / "file").touch()
    answer = vaekl(tmp_path, "train", *(word.replace("PLACE", place) for word in words))
    refused(answer, f"the {what} ", f" cannot be made ({reason.replace('HERE', str(tmp_path))}): {CURE}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir"])
@pytest.mark.parametrize("place", ["file", "file/x"])
def test_the_cure_names_the_key_that_was_typed(key, place, tmp_path):
    """Beside hydra.run.dir and hydra.sweep.dir output_dir would be ignored."""
    (tmp_path / "file").touch()
    words = ("-m", "seed=0,1") if key == "hydra.sweep.dir" else ()
    sentence = refused(vaekl(tmp_path, "train", *words, f"{key}={place}"), " cannot be made (")
    assert sentence.endswith(f": set {key}=FOLDER to another one that you may write to.")


@pytest.mark.parametrize("folder", ["{}", "{}/b", "a/{}"])
@pytest.mark.parametrize("key", ["output_dir", "hydra.run.dir", "hydra.sweep.dir"])
@pytest.mark.parametrize("more", [(), ("-m", "seed=0,1")])
def test_a_name_that_no_system_can_have(more, key, folder, tmp_path):
    if key == ("hydra.run.dir" if more else "hydra.sweep.dir"):
        return  # it is not read
    answer = vaekl(tmp_path, "train", *more, f"{key}='{folder.format('é' * 150)}'")
    assert refused(answer) == (
        f"vaekl: the name {'é' * 60}… has 300 bytes, and that of a folder may have 255: "
        f"set {key}=FOLDER to a shorter one."
    )
    assert not list(tmp_path.iterdir())


def test_a_path_that_no_system_can_have(tmp_path):
    words = ("train", "-m", "seed=0,1", f"output_dir={'/'.join(['x' * 200] * 20)}")
    refused(
        vaekl(tmp_path, *words), "the path /", "that of a folder may have 3,800: set output_dir=FOLDER to a shorter"
    )
    words = ("suggest", "dataset=digits", f"output_dir={'x' * 256}")
    refused(vaekl(tmp_path, *words), "has 256 bytes", "set output_dir=FOLDER to a shorter one.")
    for verb in ("eval", "report", "resume"):
        refused(vaekl(tmp_path, verb, "x" * 300), f"the path {'x' * 60}… is longer than one may be: give a shorter")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOENT, "takes no folders"),
        (errno.EPERM, "nobody may write to"),
        (errno.EACCES, "you may not write to"),
        (errno.EROFS, "is read-only"),
        (errno.ENOSPC, "is full"),
        (errno.ENAMETOOLONG, "File name too long"),
    ],
    ids=errno.errorcode.get,
)
def test_what_the_system_says_is_said_of_the_place_that_is_there(number, reason, tmp_path, monkeypatch):
    def mkdir(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pathlib.Path.mkdir", mkdir)
    with pytest.raises(VaeklError) as caught:
        made_folder(tmp_path / "a" / "b", "sweep", "output_dir")
    text = str(caught.value)
    assert text.startswith(f"the sweep {tmp_path}/a/b cannot be made (") and text.endswith(f"): {CURE}")
    assert reason in text and (number == errno.ENAMETOOLONG or f"{tmp_path} " in text or f"{tmp_path})" in text)


def test_a_folder_that_is_there_is_not_made():
    assert unmade(Path("/"), "folder", "", OSError(errno.EROFS, "x")) == (
        "the folder / cannot be written to (the disk of / is read-only): make that writable."
    )


@pytest.mark.parametrize(
    ("free", "flags", "may_write", "reason"),
    [
        (1000, 0, True, "is full"),
        (10**9, 0, False, "you may not write to"),
        (10**9, os.ST_RDONLY, False, "is read-only"),
        (10**9, 0, True, ""),
    ],
)
def test_a_place_is_looked_at_before_any_work(free, flags, may_write, reason, tmp_path, monkeypatch):
    class State:
        f_bavail, f_frsize, f_flag, f_blocks = free, 1, flags, 10**9

    monkeypatch.setattr(os, "statvfs", lambda _: State)
    monkeypatch.setattr(os, "access", lambda *_: may_write)
    if not reason:
        return check_place(tmp_path / "x", "run folder", "output_dir")
    with pytest.raises(VaeklError) as caught:
        check_place(tmp_path / "x", "run folder", "output_dir")
    assert reason in str(caught.value) and str(caught.value).endswith(CURE)


@pytest.mark.parametrize("words", [("output_dir=/proc/x",), ("-m", "seed=0,1", "output_dir=/proc")])
def test_a_folder_of_the_system_is_no_full_disk(words, tmp_path):
    """It has no blocks, of which none are free."""
    if not os.path.isdir("/proc/self") or os.statvfs("/proc").f_blocks:
        pytest.skip("no /proc here")
    refused(vaekl(tmp_path, "train", *words), " cannot be made (/proc takes no folders): ", CURE)


def test_a_disk_that_says_no_size_is_tried(tmp_path, monkeypatch):
    """As some disks on a network do, and those without a limit."""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=0, f_frsize=4096, f_flag=0, f_blocks=0))
    check_place(tmp_path / "x", "run folder", "output_dir")
    assert not is_full(tmp_path) and not list(tmp_path.iterdir())


def test_a_data_directory_without_room_for_decoded_images(tmp_path, monkeypatch):
    (tmp_path / "images" / "a").mkdir(parents=True)
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / "a" / f"{number}.png")
    monkeypatch.setattr(
        "shutil.disk_usage", lambda place: SimpleNamespace(free=1_000_000 if "data" not in str(place) else 200)
    )
    words = ("dataset=image_folder", f"dataset.path={tmp_path / 'images'}", f"data_dir={tmp_path / 'data'}")
    refused(
        vaekl(tmp_path, "train", *words),
        "images would take 0.015 MB",
        "has 0.000 MB",
        "data_dir to a folder that has room",
    )


@pytest.mark.parametrize(
    ("number", "cure"), [(errno.EFBIG, "raise the limit on the size of files (ulimit -f)"), (errno.EDQUOT, "quota")]
)
def test_a_limit_of_the_users_is_no_matter_of_permissions(number, cure, tmp_path):
    sentence = unwritable(tmp_path / "last.pt", "checkpoint", OSError(number, os.strerror(number)))
    assert os.strerror(number) in sentence and cure in sentence and "writable" not in sentence


def test_a_folder_that_may_not_be_read_holds_no_run_that_could_be_named(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.setattr("vaekl.store.config.is_readable", lambda folder: folder.name != "mine")
    for verb in ("eval", "resume"):
        says = "you may not look into mine: make it readable, or give another folder."
        assert refused(vaekl(tmp_path, verb, "mine")) == f"vaekl: {says}"
