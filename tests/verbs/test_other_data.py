"""`vaekl eval` and `vaekl sample` with other data than a run's: what they are is said, and the run's scale holds."""

import numpy as np
import pytest
from cli_helpers import contents, refused, trained, vaekl
from PIL import Image

from vaekl.run.load import load_run

RNG = np.random.default_rng(0)
#: 12 bits in 16
DEEP = RNG.integers(0, 4096, (60, 4, 4)).astype(np.uint16)
LOOK = ("eval.k=1", "eval.ruler_k=1", "eval.knn=false")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on 4,096 levels, and files of other images."""
    folder = tmp_path_factory.mktemp("deep")
    others = {
        "own": DEEP,
        "dim": DEEP // 2,
        "beyond": DEEP * 3,
        "dark": DEEP // 17,
        "bytes": (DEEP // 16).astype(np.uint8),
    }
    for name, images in others.items():
        np.savez(folder / f"{name}.npz", x_train=images)
    trained(folder, "dataset=npz", "dataset.path=own.npz")
    return folder


def test_other_images_of_16_bits_keep_the_levels_of_the_run(folder):
    answer = vaekl(folder, "eval", "run", "dataset=npz", "dataset.path=dim.npz", *LOOK)
    assert answer.code == 0 and "dim.npz" in answer.out
    seen = load_run(folder / "run", changes=("dataset=npz", f"dataset.path={folder / 'dim.npz'}"))
    assert seen.data.stored.levels == 4096 and seen.data.test.batch(slice(None)).max() <= 0.5


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("beyond", ("values beyond those of the run, 0 to 4,095", "dataset.levels=65536")),
        ("dark", ("values up to 255, and the run was trained on 4,096 levels", "dataset.levels=4096")),
        ("bytes", ("dataset.levels=4096 if they are on the run's scale", "dataset.levels=256 if 255 is white")),
    ],
)
def test_images_of_another_scale_are_refused_until_it_is_said(folder, name, parts):
    words = ("sample", "run", "dataset=npz", f"dataset.path={name}.npz", "sample.what=reconstructions")
    refused(vaekl(folder, *words), f"{name}.npz", *parts)
    levels = {"beyond": 65536, "dark": 4096, "bytes": 256}[name]
    assert vaekl(folder, *words, f"dataset.levels={levels}").code == 0


def test_a_run_on_bytes_does_not_take_16_bits_for_its_own(tmp_path):
    np.savez(tmp_path / "own.npz", x_train=(DEEP // 16).astype(np.uint8))
    np.savez(tmp_path / "deep.npz", x_train=DEEP)
    trained(tmp_path, "dataset=npz", "dataset.path=own.npz")
    answer = vaekl(tmp_path, "eval", "run", "dataset=npz", "dataset.path=deep.npz", *LOOK)
    refused(answer, "deep.npz", "trained on 256 levels", "add dataset.levels=4096 if 4,095 is white")


def test_a_run_on_16_bits_does_not_take_12_for_its_own(tmp_path):
    np.savez(tmp_path / "own.npz", x_train=DEEP * 16)
    np.savez(tmp_path / "twelve.npz", x_train=DEEP)
    trained(tmp_path, "dataset=npz", "dataset.path=own.npz")
    words = ("eval", "run", "dataset=npz", "dataset.path=twelve.npz", *LOOK)
    refused(vaekl(tmp_path, *words), "values up to 4,095", "dataset.levels=65536", "dataset.levels=4096")
    assert vaekl(tmp_path, *words, "dataset.levels=65536").code == 0


def test_pictures_of_other_data_stand_beside_the_runs_own_and_name_their_file(folder):
    words = ("sample", "run", "sample.what=reconstructions", "sample.decoder=mean", "sample.format=npz")
    assert vaekl(folder, *words).code == 0
    before = contents(folder / "run" / "samples")
    outs = []
    for name in ("own", "dim"):
        answer = vaekl(folder, *words, "dataset=npz", f"dataset.path={name}.npz")
        assert answer.code == 0 and f"of {folder / name}.npz" in answer.out
        outs.append(answer.out)
    after = contents(folder / "run" / "samples")
    assert before.items() <= after.items() and len(after) >= len(before) + 2
    files = [name for name in after if name.startswith("reconstructions_mean_")]
    assert sum(f"{name} " in out for name in files for out in outs) == 2


@pytest.mark.parametrize("kind", ["image_folder", "npz"])
def test_a_folder_that_holds_test_alone_is_looked_at_and_not_trained_on(folder, tmp_path, kind):
    (tmp_path / "photos" / "test").mkdir(parents=True)
    for number, image in enumerate((DEEP[:8] // 16).astype(np.uint8)):
        if kind == "npz":
            np.save(tmp_path / "photos" / "test" / f"{number:02}.npy", image)
        else:
            Image.fromarray(image).save(tmp_path / "photos" / "test" / f"{number:02}.png")
    words = (f"dataset={kind}", f"dataset.path={tmp_path / 'photos'}", f"dataset.root={tmp_path}", "dataset.levels=256")
    words += ("dataset.grayscale=true",) if kind == "image_folder" else ()
    answer = vaekl(folder, "eval", "run", *words, *LOOK)
    assert answer.code == 0 and "8 test images" in answer.out
    answer = vaekl(tmp_path, "train", *words, "hydra.run.dir=run")
    refused(answer, "photos holds 8 test images and none to train on", "train/")
