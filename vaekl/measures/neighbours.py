"""How well the latents keep the classes apart: k nearest neighbours on posterior means."""

import numpy as np
from torch import Tensor

from vaekl.system.errors import VaeklError

K = 15


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
    # sklearn takes most of a second to import
    from sklearn.neighbors import KNeighborsClassifier

    train, test = (means.detach().cpu().float().numpy() for means in (train_means, test_means))
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise VaeklError(
            "the k-NN accuracy needs finite posterior means, but this model's are not: train it anew at a lower "
            "optim.lr, or set eval.knn=false."
        )
    votes = KNeighborsClassifier(min(k, len(train)), algorithm="brute").fit(train, train_labels.cpu().numpy())
    return float(np.mean(votes.predict(test) == test_labels.cpu().numpy()))
