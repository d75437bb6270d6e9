"""PyTorch's optimisers are the same without its compiler, which is not loaded before something is compiled."""

import subprocess
import sys

import pytest
import torch

from vaekl.system import compiler_marks

BOTH = """
import sys
import torch
from torch.profiler import profile
from vaekl.system import compiler_marks

CASES = [
    (torch.optim.Adam, {"fused": True}), (torch.optim.AdamW, {"amsgrad": True}), (torch.optim.SGD, {"momentum": 0.9}),
    (torch.optim.RMSprop, {}),
]

def trained(kind, settings, wrapped=lambda step: step):
    torch.manual_seed(0)
    weight, calls = torch.randn(5, 3, requires_grad=True), []
    optimizer = kind([weight], lr=0.01, **settings)
    optimizer.add_param_group({"params": [torch.ones(2, requires_grad=True)]})
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    step = wrapped(optimizer.step)
    for _ in range(3):
        optimizer.zero_grad()
        weight.pow(3).sum().backward()
        step()
        optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step(lambda: calls.append(torch.is_grad_enabled()))
    assert torch.is_grad_enabled()
    return weight.tolist(), calls

compiler_marks.put_off()
without = [trained(*case) for case in CASES]
assert "torch._dynamo" not in sys.modules
with profile() as profiled:
    trained(*CASES[0])
names = {event.key for event in profiled.key_averages()}
assert {"Optimizer.step#Adam.step", "Optimizer.zero_grad#Adam.zero_grad"} <= names
import torch._dynamo
assert [trained(*case) for case in CASES] == without
for name in ("zero_grad", "add_param_group", "state_dict", "load_state_dict"):
    assert getattr(torch.optim.Optimizer, name).__wrapped__.__dynamo_disable._torchdynamo_disable
"""
COMPILED = """
assert trained(*CASES[0], lambda step: torch.compile(step, backend="eager")) == without[0]

def whole(weight, optimizer):
    optimizer.zero_grad()
    loss = weight.pow(3).sum()
    loss.backward()
    optimizer.step()
    return loss

def steps(one):
    weight = torch.linspace(-1, 1, 6).requires_grad_()
    optimizer = torch.optim.SGD([weight], lr=0.1)
    return [one(weight, optimizer).item() for _ in range(3)]

assert steps(torch.compile(whole, backend="eager")) == steps(whole)
assert torch.compile(lambda x: x.sin() ** 2 + x.cos() ** 2, fullgraph=True, backend="eager")(torch.ones(3)).sum() == 3
"""


@pytest.mark.parametrize("script", [BOTH, pytest.param(BOTH + COMPILED, marks=pytest.mark.nightly)])
def test_a_step_is_the_same_to_the_bit_with_and_without_the_compiler(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_functions_that_look_different_are_left_as_they_are(monkeypatch):
    kinds = [kind for kind in vars(torch.optim).values() if compiler_marks._is_optimizer(kind)]
    before = [(dict(vars(kind)), vars(kind.zero_grad.__wrapped__).copy()) for kind in kinds]
    assert len(kinds) > 10
    monkeypatch.setattr(compiler_marks, "_COMPILER", "not loaded")
    monkeypatch.setattr(compiler_marks, "_NAMED_BY_MARK", {"anything else"})
    monkeypatch.setattr(compiler_marks, "_NAMED_BY_STEP", {"anything else"})
    compiler_marks.put_off()
    assert before == [(dict(vars(kind)), vars(kind.zero_grad.__wrapped__)) for kind in kinds]
