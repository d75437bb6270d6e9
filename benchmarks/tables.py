"""Medians with quartiles, and the table that shows them."""

import statistics
from collections.abc import Sequence
from typing import Any


def summary(values: Sequence[float]) -> dict[str, float]:
    """The median and quartiles.

    >>> summary([1.0, 2.0, 3.0, 4.0, 5.0])
    {'median': 3.0, 'low': 2.0, 'high': 4.0, 'count': 5}
    """
    if len(values) == 1:
        return {"median": values[0], "low": values[0], "high": values[0], "count": 1}
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": middle, "low": low, "high": high, "count": len(values)}


def speed_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of `speed.measure` as Markdown."""
    lines = ["| contender | threads | images/s | of the limit | quartiles |", "|---|---:|---:|---:|---|"]
    for row in rows:
        if "ratio" in row:
            ratio = row["ratio"]
            cells = f"{row['images_per_second']['median']:,.0f} | {ratio['median']:.2f}"
            cells += f" | {ratio['low']:.2f} to {ratio['high']:.2f}"
            cells += f"; then failed: {row['failed']}" if "failed" in row else ""
        else:
            cells = f"– | – | failed: {row.get('failed', 'no turn')}"
        lines.append(f"| {row['name']} | {row.get('threads', '–')} | {cells} |")
    return "\n".join(lines)


def plain_table(rows: Sequence[dict[str, Any]]) -> str:
    """Any rows as Markdown, a column for each of their keys; numbers to four figures."""
    if not rows:
        return "nothing was measured"
    keys = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"| {' | '.join(keys)} |", f"|{'---|' * len(keys)}"]
    lines += [f"| {' | '.join(_shown(row.get(key)) for key in keys)} |" for row in rows]
    return "\n".join(lines)


def _shown(value: object) -> str:
    return "–" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)
