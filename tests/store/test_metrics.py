"""metrics.csv: what is a row of it, what is none, and what a killed writer leaves."""

import os

import pytest

from vaekl.store import RunFolder
from vaekl.store.metrics import FIELDS, Row
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import printable

HEAD = ",".join(FIELDS)


def line(step=1, split="train", **figures):
    """A row as vaekl writes it."""
    cells = [str(step), split] + ["" if name not in figures else str(figures[name]) for name in FIELDS[2:]]
    return ",".join(cells)


def read(folder, *lines, end="\n"):
    """The rows of a file with these lines."""
    (folder / "metrics.csv").write_text("\n".join([HEAD, *lines]) + end)
    return list(RunFolder(folder).metrics())


def refused(folder, *parts):
    """The one sentence for a file that is not vaekl's."""
    with pytest.raises(VaeklError) as caught:
        list(RunFolder(folder).metrics())
    text = str(caught.value)
    assert str(folder / "metrics.csv") in text and "\n" not in text and text.endswith(".") and printable(text) == text
    for part in parts:
        assert part in text
    return text


def test_rows_are_steps_splits_and_numbers(tmp_path):
    rows = read(tmp_path, line(5, rmse=0.5, loss=-1e-05, active_units=3), line(5, "valid", elbo_nats=1.5e16))
    assert [(row.step, row.split) for row in rows] == [(5, "train"), (5, "valid")]
    assert rows[0].figures() == {"rmse": 0.5, "loss": -1e-05, "active_units": 3.0}
    assert rows[1].figures() == {"elbo_nats": 1.5e16}


def test_a_figure_that_is_not_finite_is_no_figure(tmp_path):
    """A validation may overflow where the loss does not: the run goes on, and so does who reads its log."""
    (row,) = read(tmp_path, line(5, rmse="inf", gradient_norm="nan", loss=2.0))
    assert row.figures() == {"loss": 2.0}


def test_no_file_and_an_empty_one_have_no_rows(tmp_path):
    assert list(RunFolder(tmp_path).metrics()) == []
    (tmp_path / "metrics.csv").touch()
    assert list(RunFolder(tmp_path).metrics()) == []


@pytest.mark.parametrize("length", range(0, len(line(5, rmse=0.5)), 3))
def test_a_last_line_that_is_cut_off_is_left_out(length, tmp_path):
    assert [row.step for row in read(tmp_path, line(4), line(5, rmse=0.5)[:length], end="")] in ([4], [4, 5])
    assert read(tmp_path, line(4), line(5, rmse=0.5)[: length + 2], end="")[0] == Row(4, "train", line(4))


@pytest.mark.parametrize(
    "bad",
    [
        "x", "1", line(1) + ",", line(1)[:-1], line("x"), line(-1), line("9" * 17), line(1, "other"), line(1, rmse="x"),
        line(1, rmse="1" * 5000), line(1, rmse="0x1"), line(1, rmse="1_0"), line(1, rmse="1e4000"),
        line(1, rmse="\"5\""), line(1, rmse="\x1b[2J"), line(1, rmse="٣"), line(1, rmse="True"), "",
        " " + line(1), line(1).replace(",", ";"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_line_that_is_no_row_is_refused(bad, tmp_path):
    (tmp_path / "metrics.csv").write_text("\n".join([HEAD, line(1), bad, line(2)]) + "\n")
    refused(tmp_path, "line 3 is no row")


@pytest.mark.parametrize("head", ["step,split", HEAD + ",more", HEAD.upper(), "\x1b[2J", HEAD * 1000], ids=len)
def test_other_columns_are_refused(head, tmp_path):
    (tmp_path / "metrics.csv").write_text(head + "\n")
    refused(tmp_path, "first line")


def test_what_is_no_text_or_no_regular_file_is_refused(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_bytes(HEAD.encode() + b"\n\xff\xfe\n")
    refused(tmp_path, "no text in UTF-8")
    with file.open("wb") as target:
        target.truncate(1 << 33)
    refused(tmp_path, "bytes, more than")
    file.unlink()
    os.mkfifo(file)
    refused(tmp_path, "a pipe")
    file.unlink()
    file.symlink_to("/dev/zero")
    refused(tmp_path, "a link")


def test_a_log_goes_on_with_the_rows_that_are_kept(tmp_path):
    read(tmp_path, line(1, rmse=0.1), line(2, rmse=0.2), line(3, rmse=0.3)[:9], end="")
    log = RunFolder(tmp_path).log(keep=lambda row: row.step < 2)
    log.append(2, "valid", {"rmse": 0.25})
    log.flush()
    text = "\n".join([HEAD, line(1, rmse=0.1), line(2, "valid", rmse=0.25)]) + "\n"
    assert (tmp_path / "metrics.csv").read_text() == text
    log.close()


def test_a_log_that_cannot_be_read_is_left_as_it_is(tmp_path):
    (tmp_path / "metrics.csv").write_text("mine\n")
    with pytest.raises(VaeklError):
        RunFolder(tmp_path).log(keep=lambda row: True)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"metrics.csv": "mine\n"}
