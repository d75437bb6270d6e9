"""k-NN accuracy against a vote counted by hand and by numpy."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from vaekl.measures.neighbours import knn_accuracy
from vaekl.system.errors import VaeklError


def points(count, seed):
    """Latents of three overlapping classes, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    return torch.from_numpy(rng.normal(size=(count, 4)) + 1.2 * labels[:, None]).float(), torch.from_numpy(labels)


def by_numpy(train, labels, test, test_labels, k):
    distance = ((test[:, None] - train[None]) ** 2).sum(-1)
    votes = labels[np.argsort(distance, axis=1)[:, :k]]
    return np.mean([np.bincount(vote, minlength=3).argmax() for vote in votes] == test_labels)


@pytest.mark.parametrize("k", [1, 15, 40])
def test_the_vote_is_numpys(k):
    (train, labels), (test, test_labels) = points(200, 0), points(150, 1)
    expected = by_numpy(*(t.numpy() for t in (train.double(), labels, test.double(), test_labels)), k)
    assert 0.5 < expected < 0.95
    assert knn_accuracy(train, labels, test, test_labels, k) == pytest.approx(expected, abs=1e-12)


def test_fifteen_neighbours_vote_unless_told_otherwise():
    train, labels = torch.arange(30.0)[:, None], torch.tensor([1] * 7 + [0] * 23)
    # of the 15 points nearest to 0, seven are of class 1 and eight of class 0
    assert knn_accuracy(train, labels, torch.tensor([[0.0]]), torch.tensor([0])) == 1.0
    assert knn_accuracy(train, labels, torch.tensor([[0.0]]), torch.tensor([0]), k=13) == 0.0


def test_all_vote_where_there_are_fewer_than_k():
    train, labels = torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([5, 5, 7])
    assert knn_accuracy(train, labels, torch.tensor([[9.0], [0.0]]), torch.tensor([7, 5])) == 0.5


def test_means_that_are_not_finite_are_refused():
    train, labels = points(20, 0)
    train[3, 0] = float("nan")
    with pytest.raises(VaeklError, match=r"^the k-NN accuracy needs finite .*eval\.knn=false\.$"):
        knn_accuracy(train, labels, *points(5, 1))


@pytest.mark.parametrize("k", [2, 15])
def test_the_vote_is_scikit_learns_also_where_it_is_tied_and_in_parts(k, monkeypatch):
    monkeypatch.setattr("vaekl.measures.neighbours._AT_ONCE", 1000)
    (train, labels), (test, test_labels) = points(200, 2), points(333, 3)
    labels, test_labels = 3 - labels, 3 - test_labels
    expected = KNeighborsClassifier(k, algorithm="brute").fit(train, labels).score(test, test_labels)
    assert knn_accuracy(train, labels, test, test_labels, k) == pytest.approx(expected, abs=1e-12)
