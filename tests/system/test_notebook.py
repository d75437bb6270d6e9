"""A line that changes in a notebook, with a stand-in for IPython; docs/examples has a real notebook."""

import contextlib
import io
import sys
from types import SimpleNamespace

import pytest
from helpers import data_of, model_of, trainer_of

from vaekl.system import notebook
from vaekl.system.console import Console
from vaekl.training.callbacks import ProgressDisplay


class Handle:
    def __init__(self, texts):
        self.texts = texts

    def update(self, content, raw):
        assert raw
        self.texts.append(content["text/plain"])


@pytest.fixture
def shown(monkeypatch):
    """What stood in the line, one after the other."""
    texts = []

    def display(content, raw, display_id):
        assert raw and display_id and not texts
        texts.append(content["text/plain"])
        return Handle(texts)

    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return texts


def test_a_line_is_not_written_more_often_than_can_be_seen(shown):
    line = notebook.notebook_line()
    for step in range(1000):
        line.show(f"step {step}")
    line.close()
    assert shown[0] == "step 0" and shown[-1] == "step 999" and len(shown) < 10


def test_a_run_shows_one_line_and_no_others(shown, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a kernel has it
    data, out = data_of(), io.StringIO()
    trainer, _ = trainer_of(data, model_of(data.spec), steps=10, valid_every=5)
    with contextlib.redirect_stdout(out):
        trainer.callbacks = [ProgressDisplay(Console())]
        trainer.fit()
    assert shown[-1].startswith("  step     10/10 · train ELBO ") and " · valid ELBO " in shown[-1]
    assert out.getvalue() == ""


def test_a_log_gets_plain_lines_in_a_notebook_too(shown):
    data, out = data_of(), io.StringIO()
    trainer, _ = trainer_of(data, model_of(data.spec), steps=10, valid_every=5)
    trainer.callbacks = [ProgressDisplay(Console(out))]
    trainer.fit()
    assert not shown and len(out.getvalue().splitlines()) == 2


def test_a_shell_that_is_no_notebook_has_none(shown, monkeypatch):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace())
    assert notebook.notebook_line() is None
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert notebook.notebook_line() is None
    monkeypatch.delitem(sys.modules, "IPython")
    assert notebook.notebook_line() is None
