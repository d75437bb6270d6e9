"""A terminal that cannot say φ: no verb ends for a character, and what it lacks is spelled."""

import io
import os
import sys
from contextlib import chdir

import numpy as np
import pytest
from cli_helpers import SMALL, trained, vaekl

from vaekl import cli
from vaekl.system.errors import VaeklError
from vaekl.system.places import check_name

ENCODINGS = ["ascii", "latin-1", "cp1252"]
NAME = "lauf φ日"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a finished run whose name and whose data's name are not of ASCII."""
    folder = tmp_path_factory.mktemp("φ日")
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    np.savez(folder / "dätä日.npz", x_train=images, x_test=images[:20])
    trained(folder, "dataset=npz", "dataset.path='dätä日.npz'").rename(folder / NAME)
    return folder


def typed(folder, encoding, *words):
    """The exit code of a command, and what it wrote to streams of this encoding that refuse all others."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", write_through=True) for _ in "oe")
    before = sys.stdout, sys.stderr
    with chdir(folder):
        sys.stdout, sys.stderr = out, err
        try:
            code = cli.main(words)
        finally:
            sys.stdout, sys.stderr = before
    return code, out.buffer.getvalue().decode(encoding), err.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("words", "spelled"),
    [
        (("resume", NAME), "lauf phi\\u65e5 is finished"),
        (("audit", NAME), "-E/phi"),
        pytest.param(("eval", NAME, "eval.k=2"), "-E/phi", marks=pytest.mark.nightly),
        pytest.param(("sample", NAME), "phi\\u65e5", marks=pytest.mark.nightly),
        pytest.param(("report", NAME), "phi\\u65e5", marks=pytest.mark.nightly),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_verb_that_looks_at_a_run(words, spelled, encoding, folder):
    code, out, err = typed(folder, encoding, *words)
    assert (code, err) == (0, "")
    assert spelled in out


@pytest.mark.parametrize(
    "encoding", [ENCODINGS[0], *(pytest.param(one, marks=pytest.mark.nightly) for one in ENCODINGS[1:])]
)
def test_training(encoding, folder):
    words = ("dataset=npz", "dataset.path='dätä日.npz'", f"hydra.run.dir='{encoding} é日'", "trainer.save_minutes=1e-9")
    code, out, err = typed(folder, encoding, "train", *SMALL, *words)
    assert (code, err) == (0, "")
    assert "dispersion phi" in out and "\\u65e5" in out and "nats" in out


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_mistake(encoding, folder):
    code, out, err = typed(folder, encoding, "train", "hydra.run.dir=x", "dataset=npz", "dataset.path='/φ日.npz'")
    assert (code, out) == (1, "")
    assert err == "vaekl: /phi\\u65e5.npz does not exist; set dataset.path=FILE.npz to where the data are.\n"


def test_a_locale_without_the_letters_of_a_name_is_named(folder, monkeypatch):
    """LC_ALL=C with PYTHONUTF8=0: Python then has no way to spell them for the system."""
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    cure = "set PYTHONUTF8=1, since the locale knows ascii alone."
    answer = vaekl(folder, "train", "dataset=npz", "dataset.path='/φ日.npz'")
    assert answer.err == f"vaekl: /φ日.npz does not exist; {cure}\n"
    with pytest.raises(VaeklError) as caught:
        check_name(folder / os.fsdecode(b"\xff"))
    assert str(caught.value).endswith(cure)
    answer = vaekl(folder, "train", "run_name=x", "dataset=npz", "dataset.path='/\udcff'")
    assert answer.err.endswith(f"which no run folder may: {cure}\n")
