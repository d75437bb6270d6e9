"""Which objects hold nothing but PyTorch's and vaekl's programs."""

from collections import deque
from functools import partial

import pytest
from torch import nn

from vaekl.training.foreign import foreign_part


def own():
    """A function of another program."""


class Own:
    """A class of another program, and what holds one."""

    def method(self):
        """Of an object."""


class Slotted:
    """Keeps its parts in slots."""

    __module__ = "vaekl.some"
    __slots__ = ("__dict__", "part")


def slotted():
    value = Slotted()
    value.part = Own()
    return value


def holding(value):
    """A function with another in it, as if PyTorch had made it."""

    def holder():
        return value

    holder.__module__ = "torch.some"
    return holder


def unfilled():
    """A function that holds a name to which nothing was given yet."""

    def holder():
        return later

    holder.__module__ = "torch.some"
    return holder
    later = 1


def hooked():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net[1].register_forward_hook(own)
    return net


FOREIGN = {
    "function": own,
    "class": Own,
    "object": Own(),
    "list": [Own()],
    "dict": {"a": (Own(),)},
    "deque": deque([own]),
    "partial": partial(own),
    "partial's argument": partial(print, own),
    "partial's keyword": partial(print, a=own),
    "hook": hooked(),
    "closure": holding(own),
    "method": Own().method,
    "slot": slotted(),
}


@pytest.mark.parametrize("value", FOREIGN.values(), ids=FOREIGN)
def test_what_is_of_another_program_is_named(value):
    assert foreign_part(value).split(".")[0] == __name__.split(".")[0]


KNOWN = {
    "net": nn.Sequential(nn.Linear(2, 2)),
    "list": [1.0, "a", None],
    "partial": partial(print, 2),
    "closure": holding(3),
    "empty closure": unfilled(),
}


@pytest.mark.parametrize("value", KNOWN.values(), ids=KNOWN)
def test_what_is_not_is_none(value):
    assert foreign_part(value) is None
