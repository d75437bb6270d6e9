"""How a worker of a sweep begins."""

import os
import sys

import torch

from vaekl.sweep import workers


def begun(monkeypatch):
    monkeypatch.setattr(workers, "leave_signals", lambda: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    workers.begin(3)


def test_a_worker_whose_runs_are_all_finished_does_not_import_torch(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    begun(monkeypatch)
    assert "torch" not in sys.modules and os.environ["OMP_NUM_THREADS"] == "3"


def test_a_worker_has_the_threads_of_the_plan(monkeypatch):
    before = torch.get_num_threads()
    try:
        begun(monkeypatch)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
