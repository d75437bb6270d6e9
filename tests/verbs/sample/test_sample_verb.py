"""`vaekl sample`: typed as a user types it."""

import re
import shutil

import numpy as np
import pytest
import torch
from cli_helpers import contents, refused, trained, vaekl
from PIL import Image

KINDS = ("prior", "reconstructions", "traversal", "interpolation")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("sample"), "valid=0")


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def drawn(folder, *words):
    """The newest file of each name, without the digest that names other data, and what was printed."""
    answer = vaekl(folder.parent, "sample", str(folder), *words)
    assert answer.code == 0, answer.err
    files = sorted((folder / "samples").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return {re.sub(r"_[0-9a-f]{6}(?=\.)", "", path.name): path for path in files}, answer.out


def test_every_picture_is_there_twice_as_mean_and_as_draw_and_says_so(copy):
    files, out = drawn(copy)
    assert set(files) == {f"{kind}_{decoder}.png" for kind in KINDS for decoder in ("mean", "sample")}
    for name, path in files.items():
        with Image.open(path) as image:
            words = image.text["Description"]
        assert ("a draw from p(x|z)" if "sample" in name else "mean of p(x|z)") in words
        assert "cb, digits, last.pt at step 4, seed 0" in words and name in out
    assert "not the sigmoid" in out


def test_the_same_seed_gives_the_same_bytes_whatever_else_is_drawn(copy):
    first = {name: path.read_bytes() for name, path in drawn(copy)[0].items()}
    shutil.rmtree(copy / "samples")
    again, _ = drawn(copy, "sample.what=traversal,prior", "sample.decoder=sample")
    assert set(again) == {"prior_sample.png", "traversal_sample.png"}
    assert all(path.read_bytes() == first[name] for name, path in again.items())
    other, _ = drawn(copy, "sample.seed=1")
    assert other["prior_mean.png"].read_bytes() != first["prior_mean.png"]


def test_the_first_pictures_are_the_same_however_many_follow(tmp_path):
    """Also for beta, whose draws come from two gamma variates of each value."""
    folder = trained(tmp_path, "likelihood=beta")
    words = ("--format=npz", "sample.what=prior,reconstructions")
    few, many = (
        {name: dict(np.load(path)) for name, path in drawn(folder, *words, f"sample.count={count}")[0].items()}
        for count in (70, 150)
    )
    assert len(few) == 4
    for name, arrays in few.items():
        for key in arrays.keys() - {"label"}:
            assert len(many[name][key]) == 150
            assert np.array_equal(arrays[key], many[name][key][:70]), (name, key)


def test_arrays_hold_what_the_pictures_show(copy):
    from vaekl.run.load import load_run

    files, _ = drawn(copy, "--format", "npz", "sample.count=70", "sample.latents=3,1", "sample.columns=5")
    arrays = {name: dict(np.load(path, allow_pickle=False)) for name, path in files.items()}
    model = load_run(copy).model
    for kind in KINDS:
        array = arrays[f"{kind}_mean.npz"]
        with torch.no_grad():
            expected = model.moments(model.decode(torch.from_numpy(array["z"])))[0]
        np.testing.assert_allclose(array["images"], expected, atol=1e-6)
        assert np.array_equal(array["z"], arrays[f"{kind}_sample.npz"]["z"]), "the same latents for mean and draw"
        assert "mean of p(x|z)" in str(array["label"])
    assert arrays["prior_mean.npz"]["images"].shape == (70, 1, 8, 8)
    steps = arrays["traversal_mean.npz"]
    assert steps["latents"].tolist() == [3, 1] and steps["values"].tolist() == [-3, -1.5, 0, 1.5, 3]
    ends = arrays["interpolation_mean.npz"]
    z, mean = ends["z"].reshape(8, 5, -1), ends["posterior_mean"].reshape(8, 2, -1)
    np.testing.assert_allclose(z[:, [0, -1]], mean, atol=1e-6)
    inputs = arrays["reconstructions_mean.npz"]
    with torch.no_grad():
        encoded = model.encode(torch.from_numpy(inputs["inputs"]))
    np.testing.assert_allclose(inputs["posterior_mean"], encoded[0], atol=1e-5)


def test_colour_and_real_data(tmp_path):
    colour = trained(
        tmp_path, "dataset=patches", "dataset.train_size=100", "dataset.test_size=40", "likelihood=gaussian"
    )
    with Image.open(drawn(colour, "sample.what=reconstructions")[0]["reconstructions_mean.png"]) as image:
        pixels = np.asarray(image)
    assert (pixels.max(2) - pixels.min(2)).max() > 30, "there is colour in it"
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "real.npz", x_train=rng.normal(size=(40, 8, 8)), x_test=rng.normal(size=(9, 8, 8)))
    (tmp_path / "other").mkdir()
    real = trained(tmp_path / "other", "likelihood=gaussian", "dataset=npz", f"dataset.path={tmp_path / 'real.npz'}")
    with Image.open(drawn(real)[0]["prior_mean.png"]) as image:
        assert "black is -" in image.text["Description"]


@pytest.mark.parametrize("words", ["3,17", "[3,17]"])
def test_chosen_images_are_reconstructed_and_the_ends_of_an_interpolation(copy, words):
    what = ("--format=npz", "sample.what=reconstructions,interpolation", "sample.decoder=mean")
    first = dict(np.load(drawn(copy, *what)[0]["reconstructions_mean.npz"]))
    files, out = drawn(copy, *what, f"sample.images={words}")
    assert "test inputs 3, 17 above" in out and "of test inputs 3, 17 at both ends" in out
    for path in files.values():
        arrays = dict(np.load(path))
        assert arrays["indices"].tolist() == [3, 17]
        # the noise within a grey level is drawn anew
        assert np.array_equal(np.floor(arrays["inputs"] * 17), np.floor(first["inputs"][[3, 17]] * 17))
    ends = dict(np.load(files["interpolation_mean.npz"]))
    np.testing.assert_allclose(ends["z"][[0, -1]], ends["posterior_mean"], atol=1e-6)


def test_a_file_of_two_images_is_looked_at_whole_and_in_its_order(copy, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)
    np.savez(tmp_path / "two.npz", x_train=pixels)
    np.savez(tmp_path / "own.npz", x_train=pixels.repeat(5, 0), x_test=pixels[:1])
    words = ("--format=npz", "sample.decoder=mean", "dataset=npz", "dataset.levels=256")
    two = (*words, f"dataset.path={tmp_path / 'two.npz'}")
    files, out = drawn(copy, *two, "sample.what=interpolation")
    assert "of all inputs at both ends" in out
    arrays = dict(np.load(files["interpolation_mean.npz"]))
    assert np.array_equal(np.floor(arrays["inputs"][:, 0] * 256), pixels)
    files, out = drawn(copy, *two, "sample.what=reconstructions", "dataset.test_fraction=0.5")
    assert "test inputs" in out and len(np.load(files["reconstructions_mean.npz"])["inputs"]) == 1
    files, out = drawn(copy, *words, f"dataset.path={tmp_path / 'own.npz'}", "sample.what=reconstructions")
    assert "test inputs" in out and len(np.load(files["reconstructions_mean.npz"])["inputs"]) == 1
    answer = vaekl(tmp_path, "train", *two[2:], "dataset.test_fraction=null", "hydra.run.dir=whole")
    refused(answer, "test_fraction=null", "sample")
    assert not (tmp_path / "whole").exists()


MINE = np.random.default_rng(1).integers(0, 17, (70, 8, 8), np.uint8)
RECONSTRUCTIONS = ("sample.what=reconstructions", "sample.decoder=mean", "--format=npz", "dataset.levels=17")


@pytest.mark.parametrize(
    ("arrays", "words", "indices", "lines"),
    [
        ({"x_test": MINE[:7]}, (), range(7), []),
        ({"x_test": MINE}, (), range(64), ["6 of 70 images (sample.count=64)"]),
        ({"x_train": MINE[:7]}, ("sample.split=all",), range(7), []),
        ({"x_train": MINE[:1]}, ("sample.split=all",), range(1), []),
        ({"x_train": MINE[:7]}, ("dataset.test_fraction=null", "sample.split=all"), range(7), []),
        ({"x_train": MINE}, (), range(64), ["6 of 70 images (sample.count=64)"]),
        ({"x_train": MINE[:50], "x_test": MINE[50:]}, ("sample.split=all", "sample.count=100"), range(70), []),
        ({"mine": MINE[:40], "x_test": MINE[40:]}, (), range(40, 70), ["40 train images (sample.split=all"]),
        ({"x_test": MINE[:7], "notes": np.array(["a"])}, (), range(7), ["1 arrays that are not used: notes"]),
    ],
)  # fmt: skip
def test_my_own_pictures_in_their_order(copy, tmp_path, arrays, words, indices, lines):
    np.savez(tmp_path / "mine.npz", **arrays)
    files, out = drawn(copy, *RECONSTRUCTIONS, "dataset=npz", f"dataset.path={tmp_path / 'mine.npz'}", *words)
    drawings = np.load(files[f"reconstructions_mean{'_all' if 'sample.split=all' in words else ''}.npz"])
    assert np.array_equal(np.round(drawings["inputs"][:, 0] * 17 - 0.5), MINE[list(indices)])
    assert drawings["posterior_mean"].shape == (len(indices), 4)
    left_out = [line for line in out.splitlines() if "left out" in line]
    assert len(left_out) == len(lines) and all(part in line for part, line in zip(lines, left_out, strict=True))


def test_what_is_held_out_of_my_own_pictures_is_counted(copy, tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=MINE)
    words = (*RECONSTRUCTIONS, "dataset=npz", f"dataset.path={tmp_path / 'mine.npz'}", "dataset.test_fraction=0.1")
    assert "left out: 63 train images (sample.split=all takes them too)" in drawn(copy, *words)[1]
    np.savez(tmp_path / "mine.npz", x_test=MINE)
    sentence = refused(
        vaekl(tmp_path, "sample", str(copy), *words, "sample.split=train"), "mine.npz", "no images to train"
    )
    assert "test or all" in sentence


def test_the_run_s_own_images_in_their_order(copy):
    """Those of digits, which scikit-learn has in this order; nothing is said to be left out but by sample.count."""
    from sklearn.datasets import load_digits

    files, out = drawn(copy, *RECONSTRUCTIONS[:3], "sample.split=all", "sample.count=3000")
    inputs = np.load(files["reconstructions_mean_all.npz"])["inputs"][:, 0]
    assert np.array_equal(np.floor(inputs * 17).clip(0, 16), load_digits().images)
    assert "left out" not in out
    assert "left out: 296 of 360 images (sample.count=64)" in drawn(copy, *RECONSTRUCTIONS[:3])[1]


BAD = {
    "no run": (["nowhere"], ["nowhere", "no run"]),
    "two runs": (["RUN", "RUN"], ["one run"]),
    "unknown key": (["RUN", "sample.cout=3"], ["sample.count"]),
    "format": (["RUN", "--format", "jpg"], ["sample.format", "png", "npz"]),
    "count": (["RUN", "sample.count=0"], ["sample.count", "from 1"]),
    "a PNG too many": (["RUN", "sample.count=10001"], ["10001", "npz"]),
    "no end of arrays": (["RUN", "sample.count=4000000000000000000", "--format", "npz"], ["memory", "sample.count"]),
    "columns": (["RUN", "sample.columns=1"], ["sample.columns"]),
    "what": (["RUN", "sample.what=prior,posterior"], ["sample.what", "posterior"]),
    "decoder": (["RUN", "sample.decoder=logit"], ["sample.decoder", "mean"]),
    "latents": (["RUN", "sample.latents=0,4"], ["sample.latents=4", "0 to 3"]),
    "no validation images": (["RUN", "sample.split=valid"], ["validation"]),
    "no such image": (["RUN", "sample.images=3,1797"], ["sample.images=1797", "360 test inputs, 0 to 359"]),
    "no image": (["RUN", "sample.images=-1"], ["sample.images", "from 0"]),
    "no number of an image": (["RUN", "sample.images=a"], ["sample.images", "'a'"]),
    "an image without a pair": (["RUN", "sample.images=3"], ["sample.images names 1", "sample.what="]),
    "span": (["RUN", "sample.span=-1"], ["sample.span"]),
    "the model cannot be changed": (["RUN", "model.latents=3"], ["model.latents"]),
    "torn": (["TORN"], ["last.pt", "cannot be read"]),
}


@pytest.mark.parametrize("mistake", BAD)
def test_bad_input_gets_one_sentence_and_nothing_is_written(run, tmp_path, mistake):
    shutil.copytree(run, tmp_path / "RUN")
    shutil.copytree(run, tmp_path / "TORN")
    (tmp_path / "TORN" / "last.pt").write_bytes((run / "last.pt").read_bytes()[:-1000])
    words, parts = BAD[mistake]
    before = contents(tmp_path)
    refused(vaekl(tmp_path, "sample", *words), *parts)
    assert contents(tmp_path) == before and not (tmp_path / "RUN" / "samples").exists()


def test_help_names_every_key(tmp_path):
    answer = vaekl(tmp_path, "sample", "--help")
    assert answer.code == 0 and "sample.decoder=[mean,sample]" in answer.out and "--format npz" in answer.out
