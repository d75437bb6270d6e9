"""`vaekl score`: how likely each example is under the model, a row for each, in their order."""

import torch

from vaekl.config import verb_options
from vaekl.measures import ruler
from vaekl.measures.importance import Bounds, LogLikelihood, importance_bounds
from vaekl.measures.single import finite, noise_by
from vaekl.system.checks import optional, whole
from vaekl.system.devices import enough_memory
from vaekl.system.terminal import show
from vaekl.verbs.rows import RowOptions, looked_at, write


def main(words: verb_options.Words) -> int:
    """Write the ELBO, the importance-weighted bound and bits/dim, and say where; returns the exit code."""
    options = RowOptions.checked(words.options, "score")
    k = whole(words.options["k"], "score.k", 1)
    chunk = optional(whole, words.options["chunk"], "score.chunk", 1)
    looked = looked_at(words, options, "score")
    model = looked.model

    def bounds(log_likelihood: LogLikelihood, samples: int) -> Bounds:
        noise = noise_by(options.noise, model, options.seed)
        figures = importance_bounds(model, looked.split, log_likelihood, [samples], noise, chunk)
        finite(torch.stack([figures.elbo, figures.bound[samples]], 1), "the ELBO or ln p(x)", model, looked.rows)
        return figures

    with enough_memory("scores of so many samples", "set score.chunk to fewer passes at once"):
        density = bounds(ruler.log_density(model), k)
        columns = {"elbo_nats": density.elbo.numpy(), "iwae_nats": density.bound[k].numpy()}
        no_ruler = ruler.why_no_ruler(model.spec, model.likelihood)
        if no_ruler is None:
            mass = density if model.likelihood.discrete else bounds(ruler.log_mass(model), 1)
            columns["bits_per_dim"] = ruler.bits_per_dim(mass.elbo, model.spec).numpy()
        what = f"ELBO and IWAE bound with K = {k:,}" + (", bits/dim" if no_ruler is None else "")
        write(looked, columns, "scores", options, what)
        if no_ruler is not None:
            show(f"  no bits/dim: {no_ruler}")
    return 0
