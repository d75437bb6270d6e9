"""Streams of random numbers: what they depend on, and where they are drawn."""

import numpy as np
import pytest
import torch

from vaekl.data.order import generator, numpy_generator, seed_of


def test_a_stream_is_that_of_its_purpose_and_seed():
    draws = [torch.rand(4, generator=generator(*key)) for key in (("a", 0), ("a", 0), ("b", 0), ("a", 1))]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2]) and not torch.equal(draws[0], draws[3])
    assert torch.equal(draws[0], torch.rand(4, generator=torch.Generator().manual_seed(seed_of("a", 0))))


def test_numpy_s_stream_follows_torch_s():
    """As in every vaekl before: seeded by one number below 2⁶²."""
    seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(3)))
    stream = torch.Generator().manual_seed(3)
    first, second = numpy_generator(stream), numpy_generator(stream)
    expected = np.random.default_rng(seed).random(5)
    assert (first.random(5) == expected).all() and (second.random(5) != expected).all()
    torch.manual_seed(7)
    alone = numpy_generator().random(5)
    torch.manual_seed(7)
    assert (numpy_generator(torch.default_generator).random(5) == alone).all()


def test_the_seed_is_drawn_where_the_generator_is(monkeypatch):
    """torch refuses a generator of another device than the tensor's."""
    devices = []

    def randint(high, size, *, generator, device):
        devices.append(device)
        return torch.tensor(1)

    class OnGpu:
        device = torch.device("cuda", 0)

    monkeypatch.setattr(torch, "randint", randint)
    numpy_generator(OnGpu())
    assert devices == [OnGpu.device]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_s_generator_can_be_followed():
    draws = [numpy_generator(generator("a", 0, "cuda")).random(3) for _ in range(2)]
    assert (draws[0] == draws[1]).all()
