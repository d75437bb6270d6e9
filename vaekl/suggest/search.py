"""A suggestion from its first look to its finalists: what is trained, in which order, within the budget."""

import time
from collections.abc import Sequence
from math import inf

import msgspec

from vaekl.store.suggest_schema import Cost, Look, Planned, Point
from vaekl.suggest import halving
from vaekl.suggest.candidates import Candidate, candidates, finalists, squared_errors, without_constant
from vaekl.suggest.lines import plan_line, unfit_lines
from vaekl.suggest.session import Run, Session
from vaekl.suggest.tasks import LookAtData, perform
from vaekl.suggest.verdict import Result, Verdict, verdict
from vaekl.sweep.plan import duration
from vaekl.system.cores import has_gpu
from vaekl.system.errors import VaeklError

#: share of the time that is left which a rung may take
_MOST_OF_REST = 0.6
#: outputs for each value above which a candidate is tried last, and the share of the time that it may take then
_MANY_OUTPUTS, _MOST_OF_A_TRY = 32, 0.2
#: how many times the step of the other seeds the last one may be, by how many seeds there are; what they differ by
#: after a few steps says nothing of the last one, and what people use alone may have come less far
_LATEST_SEEDS = {1: inf, 2: 8}
#: how many times as long as others' a step takes that makes a candidate dear
_DEAR = 5.0
#: share of the time that is left which trying the candidates may take
_MOST_TRIED = 0.6


class Search(Session):
    """A suggestion from its first look to its finalists."""

    def run(self) -> tuple[Look, Verdict, dict[Candidate, Result]]:
        """Look, try, halve, and train the finalists.

        Returns:
            The look at the data; the finalists; and what people use, trained as far, where it is none of them.

        Raises:
            VaeklError: the data cannot be read, or the budget is too small to compare anything.
            StoppedError: after a signal, when every run that had begun has saved its state.
        """
        try:
            look = self._look()
            tried = self._tried(look)
            return self._halved(look, tried)
        finally:
            if self.state.look is not None:
                self.keep()

    # ---- the data

    def _look(self) -> Look:
        self.jobs = 1 if has_gpu() else self.at_once(8)
        if self.state.look is None:
            task = LookAtData(self.words(), self.options.likelihoods, self.options.latents)
            (answer,) = perform([task], self.folder, self.session, self.jobs)
            if "answer" not in answer:
                raise VaeklError(answer.get("error", "the data could not be looked at."))
            self.state.look = task.read(answer["answer"])
            self.keep()
        look = self.state.look
        size = "×".join(map(str, look.shape))
        self.say(f"data        {look.train:,} {look.example}s of {size} to train on, {look.valid:,} that judge")
        levels = f"{look.levels:,} " if look.levels else ""
        self.say(f"            {levels}{look.stored}; {look.forecast}")
        for line in unfit_lines(look.unfit):
            self.say(f"no fit      {line}")
        return look

    # ---- what a candidate costs

    def _tried(self, look: Look) -> dict[Candidate, Cost]:
        wanted = candidates(look, self.options.latents)
        todo = [one for one in wanted if one.label not in self.state.costs and one.label not in self.state.failed]
        if self.state.plan is not None and self.state.plan.budget == self.options.budget:
            todo = []  # what an earlier session had no time for is not in its plan
        if todo:
            self.say(f"trying {len(todo)} candidates, to know what their steps cost")
        # many outputs cost much: they come last, when it is known what others cost
        todo.sort(key=lambda one: look.outputs.get(one.likelihood, 1) > _MANY_OUTPUTS)
        deadline = time.time() + _MOST_TRIED * max(self.left, 0.0)
        for start in range(0, len(todo), 2 * self.jobs):
            if start and time.time() > deadline:
                break
            some = [one for one in todo[start : start + 2 * self.jobs] if not self._too_dear(one, wanted, look)]
            tasks = [self.task(one, 0, None) for one in some]
            for one, answer in zip(some, perform(tasks, self.folder, self.session, self.jobs), strict=True):
                if "answer" in answer:
                    self.state.costs[one.label] = msgspec.convert(answer["answer"], Cost)
                elif "error" in answer:
                    self.failed(one, answer["error"])
            self.keep()
        tried = {one: self.state.costs[one.label] for one in wanted if one.label in self.state.costs}
        for one in wanted:
            if one not in tried:
                self.not_tried.setdefault(one.label, self.state.failed.get(one.label, "no time to try it"))
        if not tried:
            raise VaeklError(f"no candidate could be trained: {next(iter(self.not_tried.values()), 'there is none')}")
        return tried

    def _too_dear(self, one: Candidate, wanted: Sequence[Candidate], look: Look) -> bool:
        """Whether a candidate that was not tried would take much of the time, by how many outputs it has."""
        many, measured = look.outputs.get(one.likelihood, 1), dict[int, float]()
        for other in wanted:
            if (cost := self.state.costs.get(other.label)) is not None:
                outputs = look.outputs[other.likelihood]
                measured[outputs] = min(cost.step, measured.get(outputs, cost.step))
        if many <= _MANY_OUTPUTS or not measured:
            return False
        every = next(iter(self.state.costs.values())).every
        if every * halving.step_seconds(measured, many) <= _MOST_OF_A_TRY * self.left * self.jobs:
            return False
        self.not_tried[one.label] = f"it has {many} outputs for each value, too many for what is left of the budget"
        return True

    # ---- training

    def _halved(self, look: Look, tried: dict[Candidate, Cost]) -> tuple[Look, Verdict, dict[Candidate, Result]]:
        self.jobs = self.at_once(len(tried))
        chosen = self._planned(tried)
        by_name = {one.label: one for one in tried}
        entrants = [by_name[name] for name in chosen.candidates if name in by_name]
        for one in tried:
            if one not in entrants:
                self.not_tried.setdefault(one.label, "no room in the budget")
        if not entrants:
            raise VaeklError(f"no candidate could be trained: {next(iter(self.not_tried.values()), 'there is none')}")
        at = tried[entrants[0]].every
        for rung in chosen.rungs:
            if self.needs([(one, 0) for one in entrants], rung.step, tried) > _MOST_OF_REST * self.left:
                self.say("            slower than planned: the finalists are chosen now")
                break
            reached = self.train([(one, 0) for one in entrants], rung.step, tried)
            ranked = {one: point.nats for (one, _), point in reached.items()}
            if not ranked:
                break
            outputs = {one: look.outputs.get(one.likelihood, 1) for one in ranked}
            entrants, at = halving.survivors(ranked, rung.kept, outputs), rung.step
            best = entrants[0]
            self.say(f"step {rung.step:>6}  {len(ranked)} judged, {len(entrants)} go on; best {best.label}")
            self.say(f"             {self.in_words(look, ranked[best])} on the validation {look.example}s")
        used = max((p.active_units for p in self.points(entrants[0], 0).values() if p.step == at), default=0)
        aim, free = self.options.aim, self.options.latents is None
        last = finalists(entrants, used, chosen.finalists, aim, look, free)
        costs = {one: tried.get(one) or tried[self._like(one, entrants)] for one in last}
        usual = self._usual(look, entrants[0])
        costs = {one: halving.mean_cost(list(costs.values())) for one in usual} | costs
        ended = self._sprint(last, costs, chosen, at)
        return self._finals(look, ended, [one for one in usual if one not in ended], costs, chosen)

    def _usual(self, look: Look, best: Candidate) -> list[Candidate]:
        """What people use, which is trained beside the finalists."""
        usual = (without_constant(look, best.latents), squared_errors(look, best.latents))
        return [one for one in usual if one is not None] if self.options.aim == "density" else []

    def _planned(self, tried: dict[Candidate, Cost]) -> Planned:
        """The plan: that of an earlier session with this budget, else a new one."""
        chosen = self.state.plan
        if chosen is None or chosen.budget != self.options.budget:
            first = {one: point.nats for one in tried if (point := self.points(one, 0).get(tried[one].every))}
            ranked = halving.survivors(first, len(first))
            costs = {one.label: tried[one] for one in self._affordable(ranked, tried)}
            if not costs:
                raise VaeklError(f"budget={self.options.budget:g}s is too little to train anything: give more.")
            chosen = halving.plan(costs, max(self.left, 0.0), self.jobs)
            chosen.budget = self.options.budget
            self.state.plan = chosen
            self.keep()
        self._say_plan(chosen, len(tried))
        return chosen

    def _sprint(
        self, last: Sequence[Candidate], costs: dict[Candidate, Cost], chosen: Planned, at: int
    ) -> Sequence[Candidate]:
        """Train the first seed of each finalist as far as most of the time reaches; those without hope end earlier."""
        if chosen.final_step_taken is None or not chosen.ended:
            every, most, for_seeds = costs[last[0]].every, costs[last[0]].steps, halving.FOR_SEEDS * max(self.left, 0.0)
            final = self._reach(last, costs, at, for_seeds)
            for step in [step for step in halving.grid(every, most) if step > at]:
                if step >= final or len(last) <= 2:
                    break
                if len(self.train([(one, 0) for one in last], step, costs)) < len(last):
                    break
                curves = {one: {s: point.goal for s, point in self.points(one, 0).items() if s <= step} for one in last}
                last, at = halving.hopeful(curves, most), step
                final = self._reach(last, costs, at, for_seeds)
            chosen.final_step_taken, chosen.ended = final, [one.label for one in last]
            self.keep()
        last = [one for one in last if one.label in chosen.ended]
        self.say(f"finalists    {len(last)}, to step {chosen.final_step_taken:,}")
        self.train([(one, 0) for one in last], chosen.final_step_taken, costs)
        return [one for one in last if one.label not in self.state.failed]

    def _reach(self, last: Sequence[Candidate], costs: dict[Candidate, Cost], at: int, for_seeds: float) -> int:
        """The step to which there is time to train the first seed of each, beside that for the other seeds."""
        before = self.slower([(costs[one], self.step_of(one, 0)) for one in last])
        return max(halving.furthest(before, self.left - for_seeds, self.jobs), at, costs[last[0]].every)

    def _finals(
        self,
        look: Look,
        last: Sequence[Candidate],
        beside: Sequence[Candidate],
        costs: dict[Candidate, Cost],
        chosen: Planned,
    ) -> tuple[Look, Verdict, dict[Candidate, Result]]:
        """What the finalists are at the last step that all have reached, and how far their seeds differ."""
        curves = [self.points(one, 0).keys() for one in last]
        step = max(set(curves[0]).intersection(*curves[1:]), default=0) if curves else 0
        if not step:
            raise VaeklError("no finalist was trained to its end: give a larger budget, and the same command goes on.")
        self._seeds(last, costs, beside, chosen, step)
        results = [self._result(one, step, chosen) for one in last]
        usual = {one: Result(one, (point,)) for one in beside if (point := self._beside(one, results))}
        return look, verdict(results, density=self.options.aim == "density"), usual

    def _seeds(
        self,
        last: Sequence[Candidate],
        costs: dict[Candidate, Cost],
        beside: Sequence[Candidate],
        chosen: Planned,
        step: int,
    ) -> None:
        """Train the other seeds of the finalists, and what people use, to a step at which the first were judged."""
        if chosen.seeds_step is None:
            steps = sorted(set(self.points(last[0], 0)).intersection(*(self.points(one, 0) for one in last[1:])))
            for seeds in range(self.options.seeds, 0, -1):
                runs = self._others(last, seeds, beside)
                reached = [one for one in steps if one <= step and self.needs(runs, one, costs) <= max(self.left, 0.0)]
                if runs and reached and _LATEST_SEEDS.get(seeds, 3) * reached[-1] >= step:
                    chosen.seeds, chosen.seeds_step = seeds, reached[-1]
                    break
            self.keep()
        if chosen.seeds_step is not None:
            more = f"{_seeds(chosen.seeds)} of each" if chosen.seeds > 1 else "none"
            habits = f"{' and ' if chosen.seeds > 1 else '; '}what people use" if beside else ""
            self.say(f"other seeds  {more}{habits}, to step {chosen.seeds_step:,}")
            self.train(self._others(last, chosen.seeds, beside), chosen.seeds_step, costs)

    def _others(self, last: Sequence[Candidate], seeds: int, beside: Sequence[Candidate]) -> list[Run]:
        return [*((one, seed) for seed in range(1, seeds) for one in last), *((one, 0) for one in beside)]

    def _result(self, one: Candidate, step: int, chosen: Planned) -> Result:
        """A finalist: its seeds at the last step, and all of them at the step that all have reached."""
        curves = [self.points(one, seed) for seed in range(chosen.seeds)]
        ended = tuple(curve[step] for curve in curves if step in curve)
        repeats = tuple(curve[chosen.seeds_step] for curve in curves if chosen.seeds_step in curve)
        return Result(one, ended, repeats if len(repeats) > len(ended) else ())

    def _beside(self, one: Candidate, results: Sequence[Result]) -> Point | None:
        """What people use, at the last step at which the best was judged too."""
        best = max(results, key=lambda result: result.goal)
        own, others = self.points(one, 0), self.points(best.candidate, 0)
        common = [step for step in own if step in others and step <= best.points[0].step]
        return own[max(common)] if common else None

    # ---- small things

    def _affordable(self, ranked: Sequence[Candidate], tried: dict[Candidate, Cost]) -> list[Candidate]:
        """Those that are cheap enough for what is left, or among the best so far; the others with the reason."""
        costs = sorted(tried[one].step for one in ranked)
        typical = costs[len(costs) // 2] if costs else 0.0
        chosen = []
        for place, one in enumerate(ranked):
            cost = tried[one]
            whole = cost.start + 10 * cost.every * cost.step
            is_dear = cost.step > _DEAR * typical and whole > 0.1 * self.left * self.jobs
            if is_dear and place >= max(2, len(ranked) // 3):
                self.not_tried[one.label] = f"a step of it takes {cost.step / typical:.0f} times as long as others'"
            else:
                chosen.append(one)
        return chosen

    def _like(self, one: Candidate, entrants: Sequence[Candidate]) -> Candidate:
        return next((other for other in entrants if one.words[: len(other.words)] == other.words), entrants[0])

    def _say_plan(self, chosen: Planned, tried: int) -> None:
        self.say(f"plan        {plan_line(chosen, self.options.seeds, self.jobs)}")
        out = tried - len(chosen.candidates)
        left = f", {out} candidate{'s' if out > 1 else ''} left out" if out > 0 else ""
        self.say(f"            about {duration(chosen.seconds)} of {duration(max(1.0, self.left))} that are left{left}")


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"
