"""What a run's folder says of its stored values, where that is short and plain enough to be read back."""

import pytest

from vaekl.data.coding import Code
from vaekl.data.spec import DataSpec
from vaekl.data.stored import stored_facts


def facts_of(*codes, **more):
    return stored_facts(DataSpec("table", (2,), None, "real", codes=codes, **more), by_total=False)


def test_columns_with_their_categories():
    facts = facts_of(Code("city", "binary", ("Bonn", "Ulm")), Code("size", "binary", (1.5, 2.0)))
    assert [(column["words"], column["numbers"]) for column in facts["columns"]] == [
        (["Bonn", "Ulm"], []),
        ([], [1.5, 2.0]),
    ]


@pytest.mark.parametrize(
    "codes",
    [
        [Code("x" * 5000, "numeric")],
        [Code("city", "categorical", tuple(f"{number:04000}" for number in range(1100)))],
        [Code("size", "binary", (0.0, 1e101))],
        [Code("a\x1b[2J", "numeric")],
    ],
    ids=["a long name", "long in all", "a large number", "a control character"],
)
def test_what_a_folder_could_not_say(codes):
    assert facts_of(*codes) is None


def test_values_that_are_transformed_already_are_not_plain():
    assert facts_of(protocol="scaled by hand") is None
