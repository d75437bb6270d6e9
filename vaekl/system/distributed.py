"""One run over several processes that torchrun started: who does what, and what is exchanged.

Every process makes the same calls in the same order, and only the first one writes into the run's folder. A single
process computes exactly what it would without this file. torch is imported only where there are several.
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
    """This process's number and how many there are, from torchrun's environment variables; (0, 1) without torchrun."""
    several = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if several else (0, 1)


def local_rank() -> int:
    """This process's number among those on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def size() -> int:
    """How many processes train this run together."""
    return _size


def is_first() -> bool:
    """Whether this process is the one that prints and writes."""
    return _rank == 0


@contextmanager
def joined() -> Iterator[None]:
    """Connect the processes that torchrun started, for the time of a run; does nothing for a single one.

    Raises:
        VaeklError: they cannot be connected, or another one ended while this one waited for it.
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
                f"another process of this run ended ({first_line(error)}): see its message, then start them again."
            ) from error
        raise
    finally:
        _rank, _size = 0, 1
        dist.destroy_process_group()


def on_first(do: Callable[[], T]) -> T:
    """Let the first process do something; every process returns its value or raises its error, so none waits forever.

    Args:
        do: what only one process may do; its value can be pickled.
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
    """Let every process do something; if any fails, all raise the error of the first that did."""
    if _size == 1:
        return do()
    import torch.distributed as dist

    failure = None
    try:
        value = do()
    except Exception as error:
        failure = error
    sentences: list[str | None] = [None] * _size
    dist.all_gather_object(sentences, sentence(failure) if failure is not None else None)
    if failed := [rank for rank in range(_size) if sentences[rank] is not None]:
        if failure is not None and failed[0] == _rank:
            raise failure
        raise VaeklError(f"process {failed[0]}: {sentences[failed[0]]}") from failure
    return value


class Vote:
    """The most urgent of what the processes want, such as to stop; all get the same answer at the same call.

    The answer is that of the call before, so that it travels while the step computes.
    """

    def __init__(self) -> None:
        self._under_way: Any = None

    def __call__(self, wish: int) -> int:
        if _size == 1:
            return wish
        import torch
        import torch.distributed as dist

        before, flag = self._under_way, torch.tensor(wish)
        self._under_way = dist.all_reduce(flag, dist.ReduceOp.MAX, async_op=True), flag
        if before is None:
            return 0
        before[0].wait()
        return int(before[1])


def share(images: int) -> slice:
    """Which images of a batch are this process's; the shares' sizes differ by one at most.

    Raises:
        VaeklError: there would be a process without an image.
    """
    if images < _size:
        raise VaeklError(
            f"a batch of {images} cannot be dealt to {_size} processes: set trainer.batch_size to at least "
            f"{_size}, or start fewer of them."
        )
    return slice(images * _rank // _size, images * (_rank + 1) // _size)


def averaging(module: "nn.Module") -> "nn.Module":
    """The module, wrapped so that its gradients are means over the processes; its output must be the loss."""
    if _size == 1:
        return module
    from torch.nn.parallel import DistributedDataParallel

    # a static graph learns once which parameters the loss does not use; without it their gradients are waited for
    return DistributedDataParallel(module, static_graph=True)


def weighted(loss: "Tensor", weight: float) -> "Tensor":
    """The mean loss of this process's share, scaled so that the mean over processes is the mean over all images.

    Args:
        loss: averaged over this process's share of the batch, [].
        weight: the share's size over the batch's.
    """
    return loss if _size == 1 else loss * (weight * _size)


def total(values: "Tensor") -> "Tensor":
    """The sum of a tensor over the processes, element by element; any shape."""
    if _size == 1:
        return values
    import torch.distributed as dist

    summed = values.clone()
    dist.all_reduce(summed)
    return summed


def mean(sums: "Tensor", count: int | float) -> "Tensor":
    """Σ sums / Σ count over the processes, element by element; any shape."""
    if _size == 1:
        return sums / count
    import torch

    both = total(torch.cat([sums.flatten(), sums.new_full((1,), count)]))
    return (both[:-1] / both[-1]).view_as(sums)


def rows_of_all(own: "Tensor") -> tuple["Tensor", slice]:
    """The rows of all processes, one process's after the other's, with gradients; and which of them are this one's.

    Args:
        own: [B, ...], of which each process may have another B.
    """
    if _size == 1:
        return own, slice(0, len(own))
    import torch

    counts = torch.zeros(_size)
    counts[_rank] = len(own)
    sizes = [int(count) for count in total(counts.to(own.device))]
    # all processes must send as many rows
    padded = torch.cat([own, own.new_zeros(max(sizes) - len(own), *own.shape[1:])])
    rows = torch.cat([part[:size] for part, size in zip(_gather_with_gradients(padded), sizes, strict=True)])
    first = sum(sizes[:_rank])
    return rows, slice(first, first + len(own))


def _gather_with_gradients(own: "Tensor") -> "tuple[Tensor, ...]":
    """A tensor of each process, all of one shape; what comes back to this one's is summed over the processes."""
    import torch
    import torch.distributed as dist

    class Gather(torch.autograd.Function):
        # that of torch.distributed.nn needs an all-to-all, which gloo has in new versions only
        @staticmethod
        def forward(ctx: Any, own: "Tensor") -> "tuple[Tensor, ...]":
            parts = [torch.empty_like(own) for _ in range(_size)]
            dist.all_gather(parts, own.contiguous())
            return tuple(parts)

        @staticmethod
        def backward(ctx: Any, *slopes: "Tensor") -> "Tensor":
            return total(torch.stack(slopes))[_rank]

    parts: tuple[Tensor, ...] = Gather.apply(own)
    return parts


def bring_to_first(values: "Tensor") -> None:
    """Add up the tensors of all processes in the first one and set the others to 0, so that their sum is the same."""
    if _size > 1:
        values.copy_(total(values))
        if _rank > 0:
            values.zero_()


def is_dealt(number: int) -> bool:
    """Whether this process computes the job with this number; jobs are dealt like cards."""
    return number % _size == _rank


def gathered(own: list[tuple["Tensor", ...]]) -> list[tuple["Tensor", ...]]:
    """The results of all jobs in order, from the processes that computed them; on the CPU if there are several."""
    if _size == 1:
        return own
    import torch.distributed as dist

    results: list[Any] = [None] * _size
    dist.all_gather_object(results, [tuple(part.cpu() for part in parts) for parts in own])
    return [results[job % _size][job // _size] for job in range(sum(map(len, results)))]
