"""One run over several processes that torchrun started: what each does, and what they tell each other.

Every process goes through the same calls in the same order, and the first one alone touches the run's folder. A
process that is alone computes exactly what it would without this file. Imports no torch before there are several.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from vaekl.system.errors import VaeklError, first_line, sentence

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")
_rank, _size = 0, 1


def launched() -> tuple[int, int]:
    """This process's number and how many there are, by what torchrun left in the environment; (0, 1) without it."""
    several = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if several else (0, 1)


def local_rank() -> int:
    """This process's number among those on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def size() -> int:
    """How many processes train this run together."""
    return _size


def is_first() -> bool:
    """Whether this process is the one that speaks and writes."""
    return _rank == 0


@contextmanager
def joined() -> Iterator[None]:
    """Around a run: the processes that torchrun started find each other; alone, nothing happens.

    Raises:
        VaeklError: they cannot, or another one ended while this one waited for it.
    """
    global _rank, _size
    if launched()[1] == 1:
        yield
        return
    import torch.distributed as dist

    try:
        # gloo for what lies on the CPU, nccl for what lies on a GPU
        dist.init_process_group()
    except (RuntimeError, ValueError) as error:
        raise VaeklError(
            f"the {launched()[1]} processes did not find each other ({first_line(error)}): start them with torchrun, "
            "every machine with the same --rdzv-endpoint."
        ) from error
    _rank, _size = dist.get_rank(), dist.get_world_size()
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise VaeklError(
                f"another process of this run ended ({first_line(error)}): see what it said, then start them again."
            ) from error
        raise
    finally:
        _rank, _size = 0, 1
        dist.destroy_process_group()


def on_first(do: Callable[[], T]) -> T:
    """The first process does it, and every process gets its value or raises its error: none waits in vain.

    Args:
        do: what touches the run's folder; its value can be pickled.
    """
    if _size == 1:
        return do()
    import torch
    import torch.distributed as dist

    outcome: list[Any] = [None, None]
    failure = None
    if _rank == 0:
        try:
            outcome[0] = do()
        except BaseException as error:
            failure, outcome[1] = error, str(error) if isinstance(error, VaeklError) else repr(error)
    dist.broadcast_object_list(outcome, device=torch.device("cpu"))
    if failure is not None:
        raise failure
    if outcome[1] is not None:
        raise VaeklError(outcome[1])
    value: T = outcome[0]
    return value


def on_each(do: Callable[[], T]) -> T:
    """Every process does it; if one of them fails, all fail with the error of the first that did."""
    if _size == 1:
        return do()
    import torch.distributed as dist

    failure = None
    try:
        value = do()
    except Exception as error:
        failure = error
    said: list[str | None] = [None] * _size
    dist.all_gather_object(said, sentence(failure) if failure is not None else None)
    if failed := [rank for rank in range(_size) if said[rank] is not None]:
        if failure is not None and failed[0] == _rank:
            raise failure
        raise VaeklError(f"process {failed[0]}: {said[failed[0]]}") from failure
    return value


class Vote:
    """Whether any process wishes something; all get the same answer at the same call.

    The answer is one call late, so that it travels while the step computes.
    """

    def __init__(self) -> None:
        self._under_way: Any = None

    def __call__(self, wish: bool) -> bool:
        if _size == 1:
            return wish
        import torch
        import torch.distributed as dist

        before, flag = self._under_way, torch.tensor(int(wish))
        self._under_way = dist.all_reduce(flag, dist.ReduceOp.MAX, async_op=True), flag
        if before is None:
            return False
        before[0].wait()
        return bool(before[1])


def share(images: int) -> slice:
    """This process's part of a batch; sizes differ by one at most.

    Raises:
        VaeklError: there would be a process without an image.
    """
    if images < _size:
        raise VaeklError(
            f"a batch of {images} images cannot be dealt to {_size} processes: set trainer.batch_size to at least "
            f"{_size}, or start fewer of them."
        )
    return slice(images * _rank // _size, images * (_rank + 1) // _size)


def averaging(module: "nn.Module") -> "nn.Module":
    """The same module, whose gradients will be means over the processes; its output's one graph must be a loss."""
    if _size == 1:
        return module
    from torch.nn.parallel import DistributedDataParallel

    # a static graph finds parameters that the loss does not use, once; others would be waited for
    return DistributedDataParallel(module, static_graph=True)


def weighed(loss: "Tensor", weight: float) -> "Tensor":
    """A share's mean loss, times a number that makes the mean over processes the mean over images.

    Args:
        loss: averaged over this process's share of the batch.
        weight: the share's size over the batch's.
    """
    return loss if _size == 1 else loss * (weight * _size)


def total(values: "Tensor") -> "Tensor":
    """Summed over the processes, element by element."""
    if _size == 1:
        return values
    import torch.distributed as dist

    summed = values.clone()
    dist.all_reduce(summed)
    return summed


def mean(sums: "Tensor", count: int | float) -> "Tensor":
    """Σ sums / Σ count over the processes, element by element."""
    if _size == 1:
        return sums / count
    import torch

    both = total(torch.cat([sums.flatten(), sums.new_full((1,), count)]))
    return (both[:-1] / both[-1]).view_as(sums)


def bring_to_first(values: "Tensor") -> None:
    """Make the first process's tensor the sum, the others' zero: the sum stays what it is."""
    if _size > 1:
        values.copy_(total(values))
        if _rank > 0:
            values.zero_()


def is_dealt(number: int) -> bool:
    """Whether this process computes this of a row of jobs: they are dealt like cards."""
    return number % _size == _rank


def gathered(own: list[tuple["Tensor", ...]]) -> list[tuple["Tensor", ...]]:
    """What every process found for the jobs that it was dealt, in the order of the jobs; on the CPU if not alone."""
    if _size == 1:
        return own
    import torch.distributed as dist

    found: list[Any] = [None] * _size
    dist.all_gather_object(found, [tuple(part.cpu() for part in parts) for parts in own])
    return [found[job % _size][job // _size] for job in range(sum(map(len, found)))]
