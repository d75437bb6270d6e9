"""Tables: what each column is taken for, and the numbers that the rows become."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from source_cases import every_row, refused

from vaekl.data import Data
from vaekl.data.auto import AutoTransform
from vaekl.data.sources import table_files
from vaekl.data.sources.embedded import breast_cancer, diabetes, wine
from vaekl.data.sources.table import table
from vaekl.model.likelihoods import Poisson, ZeroInflatedNegativeBinomial
from vaekl.system.errors import VaeklError

RNG = np.random.default_rng(0)
COUNT = 60
CITIES, SEXES = ("Bonn", "Köln", "Ulm"), ("F", "M")
PEOPLE = {
    "id": list(range(COUNT)),
    "age": RNG.integers(18, 90, COUNT).tolist(),
    "income": RNG.normal(3e4, 8e3, COUNT).round(2).tolist(),
    "debt": (-RNG.integers(0, 900, COUNT)).tolist(),
    "sex": [SEXES[i % 2] for i in range(COUNT)],
    "city": [CITIES[i % 3] for i in range(COUNT)],
    "smokes": RNG.integers(0, 2, COUNT).tolist(),
    "name": [f"name {i}" for i in range(COUNT)],
    "planet": ["Earth"] * COUNT,
}


def write(file, columns=PEOPLE, separator=",", encoding="utf-8", rows=slice(None)):
    with file.open("w", newline="", encoding=encoding) as out:
        writer = csv.writer(out, delimiter=separator)
        writer.writerow(columns)
        writer.writerows(list(zip(*columns.values(), strict=True))[rows])
    return str(file)


def kinds(source):
    """The kind of each column as the head of a run lists it, by its name."""
    return {line.split("  ")[0]: line[max(len(name) for name in PEOPLE) + 2 :] for line in source.inventory.columns}


def test_each_column_is_guessed_listed_and_becomes_numbers(tmp_path):
    source = table(write(tmp_path / "x.csv"), test_fraction=0.2)
    words = {name: " ".join(line.split()) for name, line in kinds(source).items()}
    assert words == {
        "id": "left out the numbers of the rows",
        "age": f"count {min(PEOPLE['age'])} to {max(PEOPLE['age'])}",
        "income": f"numeric {min(PEOPLE['income']):.6g} to {max(PEOPLE['income']):.6g}",
        "debt": f"numeric {min(PEOPLE['debt'])} to {max(PEOPLE['debt'])}",
        "sex": "binary F is 0, M is 1",
        "city": "categorical a 0 or 1 for each of 3: Bonn, Köln, Ulm",
        "smokes": "binary 0 is 0, 1 is 1",
        "name": "left out text, 60 different values such as 'name 0'",
        "planet": "left out it never varies",
    }
    spec = source.spec
    assert (spec.shape, spec.support, spec.example, spec.name) == ((8,), "real", "row", "table")
    assert spec.columns == ("age", "income", "debt", "sex=M", "city=Bonn", "city=Köln", "city=Ulm", "smokes=1")
    assert (len(source.train), len(source.test)) == (48, 12)
    expected = np.stack(
        [
            *(np.array(PEOPLE[name], float) for name in ("age", "income", "debt")),
            np.array(PEOPLE["sex"]) == "M",
            *(np.array(PEOPLE["city"]) == city for city in CITIES),
            np.array(PEOPLE["smokes"]),
        ],
        1,
    ).astype(np.float32)
    rows = every_row(source)
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, expected.astype(float).tolist()))
    other = table(write(tmp_path / "x.csv"), test_fraction=0.2, test_seed=1)
    assert not np.array_equal(other.test, source.test)


def test_kinds_are_set_by_name(tmp_path):
    source = table(
        write(tmp_path / "x.csv"), numeric=["id", "age"], categorical="smokes", ignore=["debt", "name"], label="city"
    )
    assert source.spec.columns == ("id", "age", "income", "sex=M", "smokes=0", "smokes=1")
    words = kinds(source)
    assert words["debt"].split() == ["left", "out", "dataset.ignore", "names", "it"] and words["city"] == "the label"
    labels = np.concatenate([source.train_labels, source.test_labels])
    ids = every_row(source)[:, 0].astype(int)
    assert [CITIES[label] for label in labels] == [PEOPLE["city"][i] for i in ids]


WRONG = {
    "no such column": ({"numeric": "agge"}, ["x.csv", "no column agge", "age"]),
    "words are no numbers": ({"numeric": "city"}, ["city", "numeric", "'Bonn'"]),
    "not whole": ({"count": "income"}, ["income", "count"]),
    "negative": ({"count": "debt"}, ["debt", "count", "-"]),
    "not two": ({"binary": "city"}, ["city", "binary", "3 different"]),
    "one": ({"categorical": "planet"}, ["planet", "never varies"]),
    "twice": ({"binary": "sex", "ignore": ["sex"]}, ["dataset.ignore", "sex", "binary"]),
    "label": ({"label": "town"}, ["dataset.label=town", "city"]),
    "split": ({"split": "town"}, ["dataset.split=town", "city"]),
    "not a split": ({"split": "sex"}, ["sex", "'F'", "train, valid or test"]),
    "missing": ({"missing": "fill"}, ["dataset.missing", "refuse, drop or mask", "'fill'"]),
    "no path": ({"path": None}, ["dataset=table", "dataset.path"]),
    "no number": ({"label": 3}, ["dataset.label"]),
    "nothing left": (
        {"ignore": ["age", "income", "debt", "sex", "city", "smokes"]},
        ["no column", "name (text", "id ("],
    ),
}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG)
def test_a_mistake_is_one_sentence(tmp_path, options):
    changes, words = options
    refused(lambda: table(**({"path": write(tmp_path / "x.csv")} | changes)), *words)


def test_missing_values_are_counted_and_their_rows_are_left_out_on_demand(tmp_path):
    columns = dict(PEOPLE)
    for name, rows in {"age": (3, 5), "income": (5,), "city": (7, 8)}.items():
        columns[name] = [("", "NA", "?")[i % 3] if i in rows else value for i, value in enumerate(columns[name])]
    path = write(tmp_path / "x.csv", columns)
    refused(lambda: table(path), "x.csv", "age (2), income (1), city (2)", "dataset.missing=drop", "4 of 60 rows")
    words = pa.table({name: [str(value) for value in columns[name]] for name in ("city", "name")})
    pyarrow.parquet.write_table(words, tmp_path / "x.parquet")
    refused(lambda: table(str(tmp_path / "x.parquet")), "x.parquet has missing values in city (2)")
    source = table(path, missing="drop")
    assert source.inventory.left_out == ["4 rows in which a value is missing: dataset.missing=drop"]
    assert "(2 missing)" in kinds(source)["age"] and "(1 missing)" in kinds(source)["income"]
    rows = every_row(source)
    assert len(rows) == 56 and np.isfinite(rows).all()
    kept = [i for i in range(COUNT) if i not in (3, 5, 7, 8)]
    assert sorted(rows[:, 0].astype(int)) == sorted(PEOPLE["age"][i] for i in kept)
    assert len(every_row(table(path, ignore=["age", "income", "city"]))) == COUNT


def test_a_column_or_a_file_says_which_rows_are_to_test(tmp_path):
    words = ["Train", "val", "TEST"]
    path = write(tmp_path / "x.csv", PEOPLE | {"fold": [words[i % 3] for i in range(COUNT)]})
    source = table(path, split="fold", numeric="id")
    ids = [part[:, 0].int().tolist() for part in (source.train, source.valid, source.test)]
    assert ids == [[i for i in range(COUNT) if i % 3 == part] for part in range(3)]
    assert kinds(source)["fold"] == "the split"
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts" / "train.csv", rows=slice(0, 40))
    write(tmp_path / "parts" / "test.csv", rows=slice(40, None))
    write(tmp_path / "parts" / "notes.csv", {"a": [1, 2]})
    pair = table(str(tmp_path / "parts" / "train.csv"), test_path=str(tmp_path / "parts" / "test.csv"), numeric="id")
    both = table(str(tmp_path / "parts"), numeric="id")
    assert both.inventory.left_out == ["1 tables whose names are of no other split: notes.csv"]
    for source in (pair, both):
        assert source.test[:, 0].int().tolist() == list(range(40, COUNT)) and len(source.train) == 40
    refused(lambda: table(str(tmp_path / "parts"), test_path=path), "dataset.test_path", "not needed")
    (tmp_path / "parts" / "train.csv").unlink()
    refused(lambda: table(str(tmp_path / "parts")), "parts", "train.csv")


def test_splits_have_the_same_columns(tmp_path):
    write(tmp_path / "train.csv", {"a": [1.5, 2.5, 3], "b": [1.5, 2, 3]})
    write(tmp_path / "test.csv", {"a": [1.5, 2.5, 3]})
    refused(lambda: table(str(tmp_path)), "train.csv has a column b and", "test.csv has none")
    write(tmp_path / "test.csv", {"a": ["x", "y"], "b": [1.5, 2]})
    source = table(str(tmp_path))
    assert source.spec.columns == ("b",) and "words in one split and numbers in another" in source.inventory.columns[0]


def test_parquet_gives_the_same_rows_as_csv(tmp_path):
    whole = pa.table(PEOPLE)
    types = {"city": pa.dictionary(pa.int8(), pa.string()), "smokes": pa.bool_(), "income": pa.decimal128(12, 2)}
    for index, name in enumerate(whole.column_names):
        if name in types:
            column = pa.array(PEOPLE[name]).cast(pa.int8()).cast(types[name]) if name == "smokes" else whole[name]
            whole = whole.set_column(index, name, column.cast(types[name], safe=False))
    whole = whole.append_column("born", pa.array([0] * COUNT, pa.date32())).append_column(
        "list", pa.array([[1]] * COUNT)
    )
    pyarrow.parquet.write_table(whole, tmp_path / "x.parquet")
    source, other = table(str(tmp_path / "x.parquet")), table(write(tmp_path / "x.csv"))
    assert source.spec == other.spec
    np.testing.assert_allclose(source.train, other.train)
    np.testing.assert_allclose(source.test, other.test)
    assert [kinds(source)[name].split(", ")[0] for name in ("born", "list")] == ["left out     its type"] * 2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", b"", ["x.csv is empty; set dataset.path=FILE.csv"]),
        ("x.csv", b"a,b\n1,2,3\n", ["Expected 2 columns, got 3"]),
        ("x.csv", b"a,a\n1,2\n", ["two columns a"]),
        ("x.csv", b"a,b\n", ["no column", "a (it has no values)"]),
        ("x.csv", b"a,b\n1,2\n", ["no column", "never varies"]),
        ("x.parquet", b"PAR1 and no more", ["x.parquet cannot be read as a table"]),
        ("x.xlsx", b"PK", ["no .csv or .parquet file", "dataset.path"]),
    ],
)  # fmt: skip
def test_files_that_hold_no_table(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    refused(lambda: table(str(tmp_path / name)), *words)


def test_names_of_a_stranger_do_not_speak_to_the_terminal(tmp_path):
    (tmp_path / "x.csv").write_text("a\x1b[2Jb,c\n1.5,2.5\n2.5,1\n3,4\n", encoding="utf-8")
    assert table(str(tmp_path / "x.csv")).spec.columns == ("a\\x1b[2Jb", "c")


def test_a_table_that_the_memory_cannot_hold_is_refused_before_it_is_read(tmp_path, monkeypatch):
    pyarrow.parquet.write_table(pa.table({"a": np.arange(1000.0)}), tmp_path / "x.parquet")
    monkeypatch.setattr(table_files, "free_memory", lambda: 30_000)
    refused(lambda: table(str(tmp_path / "x.parquet")), "x.parquet", "memory")
    refused(lambda: table(write(tmp_path / "x.csv", {"a": list(range(5000))})), "x.csv", "memory")


def test_without_pyarrow_a_sentence_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(VaeklError, match=r'pip install "vaekl\[table\]"'):
        table(write(tmp_path / "x.csv"))


def test_a_table_of_nothing_but_binary_columns_is_binary(tmp_path):
    source = table(write(tmp_path / "x.csv"), ignore=["age", "income", "debt"])
    assert (source.spec.support, source.spec.shape, source.spec.levels) == ("binary", (5,), 2)


@pytest.mark.parametrize(
    ("make", "count", "shape", "classes"), [(wine, 178, 13, 3), (breast_cancer, 569, 30, 2), (diabetes, 442, 10, 0)]
)
def test_embedded_tables_are_sklearn_s(make, count, shape, classes):
    from sklearn import datasets

    source = make()
    loader = getattr(datasets, f"load_{make.__name__}")
    bunch = loader(scaled=False) if make is diabetes else loader()
    rows = every_row(source)
    assert rows.shape == (count, shape) and len(source.test) == count // 5
    expected = bunch.data.astype(np.float32).astype(float)
    expected[:, 1] -= make is diabetes  # its sexes are 1 and 2
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, expected.tolist()))
    assert source.spec.support == "real" and len(source.spec.columns) == shape
    assert len(source.inventory.columns) == shape
    if not classes:
        assert source.train_labels is None
        return
    labels = np.concatenate([source.train_labels, source.test_labels])
    by_row = {tuple(row): label for row, label in zip(expected.tolist(), bunch.target, strict=True)}
    assert all(by_row[tuple(row)] == label for row, label in zip(rows.tolist(), labels, strict=True))
    assert len(set(labels.tolist())) == classes


def test_a_table_of_counts_is_one_where_the_user_says_so(tmp_path):
    counts = {"a": [0, 3, 1, 2] * 5, "b": [0, 1] * 10, "c": [70_000, 5] * 10}
    path = tmp_path / "x.csv"
    path.write_text(
        "\n".join([",".join(counts), *(",".join(map(str, row)) for row in zip(*counts.values(), strict=True))])
    )
    source = table(str(path), kind="counts")
    assert (source.spec.support, source.spec.levels) == ("counts", None)
    assert sorted(map(tuple, every_row(source).tolist())) == sorted(zip(*counts.values(), strict=True))
    assert table(str(path)).spec.support == "real"
    path.write_text(path.read_text().replace("70000", "0.5"))
    with pytest.raises(VaeklError, match=r"dataset\.kind=counts takes whole numbers"):
        table(str(path), kind="counts")


@pytest.mark.parametrize("by", ["drop", "column", "nothing"])
def test_numbers_of_rows_are_those_in_the_file(tmp_path, by):
    parts = ["train", "test", "train", "valid"] * 10
    lines = [
        f"{'' if by == 'drop' and row % 7 == 0 else row + 0.5},{row % 3 + row / 9},{parts[row]}" for row in range(40)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,part", *lines]), encoding="utf-8")
    words = {"split": "part"} if by == "column" else {"ignore": "part"}
    source = table(str(tmp_path / "t.csv"), missing="drop", **words)
    for rows, examples in ((source.rows["train"], source.train), (source.rows["test"], source.test)):
        assert len(rows) and (rows + 0.5).tolist() == examples[:, 0].tolist()


@pytest.mark.parametrize("family", [Poisson, ZeroInflatedNegativeBinomial])
def test_a_table_of_counts_is_said_to_need_its_kind(tmp_path, family):
    lines = [f"{row * 7 % 5},{row % 2},{row * 3 % 4}" for row in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c", *lines]), encoding="utf-8")
    for words in ({}, {"offset": "total"}):
        source = table(str(tmp_path / "t.csv"), **words)
        with pytest.raises(VaeklError, match=r"every column.* holds? counts") as refusal:
            family().check_spec(Data.from_source(source, AutoTransform(), family.accepts).spec)
        assert "dataset.kind=counts" in str(refusal.value) and "transform" not in str(refusal.value)
        data = Data.from_source(table(str(tmp_path / "t.csv"), kind="counts", **words), AutoTransform(), family.accepts)
        family().check_spec(data.spec)
