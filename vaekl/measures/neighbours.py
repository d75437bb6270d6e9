"""How well the latents keep the classes apart: k nearest neighbours on posterior means."""

import torch
from torch import Tensor

from vaekl.system.errors import VaeklError

K = 15
#: distances held at once
_AT_ONCE = 2**23


def knn_accuracy(
    train_means: Tensor, train_labels: Tensor, test_means: Tensor, test_labels: Tensor, k: int = K
) -> float:
    """The fraction of test images whose k nearest training images, by posterior means, mostly share their label.

    Args:
        train_means: [N, Z].
        train_labels: int64 [N].
        test_means: [M, Z].
        test_labels: int64 [M].
        k: how many neighbours vote; all N where there are fewer. A tied vote goes to the smallest label.

    Returns:
        In [0, 1].

    Raises:
        VaeklError: a mean is not finite.

    Source: Loaiza-Ganem, Cunningham 2019, with k = 15.
    """
    train, test = (means.detach().cpu().double() for means in (train_means, test_means))
    if not (train.isfinite().all() and test.isfinite().all()):
        raise VaeklError(
            "the k-NN accuracy needs finite posterior means, but this model's are not: train it anew at a lower "
            "optim.lr, or set eval.knn=false."
        )
    labels, numbers = train_labels.cpu().unique(return_inverse=True)
    lengths, winners = train.square().sum(1), []
    for part in test.split(max(1, _AT_ONCE // len(train))):
        # square distances but for the test image's own length, which is the same to all
        distance = torch.addmm(lengths, part, train.T, alpha=-2)
        votes = numbers[distance.topk(min(k, len(train)), largest=False).indices]
        counts = torch.zeros(len(part), len(labels)).scatter_add_(1, votes, torch.ones(votes.shape))
        # of equal counts numpy takes the first, and labels are sorted
        winners.append(labels[torch.from_numpy(counts.numpy().argmax(1))])
    return (torch.cat(winners) == test_labels.cpu()).double().mean().item()
