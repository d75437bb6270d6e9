"""What other programs call losses, and what vaekl has in their place: an answer to a word that is none of audit's."""

import re

from vaekl.system.errors import VaeklError

#: names after reconstruction= -> what it is
_LOSSES = (
    (r"l2|se|sse|squared_?error|gaussian|normal", "that is reconstruction=mse"),
    (r"mae|absolute|laplace", "that is reconstruction=l1"),
    (r"bernoulli|cross_?entropy|binary_?cross_?entropy|sigmoid|bce_?with_?logits|logits",
     "that is reconstruction=bce, with data=binary where the data are 0 or 1"),
    (r"cb|continuous_?bernoulli", "that is likelihood=cb weighting=auto, with its constant: nothing is to be tuned"),
    (r"huber|smooth_?l1", "that is a density between reconstruction=mse and l1: nearest is likelihood=logistic"),
    (r"log_?cosh|logistic", "that is likelihood=logistic, whose scale φ = 1/(2α) stands in it"),
    (r"charbonnier|pseudo_?huber", "that is a density between mse and l1: nearest is likelihood=logistic"),
    (r"student_?t|cauchy|lorentzian", "that is likelihood=student_t"),
    (r"(learned|learnt|learnable|trainable)_?(sigma|variance|scale|log_?scale|log_?var)|log_?scale|log_?sigma",
     "that is likelihood=gaussian weighting=learned_precision, and nothing is to be tuned"),
    (r"sigma_?vae|optimal_?sigma|optimal_?variance|log_?mse",
     "½N ln of the mean square error is likelihood=gaussian weighting=optimal_precision"),
    (r"rmse|root_?mean_?squared?_?error",
     "the root is no density of independent values; ½N ln of its square is likelihood=gaussian "
     "weighting=optimal_precision"),
    (r"lpips|perceptual|vgg|ssim|ms_?ssim|gan|adversarial|discriminator",
     "that is no function of single values, and the density of nothing that can be named"),
    (r"cross_?entropy_?loss|ce|categorical|softmax|nll", "that is likelihood=categorical, or logistic_mixture"),
    (r"negative_?binomial", "that is reconstruction=nb"),
    (r"zinb", "that is likelihood=zinb"),
    (r"mol|dmol|discretized_\w+|logistic_mixture", "that is likelihood=logistic_mixture or discretized_logistic"),
)  # fmt: skip
#: keys that are no word of audit's -> what they are
_KEYS = (
    (r"capacity|c|c_max|max_capacity", "that is control=capacity control.target={value}"),
    (r"free_?bits|free_?nats|kl_?tolerance|kl_?floor|lambda_?free",
     "that is control=free_bits control.floor={value}, for each latent"),
    (r"warm_?up\w*|anneal\w*|kl_?anneal\w*|n_?epochs_kl_warmup",
     "that is schedule=linear, and φ is that of its end"),
    (r"sigma|std|noise_?std|scale", "that is weighting=fixed_dispersion weighting.dispersion={value}², for a Gaussian"),
    (r"variance|var|phi|dispersion", "that is weighting=fixed_dispersion weighting.dispersion={value}"),
    (r"lr|learning_rate|epochs|optimizer|seed|steps", "no loss depends on it: it is `vaekl train`'s"),
    (r"loss|function|criterion", "for a loss that is written in Python say `vaekl audit FILE.py:NAME`"),
)  # fmt: skip


def of_a_loss(name: str) -> str:
    """What a reconstruction is that audit has no word for; "" where nobody calls one so.

    >>> of_a_loss("huber")
    'that is a density between reconstruction=mse and l1: nearest is likelihood=logistic'
    """
    return _first(_LOSSES, name)


def refuse_key(key: str, value: str) -> None:
    """Answer a key that is none of audit's, where it is known elsewhere.

    Raises:
        VaeklError: says what it is.
    """
    if text := _first(_KEYS, key):
        raise VaeklError(f"{key} is no word of audit's: {text.format(value=value or '...')}.")


def _first(names: tuple[tuple[str, str], ...], name: str) -> str:
    return next((text for pattern, text in names if re.fullmatch(pattern, name.lower())), "")
