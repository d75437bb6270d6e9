"""What a report says first: who is best and by how much, and whose figures are not to be trusted yet."""

from collections.abc import Sequence
from math import hypot

from vaekl.verbs.report.collect import Run
from vaekl.verbs.report.groups import COLUMNS, Column, Group, Stat
from vaekl.verbs.report.write import number

#: σ over the root mean square error within which φ is called calibrated
CALIBRATED = (0.9, 1.1)
#: marginal KL from which prior samples are said to differ from the data: nats, and the part of the rate
_HOLE_NATS, _HOLE_SHARE = 3.0, 1 / 3
#: part of ln(images) from which the estimate of the mutual information is at its limit
_NEAR_LIMIT = 0.8
#: groups or runs that a sentence names
_NAMED = 3


def verdict(groups: Sequence[Group], runs: Sequence[Run]) -> list[str]:
    """Two to four sentences, each with its figures."""
    counted = [group for group in groups if group.counted]
    if not counted:
        return ["No run is finished: there is nothing to compare."]
    best = _best(counted, _column("ruler_bits_per_dim")) or _best(counted, _column("elbo_nats"))
    return [*(best or [_alone(counted)]), *_calibration(counted), *_convergence(runs), *_prior(counted)]


def _column(key: str) -> Column:
    return next(column for column in COLUMNS if column.key == key)


def _best(groups: Sequence[Group], column: Column) -> list[str]:
    """For each set of groups that can be compared the best and its distance to the next."""
    sentences = []
    sets: dict[str, list[tuple[Group, Stat]]] = {}
    for group in groups:
        if stat := group.stats[column.key]:
            measured = [run for run in group.counted if column.of(run) is not None]
            within = {column.within(run) for run in measured}
            if len(within) == 1:
                sets.setdefault(within.pop(), []).append((group, stat))
    several = len(sets) > 1
    for words, members in list(sets.items())[:_NAMED]:
        if len(members) < 2:
            continue
        sign = 1 if column.best == "low" else -1
        (first, a), (second, b) = sorted(members, key=lambda pair: sign * pair[1].mean)[:2]
        ruler = column.key == "ruler_bits_per_dim"
        unit, where = ("bits/dim", "on the fair ruler") if ruler else ("nats", "by its test ELBO")
        place, digits = (f"{where} ({words})" if several else where), column.digits
        sentences.append(
            f"{first.label} is best {place}: {number(a.mean, digits)}{_pm(a, digits)} {unit}, ahead of {second.label} "
            f"({number(b.mean, digits)}{_pm(b, digits)}) by {_apart(a, b, digits)}."
        )
    return sentences


def _pm(stat: Stat, digits: int) -> str:
    return "" if stat.error is None else f" ± {number(stat.error, digits)}"


def _apart(a: Stat, b: Stat, digits: int) -> str:
    """How far apart two means are, against the spread of their seeds."""
    distance = number(abs(a.mean - b.mean), digits)
    if a.error is None or b.error is None:
        return f"{distance}; without a second seed of both nothing says whether that is chance"
    error = hypot(a.error, b.error)
    shown = f"{distance} ± {number(error, digits)}"
    if abs(a.mean - b.mean) < 2 * error:
        return f"{shown}, which is within the spread of the seeds"
    return f"{shown}, {abs(a.mean - b.mean) / error:.1f} standard errors of the seeds" if error else shown


def _alone(groups: Sequence[Group]) -> str:
    """Where no two groups can be compared."""
    if len(groups) > 1:
        return "No two groups can be compared: none share a fair ruler or the data, protocol and support of their ELBO."
    bits, elbo = (groups[0].stats[key] for key in ("ruler_bits_per_dim", "elbo_nats"))
    shown = [f"{number(bits.mean, 4)}{_pm(bits, 4)} bits/dim on the fair ruler"] if bits else []
    shown += [f"a test ELBO of {number(elbo.mean, 2)}{_pm(elbo, 2)} nats"] if elbo else []
    return f"{groups[0].label} has {' and '.join(shown)}; there is no other group to compare it with."


def _calibration(groups: Sequence[Group]) -> list[str]:
    ratios = [(group, stat.mean) for group in groups if (stat := group.stats["sigma_over_rmse"]) and stat.mean > 0]
    low, high = CALIBRATED
    off = [(group, ratio) for group, ratio in ratios if not low <= ratio <= high]
    if not ratios:
        return []
    if not off:
        who = "It is" if len(ratios) == 1 else "All are"
        least, most = min(ratio for _, ratio in ratios), max(ratio for _, ratio in ratios)
        return [f"{who} calibrated: σ/RMSE is {_range(f'{least:.2f}', f'{most:.2f}')}."]
    worst = sorted(off, key=lambda pair: -max(pair[1], 1 / pair[1]))
    words = [f"{group.label} (σ/RMSE {_ratio(ratio)})" for group, ratio in worst]
    return [f"Not calibrated: {_listed(words)}; 1 is calibrated."]


def _range(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _convergence(runs: Sequence[Run]) -> list[str]:
    done = [run for run in runs if run.finished]
    moving = [run for run in done if run.moving]
    if not moving:
        return []
    reasons: dict[str, list[str]] = {}
    for run in moving:
        reasons.setdefault(run.moving.removesuffix(": train longer"), []).append(run.name)
    words = [f"{names[0] if len(names) == 1 else f'{len(names)} runs'}: {why}" for why, names in reasons.items()]
    return [f"Not converged: {len(moving)} of {len(done)} runs ({_listed(words, '; ')}): train longer."]


def _prior(groups: Sequence[Group]) -> list[str]:
    """Whose prior samples are not like the data, since q(z) is not like p(z)."""
    holes = []
    for group in groups:
        marginal, rate = group.stats["marginal_kl_nats"], group.stats["rate_nats"]
        if marginal and rate and marginal.mean >= max(_HOLE_NATS, _HOLE_SHARE * rate.mean):
            holes.append(
                (marginal.mean / rate.mean, f"{group.label} {marginal.mean:.1f} of {rate.mean:.1f} nats", group)
            )
    if not holes:
        return []
    worst_first = [text for _, text, _ in sorted(holes, key=lambda hole: -hole[0])]
    parts = [run.evaluation.rate for _, _, group in holes for run in group.counted if run.evaluation]
    at_limit = any(one.mutual_information_nats > _NEAR_LIMIT * one.largest_mutual_information_nats for one in parts)
    most = ", at most, since I(x; z) is estimated near its limit ln N" if at_limit else ""
    why = "Prior samples differ from the data where the marginal KL is a large part of the rate"
    return [f"{why}: {_listed(worst_first)}{most}."]


def _listed(words: Sequence[str], between: str = ", ") -> str:
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return between.join(words[:_NAMED]) + more
