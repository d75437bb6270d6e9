"""A run within somebody's own program, which is afterwards as it was."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from vaekl.system import terminal

#: a denormal number, which is 0 in a product where the processor takes denormals for 0
_SMALLEST = 5e-324


@contextmanager
def undisturbed() -> Iterator[None]:
    """While inside, PyTorch is as at the start of a process; afterwards everything is as the caller had it.

    That is: random states, default type and device, gradients, threads and precision of PyTorch, how the standard
    streams spell what they lack, where Python looks for modules, and what it does with errors in threads.
    """
    with ExitStack() as stack:
        stack.enter_context(terminal.prepared())
        stack.callback(setattr, threading, "excepthook", threading.excepthook)
        if os.getcwd() not in sys.path:
            stack.callback(_forget, os.getcwd())
        _keep_torch(stack)
        yield


def _keep_torch(stack: ExitStack) -> None:
    is_cuda_used = torch.cuda.is_initialized()
    devices = list(range(torch.cuda.device_count())) if is_cuda_used else []
    if not is_cuda_used:
        stack.callback(_seed_cuda)
    stack.enter_context(torch.random.fork_rng(devices))
    stack.callback(torch.set_default_dtype, torch.get_default_dtype())
    torch.set_default_dtype(torch.float32)
    if torch.get_default_device().type != "cpu":
        stack.enter_context(torch.device("cpu"))
    stack.enter_context(torch.inference_mode(False))
    stack.enter_context(torch.enable_grad())
    stack.callback(torch.set_num_threads, torch.get_num_threads())
    stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
    stack.callback(setattr, torch.backends.cudnn, "allow_tf32", torch.backends.cudnn.allow_tf32)
    stack.callback(torch.set_flush_denormal, flushes_denormals())


def flushes_denormals() -> bool:
    """Whether the processor takes denormal numbers for 0; PyTorch can set this and not tell it."""
    return _SMALLEST * 1.0 == 0


def _seed_cuda() -> None:
    """Let a GPU that is used first by the run have the seed that its user gave to all devices."""
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(torch.initial_seed())


def _forget(folder: str) -> None:
    if folder in sys.path:
        sys.path.remove(folder)
