"""Processes that decode the same images at once: one does it, the others wait, and a kill leaves nothing half done."""

import json
import time

import numpy as np
import pytest
from cli_helpers import SMALL, finished, results, same_weights, vaekl, weights
from killed import HUNG
from kills import KILLED, start
from PIL import Image

IMAGES = 40


def words(number):
    """A run of its own on the same images; their cache is in the folder where it is typed."""
    data = ("dataset=image_folder", "dataset.path=pictures", "dataset.grayscale=true", "data_dir=data")
    return ("train", f"hydra.run.dir=run{number}", *SMALL, "trainer.batch_size=8", *data)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(IMAGES):
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / "pictures" / f"{number:02}.png")
    return tmp_path


def written(folder, number):
    """How many parts of the cache one of the processes has written."""
    return json.loads((folder / f"counts{number}.json").read_text()).get("cache half written", 0)


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "undisturbed"])
def test_four_processes_build_one_cache_once(killed, folder):
    """The first one waits in the middle, until the others wait for it."""
    first = start(folder, *words(0), place="cache half written", number=IMAGES // 2, act="hang", counts="counts0.json")
    wait_for((folder / HUNG).exists, first)
    others = [start(folder, *words(number), counts=f"counts{number}.json") for number in (1, 2, 3)]
    for other in others:
        wait_for(lambda other=other: "waiting for it" in other.written(), other)
    if killed:
        first.kill()
        assert finished(first).code == KILLED
    (folder / HUNG).unlink()
    answers = [finished(process) for process in (others if killed else [first, *others])]
    assert [answer.code for answer in answers] == [0] * len(answers), answers

    by = [written(folder, number) for number in range(1 if killed else 0, 4)]
    header = 1
    assert sum(map(bool, by)) == 1 and IMAGES < sum(by) <= IMAGES + 3 * header
    decoded = list((folder / "data/decoded").glob("*.npy"))
    assert len(decoded) == 1 and not list((folder / "data/decoded").glob(".*.partial"))
    pictures = [np.asarray(Image.open(folder / "pictures" / f"{number:02}.png")) for number in range(IMAGES)]
    assert np.array_equal(np.load(decoded[0]), np.stack(pictures)[:, None])
    assert all(results(folder / f"run{number}") == results(folder / "run1") for number in (2, 3))
    assert all(same_weights(weights(folder / f"run{number}"), weights(folder / "run1")) for number in (2, 3))


def wait_for(condition, process):
    """Until something is so; a process that ends before is shown."""
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, finished(process)
        time.sleep(0.01)
    raise AssertionError("it did not come about")


def test_a_cache_cut_short_is_decoded_again(folder):
    """By a hand or a disk: what is written whole is never half."""
    assert vaekl(folder, *words(0)).code == 0
    (decoded,) = (folder / "data/decoded").glob("*.npy")
    content = decoded.read_bytes()
    decoded.write_bytes(content[: len(content) // 2])
    assert vaekl(folder, *words(1)).code == 0
    assert decoded.read_bytes() == content and results(folder / "run0") == results(folder / "run1")
