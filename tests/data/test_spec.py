"""What a data set says of itself."""

import json

import pytest

from vaekl.data.sources.embedded import digits
from vaekl.data.spec import DataSpec
from vaekl.data.transforms import AsStored, Binarize, Compose, Dequantize, Levels, Scale
from vaekl.data.warp import Warp


@pytest.mark.parametrize(
    ("transform", "width"),
    [
        (Scale(), 1 / 16),
        (Dequantize(), 1 / 17),
        (Levels(), 1 / 16),
        (Binarize(), None),
        (Compose([Scale(), Warp(-0.1)]), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_distance_of_grey_levels_is_on_the_scale_of_pictures(transform, width):
    spec = digits().spec
    transform = transform.resolve(spec, ("unit_interval", "levels", "binary"))
    assert transform.spec(spec).level_width == width
    if width is not None:
        source = digits()
        values = transform.spec(spec).to_unit(transform(source.train, None)).unique()
        steps = values.diff() if len(values) == 17 else values.mul(17).floor().unique().diff() / 17
        assert steps.min().item() == pytest.approx(width)


def test_floats_have_no_levels_and_facts_are_json():
    spec = DataSpec("mine", (1, 4, 4), None, "real")
    assert AsStored().spec(spec).level_width is None
    expected = {"name": "mine", "shape": [1, 4, 4], "example": "image", "support": "real", "level_width": None}
    expected["spread"] = None
    expected |= {"protocol": "as stored", "levels": None, "columns": None}
    assert json.loads(json.dumps(spec.facts())) == expected
