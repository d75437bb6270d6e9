"""The table of suggest.md: `python docs/make_suggest_table.py OUT [NAME=WORDS ...]`, with WORDS of `vaekl train`.

Of each data set every candidate is trained to its full length and judged on test examples. Beside it what
`vaekl suggest` names in a fifth of the time that this took, and what people do instead. All times are those of the
processor, of one process with one thread, so that the table does not depend on what else the machine does. Typed again
it goes on where it was stopped.
"""

import io
import json
import sys
import time
from math import log, prod
from pathlib import Path

import numpy as np
import torch

from vaekl.config.job import single
from vaekl.run.advance import advance
from vaekl.run.config import RunConfig
from vaekl.suggest import halving, judge, search, session, tasks
from vaekl.suggest.build import suggest
from vaekl.suggest.candidates import Candidate, candidates
from vaekl.suggest.judge import Judge, bound
from vaekl.suggest.look import look
from vaekl.suggest.options import parse
from vaekl.system.console import Console
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import setting

_EXAMPLES = 1000
#: of the time of the exhaustive sweep that a suggestion gets
SHARE = 0.2


class Processor:
    """A clock that stands still while other programs have the processor."""

    time_ns = staticmethod(time.time_ns)
    time = perf_counter = staticmethod(time.process_time)


class Curve(Judge):
    """Judges a run on validation examples at the steps at which a suggestion may, and says how long that took."""

    def __init__(self, path: Path, trainer) -> None:
        steps = [*halving.grid(trainer.plan.log_every, trainer.plan.total_steps), trainer.plan.total_steps]
        super().__init__(path, steps, "density", _EXAMPLES, float("inf"), lambda: None)
        self.seconds = 0.0

    def logged(self, trainer, figures: dict[str, float]) -> None:
        begun = time.process_time()
        super().logged(trainer, figures)
        self.seconds += time.process_time() - begun


def judged(words: list[str], path: Path) -> dict:
    """A run trained to its end: what its test examples say, and how long it took."""
    file = path / "full.json"
    if not file.exists():
        begun = time.process_time()
        job = single([*words, setting("hydra.run.dir", path)])
        source = tasks.source_of(RunConfig.of(job.content).data)
        trainer = advance(job, lambda trainer: [Curve(path, trainer)], Console(io.StringIO()), source)
        seconds = time.process_time() - begun - trainer.callbacks[0].seconds
        scores = bound(trainer.judged.eval(), trainer.data.test.first(_EXAMPLES))
        content = {"scores": scores.tolist(), "seconds": seconds}
        if not np.isfinite(content["scores"]).all():
            raise VaeklError("its bound is not finite")
        file.write_text(json.dumps(content))
    return json.loads(file.read_text())


def habits(seen, z: int) -> dict[str, Candidate]:
    """What people do, as candidates."""
    values = prod(seen.shape)
    if "gaussian" not in seen.fitting:
        return {}
    plain = seen.fitting["gaussian"][0]

    def fixed(beta: float) -> Candidate:
        return Candidate((*plain, "weighting=fixed_beta", f"weighting.beta={beta:.8g}"), z)

    found = {"β = 1, MSE-sum": fixed(0.5), "0.00025, MSE-mean": fixed(0.00025 * values / 2)}
    return found | ({"BCE on grey": Candidate(tuple(seen.reference), z)} if seen.reference else {})


def row(out: Path, name: str, words: list[str]) -> str:
    """The line of one data set."""
    z = [word for word in words if word.startswith("model.latents=")]
    latents = int(z[0].partition("=")[2]) if z else None
    rest = [word for word in words if word not in z]
    seen = look(rest, [], latents)
    full, seconds = {}, 0.0
    for one in candidates(seen, latents):
        if one.likelihood in ("categorical",) and prod(seen.shape) > 300:
            continue  # as `suggest`, which finds that a step of it takes many times as long
        try:
            run = [*rest, *seen.held, *one.words, f"model.latents={one.latents}"]
            answer = judged(run, out / name / "full" / one.folder(0))
        except VaeklError as error:
            print(f"  {name}: {one.label}: {error}", flush=True)
            continue
        full[one.label] = np.array(answer["scores"])
        seconds += answer["seconds"]
    best = max(full, key=lambda label: full[label].mean())
    file = out / name / "suggested.json"
    if not file.exists():
        for module in (search, session, tasks, judge):
            module.time = Processor
        begun = time.process_time()
        budget = max(seconds * SHARE, 5.0)
        typed = [*words, f"budget={budget:.0f}s", "jobs=1", "seeds=2", f"output_dir={out / name}"]
        try:
            made = suggest(parse(typed), Console(io.StringIO()))
            named = [" ".join([*each.words, f"model.latents={each.latents}"]) for each in made.finalists]
            content = {"named": named, "is_certain": made.is_certain, "sentence": made.sentence}
        except VaeklError as error:
            content = {"named": [], "is_certain": False, "sentence": str(error)}
        file.write_text(json.dumps(content | {"seconds": time.process_time() - begun, "budget": budget}))
    answer = json.loads(file.read_text())
    unit = -1 / (prod(seen.shape) * log(2)) if seen.ruler else 1.0
    cells = [name, f"{len(full)}", f"{best.rpartition(' model')[0]}", f"{full[best].mean() * unit:.4g}"]
    if answer["named"]:
        chosen = answer["named"][0]
        gap = full[best] - full[chosen]
        error = gap.std(ddof=1) / len(gap) ** 0.5
        cells += [chosen.rpartition(" model")[0], f"{gap.mean() * abs(unit):.2g} ± {error * abs(unit):.1g}"]
        cells.append(f"{100 * gap.mean() / abs(full[best].mean()):.2g} %")
    else:
        cells += [answer["sentence"], "–", "–"]
    cells += [f"{answer['seconds']:.0f} of {seconds:.0f} s"]
    people = habits(seen, candidates(seen, latents)[0].latents)
    for title in ("β = 1, MSE-sum", "0.00025, MSE-mean", "BCE on grey"):
        if title in people:
            run = [*rest, *seen.held, *people[title].words, f"model.latents={people[title].latents}"]
            scores = np.array(judged(run, out / name / "full" / people[title].folder(0))["scores"])
            cells.append(f"{(full[best] - scores).mean() * abs(unit):.3g}")
        else:
            cells.append("–")
    return "| " + " | ".join(cells) + " |"


def main(out: Path, sets: list[str]) -> None:
    torch.set_num_threads(1)
    heads = (
        "data", "candidates", "best of all", "its figure", "suggested", "regret", "of it", "time", "β = 1, MSE-sum",
        "0.00025, MSE-mean", "BCE on grey",
    )  # fmt: skip
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|", flush=True)
    for one in sets:
        name, _, words = one.partition("=")
        print(row(out.absolute(), name, words.split()), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
