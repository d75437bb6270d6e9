"""When a run compiles its step: at once, never, or where the first steps say that it pays; and what is then said."""

import pytest
import torch
from cli_helpers import SMALL, vaekl
from helpers import data_of, model_of, trainer_of
from torch import nn

from vaekl.store import checkpoint
from vaekl.training import compile
from vaekl.training.compile import Compiler

STEPS = compile._WARM_UP + compile._TIMED
CPU = torch.device("cpu")


def compiles_at(decision, left, second, monkeypatch):
    """The calls at which a module is compiled, with a clock that each step moves by so many seconds.

    Every fifth step takes a minute more, as if a validation followed it.
    """
    module, now = nn.Identity(), [0.0]
    calls = []
    monkeypatch.setattr(module, "compile", lambda **options: calls.append(options))
    monkeypatch.setattr(compile.time, "perf_counter", lambda: now[0])
    chooser, compiled_at = Compiler(module, CPU, decision), []
    for call in range(STEPS + 10):
        if chooser.decide(left - call):
            compiled_at.append(call)
        now[0] += second + 60 * (call % 5 == 0)
    assert calls == [{"mode": None}] * len(compiled_at)
    return compiled_at, chooser.decision


@pytest.mark.parametrize(
    ("decision", "left", "second", "compiled_at"),
    [
        (True, 3, 1, [0]),
        (False, 10**9, 1, []),
        # 8 % of 20 ms is saved by each step: 30 s are won back by 18,750
        (None, 18_750 + STEPS + 1, 0.02, [STEPS]),
        (None, 18_750 + STEPS - 1, 0.02, []),
        (None, 10**9, 1e-6, [STEPS]),
    ],
)
def test_it_is_compiled_where_it_pays(decision, left, second, compiled_at, monkeypatch):
    monkeypatch.setattr(Compiler, "_works", lambda self: True)
    assert compiles_at(decision, left, second, monkeypatch) == (compiled_at, bool(compiled_at))


def test_where_torch_cannot_compile_auto_stays_eager(monkeypatch):
    def broken(*_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", broken)
    assert compiles_at(None, 10**9, 1, monkeypatch) == ([], False)


class Assigns(nn.Module):
    """Assigns its buffer anew in each call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(()))

    def forward(self, x):
        self.total = self.total + x
        return self.total


def test_what_a_cuda_graph_assigns_is_copied_out_of_its_memory(monkeypatch):
    module, marks, calls = nn.Sequential(Assigns()), [], []
    monkeypatch.setattr(module, "compile", lambda **options: calls.append(options))
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: marks.append(None))
    compiler, buffer = Compiler(module, torch.device("cuda"), True), module[0].total
    for step in range(1, 4):
        compiler.decide(10)
        in_the_graph = module(torch.tensor(2.0))
        compiler.keep_buffers()
        in_the_graph.fill_(torch.nan)
        assert module[0].total is buffer and buffer == 2 * step
    assert calls == [{"mode": "reduce-overhead"}] and len(marks) == 3


@pytest.mark.xdist_group("compiler")
def test_where_torch_can_compile_it_is_found_out():
    assert Compiler(nn.Identity(), CPU, None)._works()


@pytest.mark.nightly
def test_a_run_says_how_long_it_took_and_goes_on_compiled(tmp_path):
    words = [*SMALL, "likelihood=gaussian", "hydra.run.dir=run"]
    answer = vaekl(tmp_path, "train", *words, "trainer.compile=true")
    assert answer.code == 0, answer.err
    assert "torch.compile" in answer.out and "step      1: compiled in " in answer.out
    assert checkpoint.load(tmp_path / "run" / "last.pt")["compiled"] is True
    eager = vaekl(tmp_path, "train", *words[:-1], "hydra.run.dir=eager", "trainer.compile=auto")
    assert "torch.compile if it pays" in eager.out and "compiled in" not in eager.out
    # four steps are too few to decide
    assert checkpoint.load(tmp_path / "eager" / "last.pt")["compiled"] is None


def test_a_decision_outlives_the_process():
    """Else a resumed run would add in another order than the one that it goes on with."""
    first, _ = trainer_of(data_of(), model_of(data_of().spec), compile=None)
    first.compiler.decision = True
    second, _ = trainer_of(data_of(), model_of(data_of().spec), compile=None)
    second.load_state_dict(first.state_dict())
    assert second.compiler.decision is True
