"""`vaekl.elbo` in a loop of one's own: by SciPy, the same as in a run, and refused where shapes do not go together."""

import pytest
import torch
from helpers import grey, model_of, spec_of
from scipy import stats
from torch.testing import assert_close

import vaekl


def batch(outputs=1):
    draw = torch.Generator().manual_seed(0)
    x, eta = torch.rand(5, 2, 3, generator=draw), torch.randn(5, outputs, 2, 3, generator=draw, requires_grad=True)
    mean, log_std = torch.randn(2, 5, 4, generator=draw)
    return eta, x, mean, log_std


def test_the_gaussian_s_by_scipy():
    eta, x, mean, log_std = batch()
    likelihood = vaekl.Gaussian()
    terms = vaekl.elbo(likelihood, vaekl.FixedDispersion(likelihood, (2, 3), 0.3), eta, x, mean, log_std)
    law = stats.norm(eta.detach()[:, 0].numpy(), 0.3**0.5)
    q, p = (torch.distributions.Normal(*parts) for parts in ((mean, log_std.exp()), (0.0, 1.0)))
    kl = torch.distributions.kl_divergence(q, p).sum(1)
    assert_close(terms.elbo.detach() + kl, torch.from_numpy(law.logpdf(x.numpy()).sum((1, 2))).float())
    assert_close(terms.loss, -terms.elbo.mean())
    half = vaekl.elbo(likelihood, vaekl.FixedDispersion(likelihood, (2, 3), 0.3), eta, x, mean, log_std, 0.5)
    assert_close(half.loss, (-terms.elbo - 0.5 * terms.total_kl).mean())
    assert_close(half.elbo, terms.elbo)
    figures = terms.figures()
    assert figures["elbo_nats"].item() == pytest.approx(-terms.loss.item()) and not figures["loss"].requires_grad
    assert figures["dispersion"].item() == pytest.approx(0.3)


WEIGHTINGS = {
    "learned": lambda likelihood, shape: vaekl.LearnedPrecision(likelihood, shape),
    "solved": lambda likelihood, shape: vaekl.OptimalPrecision(likelihood, shape),
    "dropped": lambda likelihood, shape: vaekl.FixedBeta(likelihood, shape, 0.1),
}


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_the_same_as_in_a_run(name):
    """The loss and its gradients, with a φ that is learned, solved or implied."""
    likelihood, x = vaekl.Gaussian(), grey(6)
    model = model_of(spec_of(x), likelihood, WEIGHTINGS[name](likelihood, x.shape[1:]))
    noise = torch.randn(6, model.latents, generator=torch.Generator().manual_seed(0))
    terms = model(x, noise)
    loss = model.loss(terms, 1.0)
    gradients = torch.autograd.grad(loss, [*model.decoder.parameters()])
    mean, log_std = model.encode(x)
    mine = vaekl.elbo(likelihood, model.weighting, model.decode(mean + log_std.exp() * noise), x, mean, log_std)
    assert_close(mine.loss, loss)
    assert_close(mine.elbo, terms.elbo)
    assert_close(torch.autograd.grad(mine.loss, [*model.decoder.parameters()]), gradients)


def test_in_evaluation_a_solved_dispersion_stays():
    eta, x, mean, log_std = batch()
    weighting = vaekl.OptimalPrecision(vaekl.Gaussian(), (2, 3))
    before = vaekl.elbo(vaekl.Gaussian(), weighting, eta, x, mean, log_std).dispersion.clone()
    after = vaekl.elbo(vaekl.Gaussian(), weighting.eval(), eta + 5, x, mean, log_std).dispersion
    assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda eta, x, mean, log_std: (eta[:, 0], x, mean, log_std), r"eta has the shape \[5, 2, 3\].*\[5, 1, 2, 3\]"),
        (lambda eta, x, mean, log_std: (eta, x.flatten(1), mean, log_std), r"takes \[5, 1, 6\] for x of \[5, 6\]"),
        (lambda eta, x, mean, log_std: (eta, x, mean[:4], log_std[:4]), r"both are \[5, Z\]"),
        (lambda eta, x, mean, log_std: (eta, x, mean, log_std[:, :1]), r"both are \[5, Z\]"),
    ],
)
def test_shapes_that_do_not_go_together(change, says):
    likelihood = vaekl.Gaussian()
    with pytest.raises(ValueError, match=says):
        vaekl.elbo(likelihood, vaekl.FixedDispersion(likelihood, (2, 3)), *change(*batch()))


def test_a_weighting_for_other_examples():
    likelihood = vaekl.Gaussian()
    for shape, per in (((2, 5), "value"), ((3, 3), "channel"), ((2,), "scalar")):
        with pytest.raises(ValueError, match=r"another shape than x of \[5, 2, 3\].*with the shape \(2, 3\)"):
            vaekl.elbo(likelihood, vaekl.LearnedPrecision(likelihood, shape, per=per), *batch())


@pytest.mark.parametrize("family", [vaekl.DiscretizedLogistic, vaekl.Categorical, vaekl.LogisticMixture])
def test_levels_that_nobody_has_set(family):
    likelihood = family()
    with pytest.raises(ValueError, match=f"{likelihood.name} does not know how many levels x has.*levels=K"):
        vaekl.elbo(likelihood, vaekl.FixedDispersion(likelihood, (2, 3)), *batch())
