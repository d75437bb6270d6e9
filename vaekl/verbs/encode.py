"""`vaekl encode`: the posterior of every example, a row for each, in their order."""

import torch

from vaekl.config import verb_options
from vaekl.measures.latents import posterior
from vaekl.measures.single import finite, noise_by
from vaekl.system.devices import enough_memory
from vaekl.verbs.rows import RowOptions, looked_at, write


def main(words: verb_options.Words) -> int:
    """Write the means and standard deviations of q(z|x), and say where; returns the exit code."""
    options = RowOptions.checked(words.options, "encode")
    with enough_memory("the latents of so many examples", "encode them in several parts"):
        looked = looked_at(words, options, "encode")
        of_all = posterior(looked.model, looked.split, noise_by(options.noise, looked.model, options.seed))
        columns = {"mean": of_all.mean.numpy(), "std": of_all.log_std.exp().numpy()}
        finite(torch.cat([of_all.mean, of_all.log_std.exp()], 1), "q(z|x)", looked.model, looked.rows)
        write(looked, columns, "latents", options, f"mean and σ of q(z|x), {looked.model.latents} latents")
    return 0
