"""`vaekl sample --format csv`: rows as the user's own table has them, and its missing cells filled in."""

import csv

import numpy as np
import pytest
from cli_helpers import refused, trained, vaekl

from vaekl.data.coding import Code
from vaekl.data.sources.table import table
from vaekl.data.spec import DataSpec
from vaekl.verbs.sample.rows import columns_of

LONG = [f"{'a long name of a town ' * 3}{place}" for place in "ABC"]
WAYS = ("mean", "sample")


def people(file, missing=0.0):
    """A table with a column of each kind, some words with commas, whole numbers as categories."""
    draw = np.random.default_rng(3)
    rows = [
        [f"{draw.normal(170, 9):.2f}", draw.poisson(3), ("no", "yes, often")[i % 2], LONG[i % 3], 1234560 + i % 3]
        for i in range(60)
    ]
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["height", "visits", "smokes", "town", "zip"])
        writer.writerows([["" if draw.random() < missing else cell for cell in row] for row in rows])
    return str(file)


def read(file):
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_numbers_become_the_cells_that_they_were(tmp_path):
    source = table(people(tmp_path / "people.csv"), categorical="zip", test_fraction=None)
    columns = columns_of(source.spec, source.train.numpy())
    assert source.spec.dims == 1 + 1 + 1 + 3 + 3  # also of long words, and of large numbers, that are alike
    rows = read(tmp_path / "people.csv")
    assert list(columns) == list(rows[0])
    assert [float(cell) for cell in columns.pop("height")] == pytest.approx([float(row["height"]) for row in rows])
    for name, cells in columns.items():
        assert cells == [row[name] for row in rows], name


def test_a_decoder_s_numbers_become_whole_counts_and_the_likeliest_words():
    codes = (Code("n", "count"), Code("b", "binary", ("F", "M")), Code("c", "categorical", ("x", "y")))
    spec = DataSpec("t", (4,), None, "mixed", codes=codes)
    rows = np.array([[2.6, 0.4, 0.3, 0.7], [-0.7, 0.6, 0.6, 0.4], [1, 1, 0, 0]], np.float32)
    # a draw of each category by itself may be of none of them, or of both
    assert columns_of(spec, rows) == {"n": ["3", "0", "1"], "b": ["F", "M", "M"], "c": ["y", "x", ""]}
    numbers = DataSpec("t", (1,), None, "real", codes=(Code("size", "numeric"),))
    assert columns_of(numbers, np.array([[5], [-0.1], [10]], np.float32)) == {"size": ["5", "-0.1", "10"]}


def test_rows_have_the_table_s_columns_and_missing_cells_are_filled_in(tmp_path):
    path = people(tmp_path / "people.csv", missing=0.2)
    words = ["dataset=table", f"dataset.path={path}", "dataset.missing=mask", "dataset.categorical=zip"]
    run = trained(tmp_path, *words, "likelihood=columns")
    answer = vaekl(tmp_path, "sample", str(run), "--format", "csv", "sample.split=all", "sample.count=60")
    assert answer.code == 0, answer.err
    assert "left out: traversal and interpolation" in answer.out
    files = {file.name for file in (run / "samples").glob("*.csv")}
    kinds = ("prior", "reconstructions_all", "filled_in_all")
    assert files == {
        f"{kind.replace('_all', '')}_{way}{'_all' * ('_all' in kind)}.csv" for kind in kinds for way in WAYS
    }
    origin = read(tmp_path / "people.csv")
    for way in WAYS:
        guesses, filled = (read(run / "samples" / f"{kind}_{way}_all.csv") for kind in ("reconstructions", "filled_in"))
        assert len(filled) == len(origin)
        for number, (was, guess, now) in enumerate(zip(origin, guesses, filled, strict=True)):
            assert list(now) == ["row", "split", *was] and int(now["row"]) == int(guess["row"]) == number
            for name, cell in was.items():
                assert now[name] == (guess[name] if cell == "" else cell.removesuffix("0") if "." in cell else cell)
    whole = {file.name: file.read_bytes() for file in (run / "samples").iterdir()}
    assert vaekl(tmp_path, "sample", str(run), "--format=csv", "sample.what=reconstructions").code == 0
    assert whole.items() <= {file.name: file.read_bytes() for file in (run / "samples").iterdir()}.items()
    of_test = read(run / "samples" / "filled_in_mean.csv")
    assert 0 < len(of_test) < len(origin)
    for now in of_test:
        was = origin[int(now["row"])]
        assert all(now[name] == cell or float(now[name]) == float(cell) for name, cell in was.items() if cell)
    drawn = read(run / "samples" / "prior_sample.csv")
    assert len(drawn) == 60 and all(row["visits"].isdecimal() and row["town"] in LONG for row in drawn)


def test_what_is_no_table_has_no_rows(tmp_path):
    run = trained(tmp_path)
    refused(vaekl(tmp_path, "sample", str(run), "--format=csv"), "csv is for tables", "digits holds images")
    refused(vaekl(tmp_path, "sample", str(run), "--format=csv", "sample.what=traversal"), "prior and reconstructions")
