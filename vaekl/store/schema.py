"""What the JSON files of a run hold, as types; `docs/run_folder.md` says what each key means, and its unit.

A key that is not named here is refused, in what is read as in what is written: a new one is added here and there.
Numbers are finite, truth values are no numbers, and texts hold no control characters.
"""

from typing import Annotated, Literal

from msgspec import Meta, field

from vaekl.store.fields import (
    AtLeastOne,
    Count,
    LongText,
    NotNegative,
    Number,
    Positive,
    Record,
    Schema,
    Seed,
    Text,
)


class Digests(Record):
    """Of the images of each split, before any are held out."""

    train: Text
    test: Text
    valid: Text | None = None


class ColumnFacts(Record):
    """How a column of a table becomes numbers: `Code`."""

    name: Text
    kind: Literal["numeric", "count", "binary", "categorical"]
    #: the categories of a column that has some, the one or the other
    words: list[Text]
    numbers: list[Number]


class StoredFacts(Record):
    """The data before any transform: `stored_facts`."""

    support: Literal["binary", "levels", "counts", "unit_interval", "real"]
    levels: AtLeastOne | None
    has_missing: bool
    columns: list[ColumnFacts]
    #: whether a row's rates are in proportion to its sum
    by_total: bool


class DataFacts(Record):
    """The data as the likelihood sees them."""

    name: Text
    shape: Annotated[tuple[AtLeastOne, ...], Meta(min_length=1, max_length=8)]
    support: Literal["binary", "levels", "counts", "unit_interval", "real", "mixed"]
    level_width: Positive | None
    spread: Positive | None
    protocol: Text
    digests: Digests
    #: of the names, sizes and times of the files, where the data set has a path
    files: Text | None
    #: what one example is called; folders of earlier versions hold images and do not say so
    example: Text = "image"
    #: a digest of the names of a table's columns, in their order
    columns: Text | None = None
    #: how many values a stored pixel can take; folders of earlier versions do not say so
    levels: AtLeastOne | None = None
    #: folders of earlier versions do not say so, nor those of a source of somebody's own that is not plain
    stored: StoredFacts | None = None


class LikelihoodFacts(Record):
    """What is true of the family: `Likelihood.facts`."""

    name: Text
    energy: Text
    log_norm_const: Text
    discrete: bool
    accepts: list[Text]
    support: Text
    dispersion: Text
    protocol: Text
    scale_power: Number | None
    unit_sigma: Positive | None


class WeightingFacts(Record):
    """What is done with φ and ln C: `Weighting.facts`."""

    name: Text
    loss: Text
    fits_dispersion: bool
    dispersion: Positive | None
    implied_beta_kl: Positive | None
    drops_constant: bool
    #: how many φ there are; folders of earlier versions do not say so
    dispersions: AtLeastOne | None = None
    #: whether φ or λ is another one in each step; nor do they say this
    draws: bool = False


class ControlFacts(Record):
    """What stands for the KL in the loss: `Control.facts`."""

    name: Text
    penalty: Text
    target_kl_nats: Positive | None
    #: folders of earlier versions do not say what else is held
    target_rmse: Positive | None = None
    target_distortion_nats: Number | None = None


class ObjectiveFacts(Record):
    """Which bound is maximised: `Objective.facts`."""

    name: Text
    samples: AtLeastOne


class Init(Record):
    """The weights that a run's networks began with, where they are another run's."""

    run: Text
    weights: Text
    step: Count


class Facts(Record, kw_only=True):
    """`facts.json`."""

    schema: Schema
    #: of metrics.csv: `SCHEMA` of metrics.py
    metrics_schema: Literal[1]
    command: LongText
    git_revision: Text | None
    python: Text
    platform: Text
    packages: dict[Text, Text]
    data: DataFacts
    likelihood: LikelihoodFacts
    weighting: WeightingFacts
    control: ControlFacts
    #: runs of earlier versions have the ELBO
    objective: ObjectiveFacts = field(default_factory=lambda: ObjectiveFacts(name="elbo", samples=1))
    parameters: Count
    init: Init | None = None


class ChannelDispersion(Record):
    """The noise of one channel, or one column of a table."""

    kind: Text
    dispersion: Positive
    implied_sigma: NotNegative


class Figures(Record, kw_only=True):
    """One evaluation of a split: `vaekl.measures.elbo.Evaluation`."""

    elbo_nats: Number
    energy_nats: Number
    log_norm_const_nats: Number
    kl_nats: Number
    elbo_standard_error_nats: NotNegative | None = None
    loss: Number
    bits_per_dim: Number | None = None
    energy: Number
    dispersion: Positive
    implied_sigma: NotNegative
    rmse: NotNegative
    beta_kl: Number
    effective_beta_kl: NotNegative
    active_units: Count
    kl_per_latent_nats: list[Number]
    dispersions: list[Positive] | None = None
    #: folders of earlier versions do not have these
    information_weight: Number | None = None
    dispersion_by_channel: dict[Text, ChannelDispersion] = field(default_factory=dict)
    learned_options: dict[Text, Number] = field(default_factory=dict)

    @property
    def distortion_nats(self) -> float:
        """D = E/φ − ln C."""
        return self.energy_nats - self.log_norm_const_nats


class Protocol(Record):
    """What the figures depend on, in words."""

    data: Text
    likelihood: Text


class Images(Record):
    """How many images each split has."""

    train: Count
    valid: Count
    test: Count


class Results(Record, kw_only=True):
    """`results.json`."""

    schema: Schema
    choices: dict[Text, Text]
    weighting: Text
    protocol: Protocol
    seed: Seed
    weights: Literal["last.pt", "best.pt"]
    step: Count
    restores: Count
    digests: Digests
    images: Images
    valid: Figures | None = None
    test: Figures

    @property
    def validation_elbo(self) -> float | None:
        """The validation ELBO, nats, or None without validation images."""
        return self.valid.elbo_nats if self.valid is not None else None


class Tracked(Record):
    """`tracker.json`."""

    schema: Schema
    tracker: Text
    run: Text


class Heartbeat(Record):
    """`.progress.json`."""

    step: Count
    steps: AtLeastOne
    elbo_nats: Number
