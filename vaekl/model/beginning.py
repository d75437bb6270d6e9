"""Where training begins: what is known of the data before anything is known of z."""

import torch
from torch import Tensor, nn

from vaekl.model.likelihoods import Likelihood
from vaekl.model.weighting import Weighting

#: numbers of η for which a first φ is searched
_MOST_NUMBERS = 2**22


@torch.no_grad()
def begin_at_data(likelihood: Likelihood, weighting: Weighting, last_bias: nn.Parameter | None, x: Tensor) -> None:
    """Give a learned φ, and the decoder's last bias, the values of the best constant decoder.

    Args:
        likelihood: says which η a mean has; a family that names none begins as its weights are.
        weighting: one that learns φ begins at the dispersion that is best for that η.
        last_bias: what the decoder adds to η last, [P·D] or [P·C]; None to leave it as it is.
        x: some training data, [B, *S].
    """
    mean = x.float().nanmean(0).nan_to_num()  # of the values that are not missing
    eta = likelihood.eta_of_mean(mean)
    # a family of a user's own may have the `eta_of_mean` of one with fewer outputs
    if eta is not None and len(eta) == likelihood.outputs:
        # where φ is searched for, a mixture's η of 2,000 images in colour would take as long as 400 steps
        few = max(1, _MOST_NUMBERS // eta.numel()) if likelihood.energy_depends_on_dispersion else len(x)
        some = x[:few]
        weighting.begin(eta.expand(len(some), *eta.shape), some)
    if last_bias is None:
        return
    variance = (x.float() - mean).square().nanmean().item()
    eta = likelihood.first_eta(mean, variance)
    if eta is not None and last_bias.numel() != eta.numel():  # one bias for all values of a channel
        eta = likelihood.first_eta(mean.flatten(1).mean(1), variance)
    if eta is not None and len(eta) == likelihood.outputs and last_bias.numel() == eta.numel():
        last_bias.copy_(eta.flatten())
