"""Whether a run still moved when it ended: exact rates are recovered, and noise is none."""

import numpy as np
import pytest

from vaekl.measures.trend import Trend, trend
from vaekl.store.metrics import FIELDS, Row

STEPS = range(10, 2001, 10)


def trend_of(logged, dims=64, fits=True, control="information_weight", patience=None, samples=1, of_valid=False):
    """The trend of these rows."""
    logged = list(logged)
    return trend(
        lambda: logged,
        dims,
        control=control,
        fits_dispersion=fits,
        patience=patience,
        samples=samples,
        of_valid=of_valid,
    )


def line(step, split="train", **figures):
    """A row of metrics.csv."""
    cells = [repr(float(figures[name])) if name in figures else "" for name in FIELDS[2:]]
    return ",".join([str(step), split, *cells])


def rows(split="train", **columns):
    """Rows of metrics.csv with these functions of the step."""
    for step in STEPS:
        yield Row(step, split, line(step, split, **{name: column(step) for name, column in columns.items()}))


def test_exact_rates():
    """12 % less φ and three nats more each 100 steps."""
    still = trend_of(
        rows(dispersion=lambda step: 0.88 ** (step / 100), elbo_nats=lambda step: 0.03 * step - 7),
    )
    assert still.beta == pytest.approx(-0.12, rel=1e-9) and still.elbo == pytest.approx(3.0, rel=1e-9)
    assert still.sentence == "φ still falling by 12 %, training ELBO still rising by 3 nats per 100 steps: train longer"


def test_what_has_come_to_rest():
    """It moved for half of the run, and no longer."""
    rest = trend_of(
        rows(dispersion=lambda step: 0.5 ** min(step, 1000), elbo_nats=lambda step: min(step, 1000)),
    )
    assert rest == Trend(None, None, "φ") and rest.sentence == ""


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_movement(seed):
    """A scatter of 5 % of φ, and of 0.1 nats, around means that stay."""
    draw = np.random.default_rng(seed)
    noise = {step: draw.normal() for step in STEPS}
    still = trend_of(
        rows(dispersion=lambda step: np.exp(0.05 * noise[step]), elbo_nats=lambda step: 0.1 * noise[step]),
    )
    assert still == Trend(None, None, "φ")


def test_small_changes_are_none():
    """From quarter to quarter φ changes by 4 % and the ELBO by 0.3 nats, of which 0.01 · ln 2 · 64 = 0.44 count."""
    small = {"dispersion": lambda step: 1.04 ** (step / 500), "elbo_nats": lambda step: 0.3 * step / 500}
    assert trend_of(rows(**small)) == Trend(None, None)
    assert trend_of(rows(**small), 32).elbo == pytest.approx(0.06)


def test_a_phi_that_is_fixed_is_not_looked_at_and_a_control_s_weight_is():
    falling = {"dispersion": lambda step: 0.9 ** (step / 100), "effective_beta_kl": lambda step: 1.1 ** (step / 100)}
    assert trend_of(rows(**falling), fits=False) == Trend(None, None)
    controlled = trend_of(rows(**falling), control="geco")
    assert controlled.sentence == "effective β_KL still rising by 10 % per 100 steps: train longer"


def test_other_splits_and_short_logs_do_not_tell():
    falling = {"dispersion": lambda step: 0.9 ** (step / 100)}
    for logged in (rows("valid", **falling), list(rows(**falling))[-1:], []):
        still = trend_of(logged)
        assert still == Trend(None, None, short=True) and still.sentence.startswith("the run is too short to tell")


def test_noise_above_the_thresholds_is_no_movement_either():
    """Rows scatter by 2 nats: the means of 25 differ by 0.44 nats in 44 % of logs, by two standard errors in 5 %."""
    draw, moved = np.random.default_rng(0), 0
    for _ in range(100):
        noise = {step: draw.normal(0, 2) for step in range(20, 2001, 20)}
        logged = [Row(step, "train", line(step, elbo_nats=noise[step])) for step in noise]
        moved += trend_of(logged, fits=False).elbo is not None
    assert moved <= 12


def test_of_three_rows_in_a_quarter_nothing_is_said_of_the_elbo():
    logged = [Row(step, "train", line(step, elbo_nats=step, dispersion=0.9**step)) for step in range(1, 13)]
    still = trend_of(logged)
    assert still.elbo is None and still.beta == pytest.approx(0.9**100 - 1)


def test_a_validation_elbo_that_falls_asks_for_no_more_steps():
    """It was best after 1,000 steps, and the training ELBO still rises."""
    valid = list(rows("valid", elbo_nats=lambda step: -abs(step - 1000) / 100))
    still = trend_of([*rows(elbo_nats=lambda step: step), *valid], fits=False)
    assert still.past == 1000 and "train longer" not in still.sentence
    assert still.sentence.endswith("but the validation ELBO is worse than after step 1,000: set trainer.patience")


def test_a_run_that_patience_ended_is_as_long_as_it_should_be():
    valid = [Row(step, "valid", line(step, "valid", elbo_nats=-abs(step - 1800))) for step in range(100, 2001, 100)]
    rising = list(rows(elbo_nats=lambda step: step))
    assert trend_of(rising + valid, fits=False, patience=2) == Trend(None, None)
    assert trend_of(rising + valid, fits=False, patience=3).elbo is not None


def test_where_phi_is_drawn_for_each_step_the_rows_are_those_of_validation():
    """The training ELBO scatters with the φ that are drawn and rises; that of validation is at rest, or rises."""
    drawn = list(rows(elbo_nats=lambda step: step + 200 * (step * 0.618 % 1), dispersion=lambda step: 0.02))
    rest, rising = (
        [Row(step, "valid", line(step, "valid", elbo_nats=up * step, dispersion=0.02)) for step in range(50, 2001, 50)]
        for up in (0.0, 0.03)
    )
    assert trend_of(drawn + rest, of_valid=True).sentence == "" != trend_of(drawn + rest).sentence
    assert trend_of(drawn + rising, of_valid=True).sentence.startswith("validation ELBO still rising by 3 nats")
    assert trend_of(drawn, of_valid=True).sentence == ""


def test_of_three_rows_in_a_quarter_without_a_phi_that_moves_nothing_can_be_told():
    logged = [Row(step, "train", line(step, elbo_nats=step, dispersion=1)) for step in range(1, 13)]
    assert trend_of(logged) == Trend(None, None, short=True)


@pytest.mark.parametrize("warm_up", [0, 1000])
def test_validations_before_the_kl_has_its_full_weight_do_not_count(warm_up):
    """The validation ELBO falls to step 1,100 and is never again as good: a warm-up of so long excuses it."""
    logged = list(rows(elbo_nats=lambda step: step, schedule=lambda step: min(1, step / warm_up) if warm_up else 1))
    valid = [Row(step, "valid", line(step, "valid", elbo_nats=abs(step - 1100) / 2)) for step in range(50, 2001, 50)]
    still = trend_of(sorted(logged + valid, key=lambda row: row.step), fits=False, patience=30)
    assert (still.elbo is None) == (warm_up == 0), "patience would have ended the run that has no warm-up"


def test_a_validation_knows_its_own_schedule():
    """The warm-up ends after 1,000 steps; training logs every 300, the last time before that at 900."""
    train = [
        Row(step, "train", line(step, elbo_nats=step, schedule=min(1, step / 1000))) for step in range(30, 901, 30)
    ]
    train += [Row(step, "train", line(step, elbo_nats=step, schedule=1)) for step in range(1200, 2001, 10)]
    best = line(1000, "valid", elbo_nats=100.0, schedule=1)
    valid = [Row(1000, "valid", best), *rows("valid", elbo_nats=lambda step: 0.0, schedule=lambda step: step >= 1000)]
    still = trend_of(sorted(train + valid, key=lambda row: row.step), fits=False)
    assert still.past == 1000
    # an earlier version's rows of validation do not say
    old = [Row(row.step, "valid", line(row.step, "valid", elbo_nats=row.figures()["elbo_nats"])) for row in valid]
    assert trend_of(sorted(train + old, key=lambda row: row.step), fits=False).past is None


def test_of_several_samples_the_bound_counts_as_it_does_for_patience():
    """The ELBO of the validation images falls while L_K, which is the loss with another sign, rises."""
    logged = [
        *rows(elbo_nats=lambda step: -100.0, dispersion=lambda step: 0.1),
        *rows("valid", elbo_nats=lambda step: -100.0 - step, loss=lambda step: 100.0 - step / 10),
    ]
    assert trend_of(logged).past == 10
    assert trend_of(logged, samples=5).past is None
