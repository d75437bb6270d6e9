"""What arrays of any shape and any numbers are taken for: by their axes, their values, or as the user says."""

import numpy as np
import pytest
import torch
from source_cases import refused

from vaekl.data.auto import AutoTransform
from vaekl.data.sources.embedded import digits
from vaekl.data.sources.npz import npz
from vaekl.data.splits import Data
from vaekl.data.transforms import Binarize
from vaekl.model.likelihoods import Bernoulli, Gaussian
from vaekl.model.likelihoods.choices import FAMILIES

RNG = np.random.default_rng(0)
REAL = RNG.normal(0, 9, (20, 240))
#: counts with a mean of 2 and a largest of 9
FEW = RNG.poisson(2, (20, 240))
FEW[0, 0] = 9


def saved(folder, array, **more):
    np.savez(folder / "x.npz", x_train=array, x_test=array[:3], **more)
    return str(folder / "x.npz")


@pytest.mark.parametrize(
    ("stored", "layout", "shape", "example"),
    [
        ((20, 240), None, (240,), "vector"),
        ((20, 240), "ND", (240,), "vector"),
        ((20, 240), "NT", (1, 240), "signal"),
        ((20, 4, 60), "NCT", (4, 60), "signal"),
        ((20, 60, 4), "NTC", (4, 60), "signal"),
        ((20, 1, 240), None, (1, 240), "signal"),
        ((20, 240, 1), None, (1, 240), "signal"),
        ((20, 12, 20), None, (1, 12, 20), "image"),
        ((20, 8, 10, 3), None, (3, 8, 10), "image"),
        ((20, 4, 6, 10), "NDHW", (1, 4, 6, 10), "volume"),
        ((20, 1, 4, 6, 10), None, (1, 4, 6, 10), "volume"),
        ((20, 4, 4, 5, 3), None, (3, 4, 4, 5), "volume"),
        ((20, 2, 4, 6, 5), "NCDHW", (2, 4, 6, 5), "volume"),
    ],
    ids=str,
)
@pytest.mark.parametrize("on_disk", [False, True], ids=["npz", "npy"])
def test_the_axes_say_what_an_example_is(tmp_path, stored, layout, shape, example, on_disk):
    array = REAL.reshape(stored)
    if on_disk:
        np.save(tmp_path / "x_train.npy", array)
        np.save(tmp_path / "x_test.npy", array[:3])
    source = npz(str(tmp_path) if on_disk else saved(tmp_path, array), layout=layout)
    assert source.spec.shape == shape and source.spec.example == example and source.spec.support == "real"
    train = source.train.gather(slice(None)) if on_disk else source.train
    names = (layout or {"vector": "ND", "signal": "NCT" if stored[1] == 1 else "NTC"}.get(example, "")) or (
        {3: "NHW", 4: "NHWC"}.get(len(stored)) or ("NCDHW" if stored[1] == 1 else "NDHWC")
    )
    # by hand: channels to the front, one added where the layout has none
    whole = array if "C" in names or names == "ND" else array[..., None]
    where = names.index("C") if "C" in names else whole.ndim - 1
    expected = whole if names == "ND" else np.moveaxis(whole, where, 1)
    assert np.array_equal(train, expected.astype(np.float32))


@pytest.mark.parametrize(
    ("stored", "layout", "words"),
    [
        ((20, 12, 20), "NCHW", ["dataset.layout=NCHW has 4 axes, not 3", "NCT", "NHW"]),
        ((20, 4, 6, 10), None, ["NCHW", "NHWC", "NDHW"]),
        ((20, 2, 4, 6, 5), None, [["NCDHW", "or", "NDHWC"][0], "NDHWC"]),
        ((20, 2, 2, 2, 5, 6), None, ["vectors, signals, images or volumes", "two to five axes"]),
        ((4800,), None, ["two to five axes"]),
    ],
)
def test_axes_that_are_not_plain_are_refused_with_the_layouts(tmp_path, stored, layout, words):
    refused(lambda: npz(saved(tmp_path, REAL.reshape(stored)), layout=layout), str(stored).strip("()"), *words)


def test_long_and_narrow_images_may_be_signals_and_that_is_said(tmp_path):
    def remarks(*shape, **options):
        return [
            line for line in npz(saved(tmp_path, REAL.reshape(shape)), **options).inventory.remarks if "NCT" in line
        ]

    assert remarks(20, 4, 60) == [
        "three axes: taken as images of 4 × 60; dataset.layout=NCT or NTC takes them as signals"
    ]
    assert remarks(20, 12, 20) == remarks(20, 4, 60, layout="NHW") == remarks(20, 240) == remarks(20, 1, 240) == []


def test_a_lone_table_of_numbers_needs_no_name_and_stands_back_behind_images(tmp_path):
    np.savez(tmp_path / "x.npz", embedding=REAL)
    assert npz(str(tmp_path / "x.npz")).spec.shape == (240,)
    np.savez(tmp_path / "x.npz", embedding=REAL, photos=REAL.reshape(20, 12, 20))
    source = npz(str(tmp_path / "x.npz"))
    assert source.spec.shape == (1, 12, 20) and "embedding (20×240)" in source.inventory.left_out[0]


IMAGES, VECTORS = (20, 12, 20), (20, 240)
WHITE = RNG.integers(0, 256, (20, 240))


@pytest.mark.parametrize(
    ("array", "stored", "kind", "support", "levels", "remark"),
    [
        (WHITE.astype(np.uint8), IMAGES, "auto", "levels", 256, "256 grey levels, since they are whole numbers"),
        (WHITE, IMAGES, "auto", "levels", 256, ""),
        (FEW.astype(np.uint8), IMAGES, "auto", "counts", None, "counts, since they are whole numbers from 0 to 9"),
        (FEW, IMAGES, "auto", "counts", None, "0 to 9 and too dark for pictures of 8 bits"),
        (FEW, VECTORS, "auto", "counts", None, "no images"),
        (900 * FEW, VECTORS, "auto", "counts", None, "0 to 8,100"),
        (FEW - 1, VECTORS, "auto", "real", None, "real numbers, since they are whole numbers from -1 to 8"),
        (FEW > 1, VECTORS, "auto", "binary", 2, "binary, since all values are 0 or 1"),
        (REAL, VECTORS, "auto", "real", None, "real numbers, since they lie from -"),
        (WHITE / 255, VECTORS, "auto", "unit_interval", None, "shades in [0, 1], since they lie from 0 to 1"),
        (WHITE / 255, IMAGES, "auto", "unit_interval", None, ""),
        (FEW, IMAGES, "image", "levels", 256, ""),
        (FEW, IMAGES, "levels", "levels", 10, "0 to 9, so 10 levels"),
        (FEW.astype(float), VECTORS, "levels", "levels", 10, ""),
        (FEW.astype(float), VECTORS, "counts", "counts", None, ""),
        (WHITE.astype(np.uint8), IMAGES, "counts", "counts", None, ""),
        (WHITE.astype(np.uint8), IMAGES, "real", "real", None, ""),
        (WHITE / 255, VECTORS, "real", "real", None, ""),
        (FEW > 1, IMAGES, "real", "real", None, ""),
    ],
)  # fmt: skip
def test_values_are_taken_for_a_kind_with_a_reason(tmp_path, array, stored, kind, support, levels, remark):
    array = array.reshape(stored)
    source = npz(saved(tmp_path, array), kind=kind)
    assert (source.spec.support, source.spec.levels) == (support, levels)
    assert np.array_equal(source.train.reshape(stored).double(), array.astype(np.float32).astype(float))
    whole = support not in ("real", "unit_interval")
    assert source.train.dtype == (torch.float32 if not whole else torch.uint8 if array.max() <= 255 else torch.int32)
    assert remark in " ".join(source.inventory.remarks)
    remarks = [line for line in source.inventory.remarks if line.startswith("kind=auto: ")]
    assert len(remarks) == (kind == "auto")


@pytest.mark.parametrize(
    ("array", "options", "words"),
    [
        (REAL, {"kind": "counts"}, ["dataset.kind=counts", "whole numbers from 0", "not all of them whole"]),
        (FEW - 1, {"kind": "counts"}, ["dataset.kind=counts", "from -1"]),
        (FEW + 2**24, {"kind": "counts"}, ["16,777,215"]),
        (REAL, {"kind": "levels"}, ["dataset.kind=levels"]),
        (REAL, {"kind": "image"}, ["dataset.kind=image", "floats from 0 to 1"]),
        (FEW, {"kind": "picture"}, ["dataset.kind", "image, levels, counts or real"]),
        (FEW, {"kind": "counts", "levels": 9}, ["dataset.levels=9", "kind=counts"]),
        (FEW, {"kind": "levels", "levels": 3}, ["dataset.levels=3", "from 0 to 2"]),
    ],
)
def test_values_of_another_kind_are_refused(tmp_path, array, options, words):
    refused(lambda: npz(saved(tmp_path, array), **options), *words)


def test_one_dark_split_does_not_make_levels_counts(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=WHITE.reshape(IMAGES), x_test=FEW.reshape(IMAGES))
    assert npz(str(tmp_path / "x.npz")).spec.levels == 256


def test_counts_are_for_likelihoods_of_counts_and_the_others_say_what_to_do():
    source = digits("digits_counts", kind="counts")
    assert source.spec.support == "counts" and source.train.max() == 16 and source.spec.level_width is None
    for family in FAMILIES:
        data = Data.from_source(source, AutoTransform(), family.accepts)
        assert torch.equal(data.test.batch(slice(None)), source.test.float())
        if "counts" in family.accepts:
            family().check_spec(data.spec)
            continue
        as_numbers = ["dataset.kind=real to treat them as numbers, or "] if "real" in family.accepts else []
        refused(
            lambda family=family, data=data: family().check_spec(data.spec), f"likelihood={family.name}",
            "counts {0, 1, 2, ...}", *as_numbers, "likelihood=negative_binomial, poisson or zinb",
        )  # fmt: skip
    real = Data.from_source(digits(kind="real"), AutoTransform(), Gaussian.accepts)
    Gaussian().check_spec(real.spec)
    assert real.spec.support == "real" and real.spec.scaling is not None
    present = Data.from_source(source, Binarize(), Bernoulli.accepts)
    assert torch.equal(present.test.batch(slice(None)), (source.test > 0).float())
    refused(lambda: Data.from_source(source, Binarize(mode="stochastic"), Bernoulli.accepts), "binarize", "counts")
