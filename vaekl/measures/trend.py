"""Whether a run's φ and ELBO still moved when it ended: figures of an unfinished run are no answer."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import exp, hypot, log, prod
from statistics import fmean, stdev
from typing import Any

from vaekl.store import RunFolder
from vaekl.store.metrics import Row
from vaekl.store.schema import Facts

#: the least relative change of φ, from one window to the next, that counts as moving
_LEAST_CHANGE = 0.05
#: the least change of the ELBO, in bits for each value of an example: the last digit of published bits/dim
_LEAST_BITS = 0.01
#: rows of a quarter by whose scatter an ELBO is judged; φ hardly scatters
_LEAST_ROWS = 4
#: standard errors of a difference of window means that are noise
_NOISE = 2.0


@dataclass(frozen=True)
class Trend:
    """What still moved, for each 100 steps; None where it stood still.

    Args:
        beta: relative change of φ, or of the effective β_KL where a control finds it; −0.12 is 12 % less.
        elbo: change of the ELBO, nats per example.
        name: what `beta` is the change of.
        split: the images whose ELBO it is: train or valid.
        past: after which step the validation ELBO was best, where it has fallen since; None otherwise.
        short: whether too few steps were logged to tell.
    """

    beta: float | None
    elbo: float | None
    name: str = "φ"
    split: str = "train"
    past: int | None = None
    short: bool = False

    @property
    def wants_more_steps(self) -> bool:
        """Whether more steps would bring the run to rest."""
        return self.short or (self.past is None and (self.beta is not None or self.elbo is not None))

    @property
    def sentence(self) -> str:
        """In words, for whoever takes the figures for an answer; empty where nothing moved."""
        parts = []
        if self.beta is not None:
            parts.append(f"{self.name} still {_direction(self.beta)} by {100 * abs(self.beta):.2g} %")
        if self.elbo is not None:
            images = "training" if self.split == "train" else "validation"
            parts.append(f"{images} ELBO still {_direction(self.elbo)} by {abs(self.elbo):.3g} nats")
        if self.short:
            return "the run is too short to tell whether its figures still change: train longer"
        if parts and self.past is not None:
            worse = f"the validation ELBO is worse than after step {self.past:,}: set trainer.patience"
            return f"{', '.join(parts)} per 100 steps, but {worse}"
        return f"{', '.join(parts)} per 100 steps: train longer" if parts else ""


def run_trend(folder: RunFolder, facts: Facts, config: Mapping[str, Any], of_valid: bool = False) -> Trend:
    """What still moved in a run, by its log.

    Args:
        folder: of the run.
        facts: its facts.json.
        config: its config, in which trainer.patience stands.
        of_valid: whether the rows of validation are looked at, whatever the weighting.

    Raises:
        VaeklError: the log cannot be read.
    """
    patience = config["trainer"].get("patience")
    return trend(
        folder.metrics,
        prod(facts.data.shape),
        control=facts.control.name,
        fits_dispersion=facts.weighting.fits_dispersion,
        patience=patience if isinstance(patience, int) else None,
        samples=facts.objective.samples,
        of_valid=of_valid or facts.weighting.draws,
    )


def trend(
    rows: Callable[[], Iterable[Row]],
    dims: int,
    *,
    control: str,
    fits_dispersion: bool,
    patience: int | None = None,
    samples: int = 1,
    of_valid: bool = False,
) -> Trend:
    """What still moved in the last quarter of a run, beside the quarter before.

    Of each quarter the mean over the rows of training is taken. φ moves where its geometric mean changed by more than
    5 %, the ELBO where it changed by more than 0.01 bits for each value of an example; both only where the change is
    more than two standard errors of the difference, as the scatter of the rows says. Where a quarter has fewer than
    four rows, nothing is said of the ELBO; if φ did not move either, that was too short to tell. As with patience
    only validations at which the KL has its full weight count; those of an objective of several samples by its bound
    L_K, which is its loss. Where φ or λ is drawn for each step, an ELBO of training is a mean over many of them: there
    the rows must be those of validation, whose φ and λ are the ones that the run is judged by.

    Args:
        rows: gives the rows of metrics.csv, of all splits, in their order; it is called twice.
        dims: D, the number of values in one example.
        control: the name of the run's control; any but information_weight finds the effective β_KL.
        fits_dispersion: whether the weighting finds φ.
        patience: trainer.patience; a run that it has ended is as long as it should be.
        samples: K of the objective.
        of_valid: whether the rows are those of validation.
    """
    total = max((row.step for row in rows() if row.split == "train"), default=0)
    finds_beta = control != "information_weight"
    key, name = ("effective_beta_kl", "effective β_KL") if finds_beta else ("dispersion", "φ")
    quarters: tuple[list[dict[str, float]], list[dict[str, float]]] = ([], [])
    valid: list[tuple[float, int]] = []
    schedule = 1.0
    split = "valid" if of_valid else "train"
    bound, sign = ("elbo_nats", 1) if samples == 1 else ("loss", -1)
    for row in rows():
        if row.split != "test":  # a validation of an earlier version has the schedule of the training before it
            schedule = row.figures().get("schedule", schedule)
        if row.split == "valid" and schedule == 1 and bound in (figures := row.figures()):
            valid.append((sign * figures[bound], row.step))
        if row.split == split and 2 * row.step > total:
            figures = row.figures()
            kept = {one: figures[one] for one in (key, "elbo_nats") if one in figures}
            quarters[4 * row.step > 3 * total].append(kept | {"step": row.step})
    best, best_step = max(valid, default=(0.0, 0))
    if patience is not None and sum(step > best_step for _, step in valid) >= patience:
        return Trend(None, None)
    before, last = quarters
    if not before or not last:
        # without validation nobody knows
        return Trend(None, None, short=not of_valid)
    # under a control the ELBO may fall because λ is still on its way
    past = best_step if not finds_beta and valid and best - valid[-1][0] > _LEAST_BITS * log(2) * dims else None
    hundreds = (fmean(row["step"] for row in last) - fmean(row["step"] for row in before)) / 100
    beta = elbo = None
    if (fits_dispersion or finds_beta) and all(row.get(key, 0) > 0 for row in before + last):
        change = _change([log(row[key]) for row in before], [log(row[key]) for row in last])
        beta = exp(change / hundreds) - 1 if abs(change) > log(1 + _LEAST_CHANGE) else None
    enough = min(len(before), len(last)) >= _LEAST_ROWS
    if enough and all("elbo_nats" in row for row in before + last):
        change = _change([row["elbo_nats"] for row in before], [row["elbo_nats"] for row in last])
        elbo = change / hundreds if abs(change) > _LEAST_BITS * log(2) * dims else None
    return Trend(beta, elbo, name, split, past, short=beta is None and not enough)


def _change(before: list[float], last: list[float]) -> float:
    """The difference of the means; 0 where it is noise."""
    change = fmean(last) - fmean(before)
    errors = [stdev(values) / len(values) ** 0.5 for values in (before, last) if len(values) > 1]
    return change if abs(change) > _NOISE * hypot(*errors) else 0.0


def _direction(change: float) -> str:
    return "falling" if change < 0 else "rising"
