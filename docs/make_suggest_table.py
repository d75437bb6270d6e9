"""The table of suggest.md: `python docs/make_suggest_table.py OUT [NAME=WORDS ...]`, with WORDS of `vaekl train`.

Of each data set every candidate is trained to its full length and judged on test examples; with three seeds where an
example has at most 64 values, so that a run takes seconds. Beside it what `vaekl suggest` names in a tenth of the time
that this took, and what people do instead. Without words it takes the data sets of `SETS`. All times are those of the
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
from vaekl.run import build_data
from vaekl.run.advance import advance
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
#: of the time of the exhaustive sweep that a suggestion gets, and the least, seconds
SHARE, _LEAST = 0.1, 2.0
#: values of an example up to which the sweep has several seeds, and how many
_FEW, _SEEDS = 64, 3
#: with more outputs for each of more values than these, a candidate is left out
_MANY_OUTPUTS, _MANY_VALUES = 32, 300
#: within this share of the best a suggestion is as good
_AS_GOOD = 0.01
_RUN = "model.hidden=[64] trainer.log_every=50 trainer.valid_every=1000000"
#: data sets of the table that come with scikit-learn or are downloaded; the others are typed as NAME=WORDS
SETS = {
    "wine": f"dataset=wine model.latents=6 trainer.steps=800 {_RUN}",
    "diabetes": f"dataset=diabetes model.latents=5 trainer.steps=800 {_RUN}",
    "digits_counts": f"dataset=digits_counts model.latents=16 trainer.steps=1000 {_RUN}",
    "digits": f"dataset=digits model.latents=16 trainer.steps=1000 {_RUN.replace('64', '128,128')}",
    "binarized_mnist": f"dataset=binarized_mnist model.latents=16 trainer.steps=4000 {_RUN}",
    "mnist": f"dataset=mnist model.latents=16 trainer.steps=3000 {_RUN}",
    "fashion": f"dataset=fashion_mnist model.latents=16 trainer.steps=3000 {_RUN}",
    "patches": f"dataset=patches model.latents=16 trainer.steps=1000 {_RUN}",
}


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
        trainer = advance(job, lambda trainer: [Curve(path, trainer)], Console(io.StringIO()))
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

    usual = {"β = 1, MSE-sum": fixed(0.5), "0.00025, MSE-mean": fixed(0.00025 * values / 2)}
    return usual | ({"BCE on grey": Candidate(tuple(seen.reference), z)} if seen.reference else {})


def swept(out: Path, words: list[str], one: Candidate, seeds: int) -> tuple[np.ndarray, float]:
    """A candidate in full: the scores of each seed's test examples, [seeds, examples], and the seconds."""
    runs = [judged([*words, *one.words_of_run(seed)], out / one.folder(seed)) for seed in range(seeds)]
    return np.array([run["scores"] for run in runs]), sum(run["seconds"] for run in runs)


def error_of(best: np.ndarray, other: np.ndarray) -> float:
    """The standard error of a difference: that of the test examples, paired, and that of the seeds."""
    gaps = (best - other).mean(0)
    variance = gaps.var(ddof=1) / len(gaps)
    if len(best) > 1:
        variance += sum(scores.mean(1).var(ddof=1) / len(scores) for scores in (best, other))
    return float(variance**0.5)


def suggested(out: Path, words: list[str], budget: float) -> dict:
    """What a suggestion names, and how long it took."""
    file = out / "suggested.json"
    if not file.exists():
        for module in (search, session, tasks, judge):
            module.time = Processor
        begun = time.process_time()
        typed = [*words, f"budget={budget:.1f}s", "jobs=1", f"output_dir={out}"]
        try:
            made = suggest(parse(typed), Console(io.StringIO()))
            named = [" ".join([*each.words, f"model.latents={each.latents}"]) for each in made.finalists]
            content = {"named": named, "is_certain": made.is_certain, "sentence": made.sentence}
        except VaeklError as error:
            content = {"named": [], "is_certain": False, "sentence": str(error)}
        file.write_text(json.dumps(content | {"seconds": time.process_time() - begun, "budget": budget}))
    return json.loads(file.read_text())


def row(out: Path, name: str, words: list[str]) -> tuple[str, bool]:
    """The line of one data set, and whether the suggestion is as good as the best."""
    z = [word for word in words if word.startswith("model.latents=")]
    latents = int(z[0].partition("=")[2]) if z else None
    rest = [word for word in words if word not in z]
    seen = look(rest, [], latents)
    seeds = _SEEDS if prod(seen.shape) <= _FEW else 1
    full, seconds = {}, 0.0
    for one in candidates(seen, latents):
        if seen.outputs[one.likelihood] > _MANY_OUTPUTS and prod(seen.shape) > _MANY_VALUES:
            continue  # as `suggest`, which finds that a step of it takes many times as long
        try:
            full[one.label], spent = swept(out / "full", [*rest, *seen.held], one, seeds)
            seconds += spent
        except VaeklError as error:
            print(f"  {name}: {one.label}: {error}", flush=True)
    best = max(full, key=lambda label: full[label].mean())
    answer = suggested(out, words, max(seconds * SHARE, _LEAST))
    unit = -1 / (prod(seen.shape) * log(2)) if seen.ruler else 1.0
    cells = [name, f"{len(full)} × {seeds}", f"{best.rpartition(' model')[0]}", f"{full[best].mean() * unit:.4g}"]
    is_good = False
    if answer["named"]:
        chosen = answer["named"][0]
        gap = (full[best] - full[chosen]).mean()
        error = error_of(full[best], full[chosen]) if chosen != best else 0.0
        share = gap / abs(full[best].mean())
        is_good = bool(share <= _AS_GOOD or gap <= error)
        cells += [chosen.rpartition(" model")[0], f"{gap * abs(unit):.2g} ± {error * abs(unit):.1g}"]
        cells.append(f"{100 * share:.2g} %")
    else:
        cells += [answer["sentence"], "–", "–"]
    cells += ["yes" if is_good else "no", f"{answer['seconds']:.1f} of {seconds:.0f} s"]
    people = habits(seen, candidates(seen, latents)[0].latents)
    for title in ("β = 1, MSE-sum", "0.00025, MSE-mean", "BCE on grey"):
        if title in people:
            scores = swept(out / "full", [*rest, *seen.held], people[title], seeds)[0]
            cells.append(f"{(full[best] - scores).mean() * abs(unit):.3g}")
        else:
            cells.append("–")
    return "| " + " | ".join(cells) + " |", is_good


def main(out: Path, sets: dict[str, str]) -> None:
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # what it imports is no part of a sweep or a suggestion
    heads = (
        "data", "candidates", "best of all", "its figure", "suggested", "regret", "of it", "as good", "time",
        "β = 1, MSE-sum", "0.00025, MSE-mean", "BCE on grey",
    )  # fmt: skip
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|", flush=True)
    good = 0
    for name, words in sets.items():
        with build_data.shared():
            line, is_good = row(out.absolute() / name, name, words.split())
        print(line, flush=True)
        good += is_good
    print(f"\nas good as the best, within {_AS_GOOD:.0%} or a standard error: {good} of {len(sets)}")


if __name__ == "__main__":
    typed = dict(one.split("=", 1) for one in sys.argv[2:])
    main(Path(sys.argv[1]), typed or SETS)
