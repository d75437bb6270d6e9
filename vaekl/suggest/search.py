"""A suggestion from its first look to its finalists: what is trained, in which order, within the budget."""

import time
from collections.abc import Sequence

import msgspec

from vaekl.store.suggest_schema import Cost, Look, Planned
from vaekl.suggest import halving
from vaekl.suggest.candidates import Candidate, candidates, finalists, squared_errors, without_constant
from vaekl.suggest.session import Session
from vaekl.suggest.tasks import LookAtData, perform
from vaekl.suggest.verdict import Result, Verdict, verdict
from vaekl.sweep.plan import duration
from vaekl.system.cores import has_gpu
from vaekl.system.errors import VaeklError

#: share of the time that is left which a rung may take
_MOST_OF_REST = 0.6
#: outputs for each value above which a candidate is tried last, and the share of the time that it may take then
_MANY_OUTPUTS, _MOST_OF_A_TRY = 32, 0.1
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
        for name, why in look.unfit.items():
            self.say(f"no fit      {why.partition(', but dataset=')[0].removeprefix('likelihood=') or name}")
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
            some = [one for one in todo[start : start + 2 * self.jobs] if not self._too_dear(one, look)]
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

    def _too_dear(self, one: Candidate, look: Look) -> bool:
        """Whether a candidate that was not tried would take much of the time, by how many outputs it has."""
        costs, many = list(self.state.costs.values()), look.outputs.get(one.likelihood, 1)
        if many <= _MANY_OUTPUTS or not costs:
            return False
        cheapest = min(costs, key=lambda cost: cost.step)
        if cheapest.every * cheapest.step * many <= _MOST_OF_A_TRY * self.left * self.jobs:
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
            entrants, at = halving.survivors(ranked, rung.kept), rung.step
            best = entrants[0]
            self.say(f"step {rung.step:>6}  {len(ranked)} judged, {len(entrants)} go on; best {best.label}")
            self.say(f"             {self.in_words(look, ranked[best])} on the validation {look.example}s")
        used = max((p.active_units for p in self.points(entrants[0], 0).values() if p.step == at), default=0)
        aim, free = self.options.aim, self.options.latents is None
        last = finalists(entrants, used, chosen.finalists, aim, look, free)
        costs = {one: tried.get(one) or tried[self._like(one, entrants)] for one in last}
        usual = (without_constant(look, entrants[0].latents), squared_errors(look, entrants[0].latents))
        beside = [one for one in usual if one is not None and one not in last] if aim == "density" else []
        return self._finals(look, last, costs, beside, chosen, at)

    def _planned(self, tried: dict[Candidate, Cost]) -> Planned:
        """The plan: that of an earlier session with this budget, else a new one."""
        chosen = self.state.plan
        if chosen is None or chosen.budget != self.options.budget:
            first = {one: point.nats for one in tried if (point := self.points(one, 0).get(tried[one].every))}
            ranked = halving.survivors(first, len(first))
            costs = {one.label: tried[one] for one in self._affordable(ranked, tried)}
            if not costs:
                raise VaeklError(f"budget={self.options.budget:g}s is too little to train anything: give more.")
            chosen = halving.plan(costs, max(self.left, 0.0), self.jobs, self.options.seeds)
            chosen.budget = self.options.budget
            self.state.plan = chosen
            self.keep()
        self._say_plan(chosen, len(tried))
        return chosen

    def _finals(
        self,
        look: Look,
        last: Sequence[Candidate],
        costs: dict[Candidate, Cost],
        beside: Sequence[Candidate],
        chosen: Planned,
        at: int,
    ) -> tuple[Look, Verdict, dict[Candidate, Result]]:
        if self.left <= 0 and chosen.final_step_taken is None:
            beside = []
        costs = dict.fromkeys(beside, halving.mean_cost(list(costs.values()))) | costs
        last, seeds, step = self._final_step(last, costs, beside, chosen, at)
        chosen.seeds, chosen.finalists, chosen.final_step_taken = seeds, len(last), step
        runs = self._runs(last, seeds, beside)
        self.keep()
        self.say(f"finalists    {len(last)}, with {_seeds(seeds)}, to step {step:,}")
        reached = self.train(runs, step, costs)
        if len(reached) < len(runs):  # the time was over: the last step that all have reached
            curves = [self.points(*run) for run in runs[: len(last) * seeds]]
            if common := set(curves[0]).intersection(*curves[1:]):
                step = max(common)
                reached = {run: here[step] for run in runs if step in (here := self.points(*run))}
        results = []
        for one in last:
            ended = [reached[run] for run in runs if run[0] == one and run in reached]
            if ended:
                results.append(Result(one, tuple(ended)))
        if not results:
            raise VaeklError("no finalist was trained to its end: give a larger budget, and the same command goes on.")
        compared = [result for result in results if len(result.points) == max(len(r.points) for r in results)]
        usual = {one: Result(one, (reached[(one, 0)],)) for one in beside if (one, 0) in reached}
        return look, verdict(compared, density=self.options.aim == "density"), usual

    def _final_step(
        self,
        last: Sequence[Candidate],
        costs: dict[Candidate, Cost],
        beside: Sequence[Candidate],
        chosen: Planned,
        at: int,
    ) -> tuple[Sequence[Candidate], int, int]:
        """How many finalists and seeds there is time for, and to which step: farther than they are, if possible."""
        if chosen.final_step_taken is not None:
            return last[: chosen.finalists], chosen.seeds, chosen.final_step_taken
        every = costs[last[0]].every
        step = 0
        for count, seeds in ((len(last), chosen.seeds), (len(last), min(2, chosen.seeds)), (2, min(2, chosen.seeds))):
            runs = self._runs(last[:count], seeds, beside)
            before = [(costs[one], self.step_of(one, seed)) for one, seed in runs]
            step = halving.furthest(self.slower(before), max(self.left, 0.0), self.jobs)
            if step >= max(at, every):
                return last[:count], seeds, step
        return last[:2], 1, max(step, at, every)

    def _runs(self, last: Sequence[Candidate], seeds: int, beside: Sequence[Candidate]) -> list[tuple[Candidate, int]]:
        return [*((one, seed) for seed in range(seeds) for one in last), *((one, 0) for one in beside)]

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
        stages = [f"{rung.entrants} to step {rung.step:,}" for rung in chosen.rungs]
        stages.append(f"{chosen.finalists} with {_seeds(chosen.seeds)} to about step {chosen.final_step:,}")
        self.say(f"plan        {', '.join(stages)}; {self.jobs} at a time")
        left = f", {tried - len(chosen.candidates)} candidates left out" if len(chosen.candidates) < tried else ""
        self.say(f"            about {duration(chosen.seconds)} of {duration(max(1.0, self.left))} that are left{left}")


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"
