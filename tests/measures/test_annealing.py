"""Annealed importance sampling against the exact log-likelihood of probabilistic PCA."""

import torch
from pca_model import held_out, pca, vae

from vaekl.measures import annealing
from vaekl.measures.annealing import annealed_bound
from vaekl.measures.importance import importance_bounds
from vaekl.measures.ruler import log_density


def generator():
    return torch.Generator().manual_seed(0)


def test_it_reaches_the_exact_answer_from_a_posterior_that_importance_weights_cannot_mend():
    fitted, split = pca(), held_out().first(40)
    exact = torch.from_numpy(fitted.score_samples(split.images.flatten(1).numpy()))
    model = vae(fitted, shrink=0.5, widen=0.7)
    weights_alone = importance_bounds(model, split, log_density(model), [1000], generator()).bound[1000]
    annealed = annealed_bound(model, split, generator(), 200)
    assert (exact - weights_alone).mean() > 4
    gap = exact - annealed
    assert gap.mean() < 0.4
    # the logarithm of an average is a lower bound: a chain that looked at its own step sizes would rise above
    assert gap.mean() > -3 * gap.std() / len(gap) ** 0.5


def test_the_weights_average_to_the_likelihood_at_any_number_of_distributions():
    """E[w] = p(x), and not only in the limit: from a posterior that is nearly right the average can be seen."""
    fitted, split = pca(), held_out().first(60)
    exact = torch.from_numpy(fitted.score_samples(split.images.flatten(1).numpy()))
    model = vae(fitted, shrink=0.9, widen=1.15)
    for steps in (1, 3):
        over = (annealed_bound(model, split, generator(), steps) - exact).exp()
        assert abs(over.mean() - 1) < 4 * over.std() / len(over) ** 0.5
        assert over.std() < 1


def test_more_distributions_are_tighter_and_a_seed_repeats():
    split, model = held_out().first(20), vae(pca(), shrink=0.3, widen=0.5)
    few, many = (annealed_bound(model, split, generator(), steps).mean() for steps in (5, 60))
    assert few < many
    assert torch.equal(annealed_bound(model, split, generator(), 5), annealed_bound(model, split, generator(), 5))


def test_no_trajectory_follows_the_last_weight(monkeypatch):
    """T weights have T − 1 moves between them, in the pass that tunes the step sizes and in the one that counts."""
    betas, whole = [], annealing._trajectory

    def trajectory(path, z, beta, *arguments):
        betas.append(beta)
        return whole(path, z, beta, *arguments)

    monkeypatch.setattr(annealing, "_trajectory", trajectory)
    annealed_bound(vae(pca()), held_out().first(2), generator(), 4)
    assert betas == [1 / 4, 2 / 4, 3 / 4] * 2
