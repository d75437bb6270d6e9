"""How .csv files are written: separators, decimal signs, a line of names, and letters."""

import numpy as np
import pytest
from source_cases import every_row, refused

from vaekl.data.inventory import Inventory
from vaekl.data.sources import table_files
from vaekl.data.sources.table import table


@pytest.mark.parametrize(
    ("text", "rows", "remark"),
    [
        ("a;b\n1,5;2\n2,25;3,5\n", [[1.5, 2], [2.25, 3.5]], "decimal commas"),
        ("1,5;2\n2,25;3,5\n", [[1.5, 2], [2.25, 3.5]], "no line of names"),
        ('a,b\n"1,5",2\n"2,25","3,5"\n', [[1.5, 2], [2.25, 3.5]], "decimal commas"),
        ("a\tb\n1.5\t2\n2.25\t3.5\n", [[1.5, 2], [2.25, 3.5]], ""),
        ("\ufeffa,b\n1.5,2\n2.25,3.5\n", [[1.5, 2], [2.25, 3.5]], ""),
        ('"a, b",b\n1.5,2\n2.25,3.5\n', [[1.5, 2], [2.25, 3.5]], ""),
        ("1.5,2\n2.25,3.5\n", [[1.5, 2], [2.25, 3.5]], "no line of names"),
        ("a,b\n" + "1,2\n" * 200_000 + "1.5,3.5\n", None, ""),
    ],
    ids=[
        "semicolons and decimal commas",
        "no head and commas",
        "quoted commas",
        "tabs",
        "a byte-order mark",
        "quotes",
        "no head",
        "whole numbers at first",
    ],
)
def test_csv_files_of_other_programs(tmp_path, text, rows, remark):
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    inventory = Inventory()
    columns = list(table_files.read_table(tmp_path / "x.csv", table_files.Format(), inventory).values())
    if rows is None:
        assert len(columns[0]) == 200_001 and [column[-1] for column in columns] == [1.5, 3.5]
    else:
        assert np.stack(columns, 1).tolist() == rows
    assert remark in " ".join(inventory.remarks) and bool(inventory.remarks) == bool(remark)


@pytest.mark.parametrize(
    ("text", "parts", "cure", "rows"),
    [
        ("5.1,x\n4.9,y\n5.0,x\n", ["'5.1,x'", "a row or the names"], {"header": False}, 3),
        ("0,1,2\n1.5,3,1\n2.5,4,0\n", ["'0,1,2'", "dataset.header=false"], {"header": True}, 2),
        (",0,1\n0,3.5,1\n1,4.5,7\n", ["',0,1'", "true if it has the names"], {"header": True}, 2),
        ("yes,a\nno,a\nyes,b\n", ["each of which is also a value"], {"header": False}, 3),
        ("a;b\n1,234;5\n2,718;6\n", ["1,234", "decimals or of thousands"], {"decimal": "comma"}, 2),
        ('a,b\n"1,234.5",5\n"2,718.5",6.5\n', ["column a", "'1,234.5'", "1234.5"], {"ignore": "a"}, 2),
        ('a,b\n1.234.567,"5,5"\n2.718.281,"6,5"\n', ["column a", "'1.234.567'"], {"ignore": "a"}, 2),
        ("a;b\n3,14;2.5\n2,72;1.5\n", ["comma (2,72)", "point (1.5)"], {"decimal": "point", "ignore": "a"}, 2),
    ],
)  # fmt: skip
def test_what_may_be_read_in_two_ways_is_refused_with_a_cure(tmp_path, text, parts, cure, rows):
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    refused(lambda: table(str(tmp_path / "x.csv")), "x.csv", *parts)
    assert len(every_row(table(str(tmp_path / "x.csv"), **cure))) == rows


def test_letters_of_windows_and_of_utf_16(tmp_path):
    for encoding, remarks in (("cp1252", 1), ("utf-16", 0)):
        (tmp_path / "x.csv").write_text("größe,ort\n1,Köln\n2,Ulm\n", encoding=encoding)
        inventory = Inventory()
        columns = table_files.read_table(tmp_path / "x.csv", table_files.Format(), inventory)
        assert list(columns) == ["größe", "ort"] and columns["ort"].tolist() == ["Köln", "Ulm"]
        assert len(inventory.remarks) == remarks
