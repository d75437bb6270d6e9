"""From where on something is named a cause. Each number stands here alone, with its reason.

Chosen on the runs `tuned` and `good` of docs/make_diagnose_table.py, in the middle of the gap between them.
"""

from math import log

from vaekl.verbs.diagnose.evidence import Evidence, Trial

#: bits for each value of an example below which nothing is a cause: three units of the last published digit
LEAST_BITS = 0.03
#: the same of structure that latents could explain and that the model leaves: good runs leave up to 0.11, collapsed
#: ones from 0.21 on
LEFT_BITS = 0.15
#: the same that training gains at once at a tenth of the learning rate: good runs gain up to 0.02
NOISY_BITS = 0.1
#: the same by which training may be ahead of test where no validation says whether that is overfitting: the digits'
#: test images are of other writers, and good runs are up to 0.5 ahead
AHEAD_BITS = 1.0
#: factor by which a fixed φ may differ from the calibrated one: it then costs 0.05 nats a value, and σ is off by 22 %
DISPERSION_FACTOR = 1.5
#: λ that is meant to be 1
LAMBDA_NEAR_1 = (0.8, 1.25)
#: KL of the normal distribution with the moments of q(z) from the prior, nats; and how much further from the nearest
#: example decoded prior samples are than reconstructions: good runs have 0.4 nats and 1.3, λ = 0.02 has 21 and 1.9
HOLE_NATS, HOLE_DISTANCE = 3.0, 1.5
#: nats of KL in each latent: to give a latent to 16 bits takes 11, so that more than 50 is an encoder that has diverged
DIVERGED_NATS = 50.0
#: a learning rate of Adam from which networks die: ten times its default
LARGE_RATE = 0.01
#: how many times more the tenfold or hundredfold learning rate must gain in a trial than the run's own
TOO_SLOW = 10.0
#: the part of the KL, and the nats, by which the importance-weighted bound, and the ELBO of posteriors that are fitted
#: to each image, may exceed the ELBO: good runs have 0.2
GAP_SHARE, GAP_NATS = 0.3, 3.0
#: standard errors of a difference below which it is chance
ERRORS = 2.0
#: nats in a latent that is in use
USED_NATS = 1.0
#: share of test images that are training images too from which they are no test
SEEN_SHARE = 0.5


def is_gap(gap: float, kl: float) -> bool:
    """Whether what a posterior lacks, nats, is much beside the KL."""
    return gap >= max(GAP_NATS, GAP_SHARE * kl)


def sure(trial: Trial | None, factor: float) -> float:
    """What a trial changes at a learning rate, nats, less what may be chance."""
    return trial.by_rate.get(factor, 0.0) - ERRORS * trial.errors.get(factor, 0.0) if trial is not None else 0.0


def nats(seen: Evidence, bits: float) -> float:
    """Bits for each value of an example, as nats for the example."""
    return bits * seen.dims * log(2)
