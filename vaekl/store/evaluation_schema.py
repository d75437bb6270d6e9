"""What `eval.json` holds, as types; `docs/run_folder.md` says what each key means, and its unit."""

from typing import Annotated, Literal

from msgspec import Meta, field

from vaekl.store.fields import AtLeastOne, Count, NotNegative, Number, Record, Schema, Seed, Text
from vaekl.store.schema import Digests, Figures, Protocol


class EvaluationProtocol(Protocol):
    """The same, and of the bits/dim."""

    bits_per_dim: Text
    ruler: Text


class Bound(Record):
    """An importance-weighted bound."""

    k: AtLeastOne
    nats: Number
    standard_error_nats: NotNegative | None
    bits_per_dim: Number | None = None


class Ruler(Record):
    """The fair ruler: −log2 P(k)/D of the integers."""

    nats: Number
    standard_error_nats: NotNegative | None
    bits_per_dim: Number
    standard_error_bits_per_dim: NotNegative | None
    iwae: list[Bound]


class Ais(Record):
    """Annealed importance sampling."""

    nats: Number
    standard_error_nats: NotNegative | None
    images: AtLeastOne
    steps: AtLeastOne
    iwae_of_these_images_nats: Number


class Rate(Record):
    """The KL in two parts."""

    mutual_information_nats: Number
    marginal_kl_nats: Number
    largest_mutual_information_nats: Number
    images: AtLeastOne
    total_correlation_nats: Number | None = None
    dimension_wise_kl_nats: Number | None = None


class Calibration(Record):
    """Implied σ beside the error, over all values or one channel's."""

    implied_sigma: NotNegative
    rmse: NotNegative
    sigma_over_rmse: NotNegative | None
    calibrated_beta_kl: NotNegative | None = None


class Reliability(Record):
    """Predicted against observed frequencies of groups of levels."""

    predicted: list[Number]
    observed: list[Number]
    error: NotNegative
    groups: AtLeastOne
    images: AtLeastOne


class Quality(Record):
    """Reconstructions as pictures."""

    psnr_db: Number
    ssim: Number


class FeatureScores(Record):
    """Generated images beside real ones, by the features of a network."""

    frechet: Number
    inception_mean: Number
    inception_std: NotNegative | None
    real: Count
    generated: Count
    protocol: Text


class CurvePoint(Record):
    """One θ = φ · λ of a multi-rate VAE."""

    theta: NotNegative
    rate_nats: Number
    distortion_nats: Number
    elbo_nats: Number
    rmse: NotNegative
    active_units: Count


class Evaluation(Record, kw_only=True):
    """`eval.json`, and `eval_*.json` of other splits, checkpoints, data or fewer images."""

    schema: Schema
    run: Text
    choices: dict[Text, Text]
    weighting: Text
    run_seed: Seed
    weights: Text
    step: Count
    finished: bool
    split: Literal["test", "valid", "train", "all"]
    images: AtLeastOne
    left_out: list[Text] = field(default_factory=list)
    #: the file, folder or data set that was looked at in the place of the run's own; empty for its own
    other_data: Text = ""
    example: Text = "image"
    units_differ: bool = False
    seed: Seed
    changes: list[Text]
    digests: Digests
    protocol: EvaluationProtocol
    elbo: Figures
    iwae: Annotated[list[Bound], Meta(min_length=1)]
    ruler: Ruler | None = None
    ais: Ais | None = None
    #: of a multi-rate VAE
    curve: list[CurvePoint] | None = None
    rate: Rate
    calibration: dict[Text, Calibration]
    reliability: Reliability | None = None
    quality: Quality | None = None
    knn_accuracy: NotNegative | None = None
    features: FeatureScores | None = None
    #: what still moved when the run ended, in words; empty where nothing did
    moving: Text = ""
