"""What a suggestion says before it trains: which families do not fit the data, and what it plans."""

from collections.abc import Mapping

from vaekl.store.suggest_schema import Planned


def unfit_lines(unfit: Mapping[str, str]) -> list[str]:
    """A line for each reason why families do not fit, in the order of the first of them.

    Args:
        unfit: the sentence of each family.

    >>> takes = "takes counts {0, 1, 2, ...}, but dataset=digits (scaled k/16) holds grey values in [0, 1]: ..."
    >>> for line in unfit_lines({name: f"likelihood={name} {takes}" for name in ("poisson", "zinb")}):
    ...     print(line)
    2, each of which takes counts {0, 1, 2, ...}: poisson, zinb
    """
    names: dict[str, list[str]] = {}
    for name, why in unfit.items():
        reason = why.partition(", but dataset=")[0].removeprefix(f"likelihood={name} ").rstrip(".")
        names.setdefault(reason, []).append(name)
    return [
        f"{each[0]} {why}" if len(each) == 1 else f"{len(each)}, each of which {why}: {', '.join(each)}"
        for why, each in names.items()
    ]


def plan_line(chosen: Planned, seeds: int, jobs: int) -> str:
    """How many candidates are trained to which step, and what then becomes of the best of them.

    Args:
        chosen: the plan.
        seeds: of each finalist.
        jobs: how many are trained at a time.
    """
    counts = [*(rung.entrants for rung in chosen.rungs), chosen.finalists]
    ends = [*(f"step {rung.step:,}" for rung in chosen.rungs), f"about step {chosen.final_step:,}"]
    who = [f"{counts[0]} candidates", *(f"the best {count}" for count in counts[1:])]
    stages = [f"{some} to {end}" for some, end in zip(who, ends, strict=True)]
    if seeds > 1:
        stages.append("these with other seeds as time allows")
    return f"{', then '.join(stages)}; {jobs} at a time"
