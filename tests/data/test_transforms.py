import pytest
import torch

from vaekl.data.auto import AutoTransform
from vaekl.data.spec import DataSpec
from vaekl.data.transforms import AsStored, Binarize, Compose, Dequantize, Levels, Scale, Transform
from vaekl.data.warp import Warp
from vaekl.system.errors import VaeklError

GREY = DataSpec("grey", (1, 4, 4), 256, "levels")
DIGITS = DataSpec("digits", (1, 8, 8), 17, "levels")
BINARY = DataSpec("binary", (1, 4, 4), 2, "binary")
UNIT = DataSpec("unit", (1, 4, 4), None, "unit_interval")
REAL = DataSpec("real", (1, 4, 4), None, "real")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("levels", range(2, 257))
def test_dequantized_values_stay_in_their_bin_even_at_the_edges(levels, monkeypatch):
    spec = DataSpec("any", (1, 1, levels), levels, "levels")
    k = torch.arange(levels, dtype=torch.uint8).reshape(1, 1, 1, levels)
    transform = Dequantize().resolve(spec, ())
    for noise in (0.0, 0.5, 1 - 2**-24):
        monkeypatch.setattr(torch, "rand", lambda shape, noise=noise, **_: torch.full(shape, noise))
        x = transform(k)
        assert x.dtype == torch.float32
        assert x.min() > 0
        assert x.max() < 1
        assert torch.equal((x * levels).floor(), k.float())


def test_dequantized_mean_and_spec():
    x = Dequantize().resolve(GREY, ())(torch.full((400, 1, 50, 50), 255, dtype=torch.uint8), generator())
    assert x.max() < 1
    assert x.mean().item() == pytest.approx(255.5 / 256, abs=1e-5)
    assert x.var().item() == pytest.approx(1 / 12 / 256**2, rel=0.01)
    spec = Dequantize().spec(GREY)
    assert (spec.support, spec.levels, spec.dequantized) == ("unit_interval", 256, True)
    assert "(k + U)/256" in spec.protocol


def test_random_transforms_are_fresh_each_call_and_repeat_by_seed():
    k = torch.full((1, 1, 8, 8), 128, dtype=torch.uint8)
    for transform in (Dequantize().resolve(GREY, ()), Binarize(mode="stochastic").resolve(GREY, ())):
        g = generator()
        first, second = transform(k, g), transform(k, g)
        assert not torch.equal(first, second)
        assert torch.equal(transform(k, generator()), first)


def test_scale():
    k = torch.tensor([0, 8, 16], dtype=torch.uint8).reshape(1, 1, 1, 3)
    assert Scale().resolve(DIGITS, ())(k).flatten().tolist() == [0.0, 0.5, 1.0]
    spec = Scale().spec(DIGITS)
    assert (spec.support, spec.levels, spec.dequantized) == ("unit_interval", 17, False)
    with pytest.raises(TypeError, match="resolve"):
        Scale()(k)


def test_levels_are_whole_numbers():
    k = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2)
    x = Levels()(k)
    assert x.dtype == torch.int64
    assert x.flatten().tolist() == [0, 255]
    assert Levels().spec(BINARY).support == "levels"


def test_binarize_by_threshold():
    k = torch.tensor([0, 127, 128, 255], dtype=torch.uint8).reshape(1, 1, 1, 4)
    assert Binarize().resolve(GREY, ())(k).flatten().tolist() == [0, 0, 1, 1]
    assert Binarize(threshold=1.0).resolve(GREY, ())(k).flatten().tolist() == [0, 0, 0, 1]
    assert Binarize().resolve(UNIT, ())(torch.tensor([0.2, 0.5, 0.9])).tolist() == [0, 1, 1]
    spec = Binarize().spec(GREY)
    assert (spec.support, spec.levels) == ("binary", 2)


def test_binarize_by_chance_has_the_pixels_mean():
    k = torch.tensor([0, 51, 204, 255], dtype=torch.uint8).reshape(1, 1, 1, 4).expand(100_000, 1, 1, 4)
    x = Binarize(mode="stochastic").resolve(GREY, ())(k, generator())
    assert set(x.unique().tolist()) == {0.0, 1.0}
    mean = x.mean(0).flatten()
    assert mean[0] == 0
    assert mean[3] == 1
    assert mean[1].item() == pytest.approx(0.2, abs=0.006)
    assert mean[2].item() == pytest.approx(0.8, abs=0.006)


@pytest.mark.parametrize(
    ("gamma", "expected"),
    [
        (-0.5, [0, 0, 1, 1, 1]),
        (-0.25, [0, 0, 0.5, 1, 1]),
        (0.0, [0, 0.25, 0.5, 0.75, 1]),
        (0.25, [0.25, 0.375, 0.5, 0.625, 0.75]),
        (0.5, [0.5] * 5),
    ],
)
def test_warp(gamma, expected):
    x = torch.tensor([0, 0.25, 0.5, 0.75, 1])
    assert Warp(gamma)(x).tolist() == pytest.approx(expected)
    dequantized = Dequantize().spec(GREY)
    spec = Warp(gamma).spec(dequantized)
    assert spec.dequantized == (gamma == 0)
    assert spec.support == ("binary" if gamma == -0.5 else "unit_interval")
    assert (spec == dequantized) if gamma == 0 else f"{gamma:g}" in spec.protocol


def test_warp_dequantizes_levels_first():
    transform = Warp(-0.5).resolve(GREY, ("binary",))
    k = torch.tensor([127, 128], dtype=torch.uint8).reshape(1, 1, 1, 2)
    assert transform(k, generator()).flatten().tolist() == [0, 1]
    assert transform.spec(GREY).protocol == "dequantized (k + U)/256, then warped gamma=-0.5"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Warp(0.51),
        lambda: Warp(-0.51),
        lambda: Warp(float("nan")),
        lambda: Warp().spec(GREY),
        lambda: Warp().spec(REAL),
        lambda: Scale().spec(REAL),
        lambda: Dequantize().spec(UNIT),
        lambda: Levels().spec(UNIT),
        lambda: Binarize().spec(REAL),
        lambda: Binarize(mode="coin"),
        lambda: Binarize(threshold=0.0),
        lambda: Compose([Dequantize(), Dequantize()]).resolve(GREY, ()),
    ],
)
def test_refusals_are_one_sentence(make):
    with pytest.raises(VaeklError) as caught:
        make()
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "accepts", "expected"),
    [
        (GREY, ("unit_interval", "real"), Dequantize),
        (GREY, ("real",), Dequantize),
        (GREY, ("levels",), Levels),
        (GREY, ("binary",), Scale),
        (BINARY, ("binary",), AsStored),
        (BINARY, ("unit_interval",), AsStored),
        (BINARY, ("levels",), Levels),
        (UNIT, ("levels",), AsStored),
        (REAL, ("unit_interval",), AsStored),
    ],
)
def test_auto(spec, accepts, expected):
    chosen = AutoTransform().resolve(spec, accepts)
    assert type(chosen) is expected
    assert isinstance(chosen, Transform)
    stored = torch.ones(2, *spec.shape) if spec.levels is None else torch.ones(2, *spec.shape, dtype=torch.uint8)
    assert chosen(stored).dtype == (torch.int64 if expected is Levels else torch.float32)


def test_auto_scales_levels_for_a_law_that_has_probabilities_at_the_ends():
    chosen = AutoTransform(dequantizes=False)
    assert chosen.resolve(GREY, ("unit_interval",)) == Scale(255)
    assert isinstance(chosen.resolve(UNIT, ("unit_interval",)), AsStored)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_transforms_run_where_the_batch_is():
    k = torch.arange(256, dtype=torch.uint8, device="cuda").reshape(1, 1, 16, 16)
    g = torch.Generator("cuda").manual_seed(0)
    for transform in (Dequantize(), Scale(), Binarize(mode="stochastic"), Levels(), Warp(-0.2)):
        assert transform.resolve(GREY, ())(k, g).is_cuda
