"""The likelihoods and weightings of conf/, and which of them fit each other."""

from vaekl.config.groups import CONF

#: that need a class or data of one's own
_OTHERS = {"custom", "auto", "columns"}
LIKELIHOODS = sorted(file.stem for file in (CONF / "likelihood").glob("*.yaml") if file.stem not in _OTHERS)
#: multirate goes with networks of its own
WEIGHTINGS = sorted(file.stem for file in (CONF / "weighting").glob("*.yaml") if file.stem != "multirate")

#: whose kind another one stands for by day
BY_NIGHT = {"logistic", "student_t", "logistic_mixture", "mixture", "poisson", "zinb", "logit_normal"}
BY_NIGHT |= {"censored_gaussian"}

#: those of which every second pair trains by day; the others with weighting=auto alone
EVERY_DAY = {"bernoulli", "beta", "categorical", "cb", "gaussian", "laplace"}

#: what the theory allows: φ can be learned or solved only where it is a scale, and the cb's constant belongs to the cb
_LEARN_OR_SOLVE = {"learned_precision", "optimal_precision"}
_SCALES = {"gaussian", "laplace", "logistic", "mixture", "student_t", "logit_normal"}
#: a φ that is a shape of the density, or in a constant that depends on η, can be learned, and not solved
_SHAPES = {"censored_gaussian", "discretized_logistic", "negative_binomial", "truncated_gaussian", "zinb"}


#: what a run must be told for data that it takes, where grey digits are none
DATA = {"bernoulli": ("transform=binarize",)}
DATA |= dict.fromkeys(("negative_binomial", "poisson", "zinb"), ("dataset=digits_counts",))


def fits(likelihood: str, weighting: str) -> bool:
    """Whether the pair trains."""
    if weighting == "learned_precision" and likelihood in _SHAPES:
        return True
    if weighting in _LEARN_OR_SOLVE:
        return likelihood in _SCALES
    return weighting != "cb_normalizer" or likelihood == "cb"
