"""Which runs of a sweep make a stack: those whose words differ in numbers of the loss and the optimiser only."""

import itertools
from collections.abc import Sequence
from math import ceil

from vaekl.sweep.plan import FREE


def divided(runs: Sequence[Sequence[str]], size: int) -> list[list[int]]:
    """The numbers of the runs in each stack; the same for the same runs in any order.

    Args:
        runs: the words of each.
        size: how many a stack has at most.
    """
    kinds: dict[tuple[str, ...], list[int]] = {}
    for number in sorted(range(len(runs)), key=lambda number: sorted(runs[number])):
        fixed = sorted(word for word in runs[number] if not word.lstrip("+").startswith(FREE))
        kinds.setdefault(tuple(fixed), []).append(number)
    stacks = []
    for kind in kinds.values():
        count = ceil(len(kind) / size)
        cuts = [len(kind) * place // count for place in range(count + 1)]
        stacks += [kind[start:stop] for start, stop in itertools.pairwise(cuts)]
    return stacks
