"""What the JSON files of a suggestion hold, as types; `docs/suggest.md` says what each key means, and its unit."""

from typing import Annotated

import msgspec
from msgspec import Meta

from vaekl.store.fields import AtLeastOne, Count, LongText, NotNegative, Number, Positive, Record, Schema, Text

Scores = Annotated[list[Number], Meta(max_length=2**17)]


class Point(Record, kw_only=True):
    """How good a run was after some step, on validation examples."""

    step: Count
    #: bound on ln P of the values where there are levels or counts, else on ln p(x), nats per example
    nats: Number
    #: what the aim goes by; higher is better
    goal: Number
    elbo_nats: Number
    kl_nats: Number
    dispersion: Positive
    implied_sigma: NotNegative
    rmse: NotNegative
    effective_beta_kl: NotNegative
    active_units: Count
    #: `nats` of each example, in their order
    scores: Scores = msgspec.field(default_factory=list)


class Judged(Record, kw_only=True):
    """`judged.json` of a run: one point for each step at which it was looked at."""

    schema: Schema
    points: list[Point]


class Cost(Record, kw_only=True):
    """What a candidate costs, as a few steps have shown, seconds."""

    start: NotNegative
    step: NotNegative
    judge: NotNegative
    parameters: Count
    #: the length of a whole run, and the steps between training figures
    steps: AtLeastOne
    every: AtLeastOne


class Look(Record, kw_only=True):
    """What the data are, and which likelihoods fit them."""

    name: Text
    example: Text
    shape: list[AtLeastOne]
    stored: Text
    levels: AtLeastOne | None
    train: Count
    valid: Count
    #: the family that `likelihood=auto` takes, and why
    auto: Text
    why: Text
    protocol: Text
    #: the measure on which the candidates are compared: bits/dim or nats
    ruler: bool
    labelled: bool
    #: largest eigenvalues of the covariance of the training examples; none where there is no forecast
    eigenvalues: list[NotNegative]
    forecast: Text
    #: words that hold out more validation examples than a run usually does
    held: list[Text]
    #: the words of cross-entropy on grey values without its constant; none where the data are not grey
    reference: list[Text]
    #: the likelihoods that fit, each with the words that choose its variants
    fitting: dict[Text, list[list[Text]]]
    #: how many numbers the decoder gives of each value under these
    outputs: dict[Text, AtLeastOne]
    #: those that do not, and why
    unfit: dict[Text, Text]


class PlannedRung(Record, kw_only=True):
    """All candidates that are left, trained to a step; the best of them go on."""

    step: AtLeastOne
    entrants: AtLeastOne
    kept: AtLeastOne


class Planned(Record, kw_only=True):
    """What is trained within a budget, in seconds."""

    budget: Positive
    candidates: list[LongText]
    rungs: list[PlannedRung]
    finalists: AtLeastOne
    final_step: AtLeastOne
    seconds: NotNegative
    #: to which finalists were trained in the end, and which; none before they were
    final_step_taken: AtLeastOne | None = None
    ended: list[LongText] = msgspec.field(default_factory=list)
    #: with how many seeds, and to which step the other seeds; none before there was time for them
    seeds: AtLeastOne = 1
    seeds_step: AtLeastOne | None = None


class State(Record, kw_only=True):
    """`state.json`: what a suggestion knows so far, so that the same words go on."""

    schema: Schema
    #: wall-clock time that was spent, over all sessions
    seconds: NotNegative = 0.0
    look: Look | None = None
    costs: dict[LongText, Cost] = msgspec.field(default_factory=dict)
    plan: Planned | None = None
    #: candidates that failed, and why
    failed: dict[LongText, Text] = msgspec.field(default_factory=dict)


class Finalist(Record, kw_only=True):
    """One of the candidates that were trained longest."""

    words: list[LongText]
    nats: Number
    bits_per_dim: Number | None
    goal: Number
    seeds: AtLeastOne
    step: Count
    #: to which all of its seeds were trained; `step` is that of the first
    seeds_step: Count | None = None
    dispersion: Positive
    dispersion_spread: NotNegative | None
    implied_sigma: NotNegative
    rmse: NotNegative
    active_units: Number
    latents: AtLeastOne
    behind_nats: Number
    #: how far behind in what the aim goes by, and the standard error of that
    behind_goal: Number
    behind_goal_error: NotNegative | None


class Suggestion(Record, kw_only=True):
    """`suggest.json`."""

    schema: Schema
    aim: Text
    budget_seconds: Positive
    seconds: NotNegative
    is_certain: bool
    sentence: LongText
    card: LongText
    train: LongText
    finalists: list[Finalist]
    tried: dict[LongText, Number]
    not_tried: dict[LongText, Text]
    unfit: dict[Text, Text]
