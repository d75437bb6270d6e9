"""A run inside a program: PyTorch as at the start of a process, and afterwards as the caller had it."""

import torch

from vaekl.system.caller import undisturbed


def test_what_the_caller_has_set_does_not_hold_inside_and_does_afterwards():
    threads, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    torch.set_num_threads(threads + 1)
    try:
        with torch.inference_mode(), torch.device("meta"):
            with undisturbed():
                assert torch.zeros(1).device.type == "cpu" and torch.is_grad_enabled()
                assert not torch.is_inference_mode_enabled()
                torch.set_num_threads(threads)
                torch.backends.cudnn.allow_tf32 = not tf32
            assert torch.zeros(1).device.type == "meta" and torch.is_inference_mode_enabled()
        assert torch.get_num_threads() == threads + 1 and torch.backends.cudnn.allow_tf32 == tf32
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = tf32
