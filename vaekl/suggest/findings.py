"""The results of a suggestion: all that its card, its page and its file are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log, prod
from pathlib import Path
from statistics import stdev

from vaekl.store import RunFolder
from vaekl.store.suggest_schema import Look, Point
from vaekl.suggest.candidates import Candidate
from vaekl.suggest.judge import points
from vaekl.suggest.verdict import Result, Verdict
from vaekl.verbs.audit.text import number, one

_GOALS = {
    "samples": "Fréchet distance of the values of draws",
    "reconstruction": "RMSE",
    "representation": "accuracy of the 15 nearest neighbours",
}


@dataclass(frozen=True)
class Findings:
    """All that a card is made of.

    Args:
        look: at the data.
        verdict: of the finalists.
        base: cross-entropy without its constant, where it was trained.
        aim: what the model is for.
        budget: wall-clock time, seconds.
        seconds: that were spent.
        folder: of the suggestion.
        words: of the data and networks.
        whole: the steps of a whole run.
        squares: the plain model of squared errors, where it is not the best.
        tried: the bound of each candidate's first seed, when it was last judged.
        not_tried: the others, and why.
    """

    look: Look
    verdict: Verdict
    base: Result | None
    aim: str
    budget: float
    seconds: float
    folder: Path
    words: tuple[str, ...]
    whole: int
    squares: Result | None = None
    tried: Mapping[str, float] = field(default_factory=dict)
    not_tried: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> Result:
        """What is suggested."""
        return self.verdict.best

    @property
    def goal_text(self) -> str:
        """What decides beside the bound, in words; empty where that decides."""
        if self.aim == "representation" and not self.look.labelled:
            return ""
        return _GOALS.get(self.aim, "")

    @property
    def bits(self) -> float | None:
        """What a nat per example is in bits/dim; None where there is no ruler."""
        return 1 / (prod(self.look.shape) * log(2)) if self.look.ruler else None

    def lead(self, other: Result) -> float:
        """By how many nats the best was ahead at the step to which the other was trained."""
        step, best = other.points[0].step, self.best
        return (best.nats if step == best.points[0].step else self._curve(best)[step].nats) - other.nats

    def _curve(self, result: Result) -> dict[int, Point]:
        return points(self.run(result.candidate).path)

    def run(self, candidate: Candidate, seed: int = 0) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self.folder / candidate.folder(seed))

    def amount(self, nats: float) -> str:
        """A difference of bounds in words."""
        text = f"{number(nats)} nats {one(self.look.example)}"
        return text if self.bits is None else f"{nats * self.bits:.2g} bits/dim ({text})"

    def bound(self, result: Result) -> str:
        """The bound of a finalist in words, with the spread of its seeds and the step at which they were compared."""
        bits = self.bits
        value = number(result.nats) if bits is None else f"{-result.nats * bits:.4g}"
        unit = f"nats {one(self.look.example)}" if bits is None else "bits/dim"
        if len(result.seeds) == 1:
            return f"{value} {unit}"
        spread, last = stdev(point.nats for point in result.seeds), result.seeds[0].step
        return f"{value} ± {spread * (bits or 1):.2g} {unit} (± between {len(result.seeds)} seeds at step {last:,})"
