"""One session of a suggestion: its folder, its clock, and the runs that it trains."""

import time
from collections.abc import Sequence
from math import log, prod
from pathlib import Path

import msgspec

from vaekl.store.read import SCHEMA, read_record
from vaekl.store.suggest_schema import Cost, Look, Point, State
from vaekl.store.write import record, write_record
from vaekl.suggest import halving
from vaekl.suggest.candidates import Candidate
from vaekl.suggest.judge import points
from vaekl.suggest.options import Options
from vaekl.suggest.tasks import Advance, perform, session_name
from vaekl.sweep.plan import duration, plan
from vaekl.system.console import Console
from vaekl.system.cores import has_gpu
from vaekl.system.terminal import printable

STATE = "state.json"
_MOST_BYTES = 1 << 24
_CURE = "take it away, and the same command begins anew"
#: of the reason why a candidate failed
_LONGEST_REASON = 4000
#: share of the budget by which training ends even if a rung has not ended
_DEADLINE = 1.05

#: a candidate with one of its seeds
Run = tuple[Candidate, int]


class Session:
    """What one command does for a suggestion; what it learns is in `state.json`, so that another goes on.

    Args:
        options: what was typed.
        folder: where the runs are.
        console: where it speaks.
    """

    def __init__(self, options: Options, folder: Path, console: Console) -> None:
        self.options, self.folder, self.console = options, folder, console
        self.state = self._read()
        self.begun, self.spent_before = time.time(), self.state.seconds
        self.session, self.jobs = session_name(), 1
        #: how much longer the last runs took than they were expected to
        self.slowness = 1.0
        #: candidates that were left out, and why
        self.not_tried: dict[str, str] = {}

    @property
    def seconds(self) -> float:
        """Wall-clock time that was spent, over all sessions."""
        return self.spent_before + time.time() - self.begun

    @property
    def left(self) -> float:
        """Wall-clock time that is left, seconds."""
        return self.options.budget - self.seconds

    def train(
        self, runs: Sequence[tuple[Candidate, int]], step: int, costs: dict[Candidate, Cost]
    ) -> dict[tuple[Candidate, int], Point]:
        """Train runs to a step; what they are there, by run. Those that fail are left out."""
        todo = [run for run in runs if step not in self.points(*run)]
        # the longest first, so that none is left alone at the end
        todo.sort(key=lambda run: -(costs[run[0]].step * (step - self.step_of(*run))))
        expected = halving.seconds([(costs[one], self.step_of(one, seed)) for one, seed in todo], step, self.jobs)
        tasks = [self.task(one, seed, self._looks(one, seed, step, costs[one])) for one, seed in todo]
        begun = time.time()
        for (one, seed), answer in zip(todo, perform(tasks, self.folder, self.session, self.jobs), strict=True):
            if "error" in answer and seed == 0:
                self.failed(one, answer["error"])
            elif "error" in answer:  # the candidate is still what its first seed says
                self.say(f"failed       seed {seed} of {one.label}: {answer['error']}")
            self.keep()
        if todo and expected > 0:
            self.slowness = max(0.5, min(3.0, (time.time() - begun) / expected))
        return {run: curve[step] for run in runs if step in (curve := self.points(*run))}

    def failed(self, one: Candidate, why: str) -> None:
        """Note why a candidate could not be trained."""
        self.not_tried[one.label] = self.state.failed[one.label] = printable(why)[:_LONGEST_REASON]

    def task(self, one: Candidate, seed: int, steps: tuple[int, ...] | None) -> Advance:
        """A run that is trained to the last of some steps; None: to the first with training figures."""
        deadline = self.begun - self.spent_before + _DEADLINE * self.options.budget
        path, own = self.folder / one.folder(seed), tuple(one.words_of_run(seed))
        return Advance(self.words(), own, path, steps, self.options.images, self.options.aim, deadline, self.session)

    def _looks(self, one: Candidate, seed: int, step: int, cost: Cost) -> tuple[int, ...]:
        before = self.step_of(one, seed)
        return (*(look for look in halving.grid(cost.every, cost.steps) if before < look < step), step)

    def slower(self, runs: Sequence[tuple[Cost, int]]) -> list[tuple[Cost, int]]:
        """The costs as the last runs have shown them."""
        factor = self.slowness
        return [
            (
                msgspec.structs.replace(
                    cost, start=cost.start * factor, step=cost.step * factor, judge=cost.judge * factor
                ),
                before,
            )
            for cost, before in runs
        ]

    def points(self, one: Candidate, seed: int) -> dict[int, Point]:
        """What is known of a run, by the step."""
        return points(self.folder / one.folder(seed))

    def step_of(self, one: Candidate, seed: int) -> int:
        """The last step at which a run was judged."""
        return max(self.points(one, seed), default=0)

    def words(self) -> tuple[str, ...]:
        """The words of the data and networks."""
        held = self.state.look.held if self.state.look is not None else []
        return (*self.options.words, *held)

    def needs(self, runs: Sequence[tuple[Candidate, int]], step: int, costs: dict[Candidate, Cost]) -> float:
        """How long it will take to train runs to a step, as the last ones have shown."""
        todo = [(costs[one], self.step_of(one, seed)) for one, seed in runs if step not in self.points(one, seed)]
        return halving.seconds(self.slower(todo), step, self.jobs)

    def at_once(self, runs: int) -> int:
        """How many of some runs are trained at the same time."""
        most = plan(runs, 0, has_gpu(), None).at_once
        return min(self.options.jobs or most, max(1, runs))

    def in_words(self, look: Look, nats: float) -> str:
        """A bound in the unit that the data have."""
        if look.ruler:
            return f"{-nats / (prod(look.shape) * log(2)):.4g} bits/dim"
        return f"{nats:,.4g} nats"

    def say(self, text: str) -> None:
        """Print a line, with the time that was spent."""
        self.console.print(printable(f"  {duration(self.seconds):>6}  {text}"))

    def _read(self) -> State:
        try:
            return read_record(self.folder / STATE, State, _MOST_BYTES, _CURE)
        except FileNotFoundError:
            return State(schema=SCHEMA)

    def keep(self) -> None:
        """Write what is known."""
        self.state.seconds = self.seconds
        write_record(self.folder / STATE, record(State, msgspec.to_builtins(self.state), STATE))
