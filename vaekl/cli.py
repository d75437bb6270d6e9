"""The verbs. Nothing heavy is imported before a verb needs it, so that help is instant."""

import contextlib
import itertools
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from vaekl.system import distributed
from vaekl.system.errors import FullMemoryError, StoppedError, VaeklError, did_you_mean, sentence

if TYPE_CHECKING:
    from omegaconf import DictConfig

_HELP = """\
vaekl: train VAEs, and know what the weight of the KL term means

  vaekl train [key=value ...]    train, validate, test; TensorBoard log and results in outputs/
  vaekl train -m key=a,b ...     a sweep: every combination
  vaekl resume RUN               go on with a run that was stopped or killed
  vaekl eval RUN ...             measure runs by one ruler: bits/dim of the integers, IWAE bound, calibration
  vaekl sample RUN               pictures of the prior, reconstructions, traversals, interpolations
  vaekl report SWEEP ...         one HTML page: a table of groups, figures, pictures, what was run
  vaekl audit ...                what a loss such as MSE + 0.00025 KL assumes; what a data set lets survive
  vaekl VERB --help              what a verb takes
  vaekl --version

  --debug                        a full traceback instead of a sentence
  --trust package.module         resume, eval, sample, report: let a run folder call your own classes

Start with `vaekl train`: scikit-learn's digits, continuous Bernoulli, nothing to download.
"""

_TRAIN_HELP = """\
vaekl train [key=value ...]        one run
vaekl train -m key=a,b,c ...       a sweep: one run for every combination

Examples
  vaekl train
  vaekl train likelihood=cb dataset=cifar10
  vaekl train likelihood=gaussian weighting=learned_precision dataset=mnist model=conv
  vaekl train likelihood=gaussian weighting=fixed_beta weighting.beta=0.01
  vaekl train -m likelihood=cb,gaussian,beta seed=0,1,2
  vaekl train sweep=beta_curve dataset=mnist

Flags
  -m, --multirun        sweep over comma-separated values
  --config-dir DIR      add your own groups and options
  --cfg job             print the composed config and stop
  --debug               a full traceback instead of a sentence
"""

_RESUME_HELP = """\
vaekl resume RUN                            go on with the run in a folder, from its last checkpoint
vaekl resume RUN --trust package.module     the same for one with classes of your own

On the CPU, with as many threads, the final weights are bit-identical to those of a run that was never stopped.
"""

_EVAL_HELP = """\
vaekl eval RUN ... [eval.key=value ...]      measure finished runs; a folder of runs makes one table

Writes RUN/eval.json. RUN is a run folder, a checkpoint in one, or a sweep. dataset=, transform= and data_dir= look at
other data of the same shape.

Examples
  vaekl eval outputs/<run>
  vaekl eval outputs/<run> eval.k=1,50,5000 eval.features=classifier
  vaekl eval outputs/<sweep>

Keys
"""

_SAMPLE_HELP = """\
vaekl sample RUN [sample.key=value ...]      pictures of a trained model, in RUN/samples/

The mean of the decoder's density and a draw from it are different pictures: each is in a file of its own, and labelled.

Examples
  vaekl sample outputs/<run>
  vaekl sample outputs/<run> sample.what=prior sample.decoder=mean sample.count=100 sample.columns=10
  vaekl sample outputs/<run> --format npz

Keys
"""

_REPORT_HELP = """\
vaekl report SWEEP ... [report.key=value ...]      one page that needs no network, with its figures and tables

Writes report.html, report.md, runs.csv and figures/ into SWEEP/report. SWEEP is a folder of runs; one that is missing,
broken or not measured is listed or measured, never dropped.

Examples
  vaekl report outputs/<sweep>
  vaekl report outputs/<sweep> outputs/<other sweep> report.output=paper

Keys
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code: 0, 1 for a mistake or failure, 130 for a run that was asked to stop."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words or os.environ.get("HYDRA_FULL_ERROR") == "1"
    words = [word for word in words if word != "--debug"]
    rank, _ = distributed.launched()
    try:
        if any(word.startswith("--trust") for word in words):
            from vaekl.config import trust

            words = trust.vouch(words)
        if rank == 0:
            return _dispatch(words)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            return _dispatch(words)
    except StoppedError as error:
        _say(str(error), rank)
        return 130
    except KeyboardInterrupt:
        _say("interrupted.", rank)
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:
        if debug:
            raise
        # what a user can mend, the first of several processes says for all, unless another meets it alone
        alone = isinstance(error, FullMemoryError) or not isinstance(error, VaeklError)
        _say(sentence(error), 0 if alone else rank)
        return 1


def _say(text: str, rank: int) -> None:
    if rank == 0:
        print(f"vaekl: {text}", file=sys.stderr)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_HELP, end="")
        return 0
    if words[0] == "--version":
        from vaekl import __version__

        print(f"vaekl {__version__}")
        return 0
    verb, rest = words[0], words[1:]
    verbs = {"train": _train, "resume": _resume, "eval": _eval, "sample": _sample, "audit": _audit, "report": _report}
    if verb not in verbs:
        meant = did_you_mean(verb, [*verbs, "--help", "--version", "--debug"])
        raise VaeklError(f"there is no verb {verb!r}{meant}: the verbs are {', '.join(verbs)}.")
    if distributed.launched()[1] > 1:
        if verb not in ("train", "resume"):
            raise VaeklError(f"{verb} is the work of one process: type `vaekl {verb} ...` without torchrun.")
        if any(word in ("-m", "--multirun") or word.startswith("sweep=") for word in rest):
            raise VaeklError("a sweep starts its runs itself: type `vaekl train -m ...` without torchrun.")
    return verbs[verb](rest)


def _train(words: list[str]) -> int:
    if "-h" in words or "--help" in words:
        print(_TRAIN_HELP)
        pairs = itertools.pairwise(part for word in words for part in word.split("=", 1))
        print(_groups_help([Path(folder) for flag, folder in pairs if flag in ("--config-dir", "-cd")]), end="")
        return 0
    _prepare_process()
    from vaekl.sweep import launch

    launch.train(train_job, words, _load)
    return 0


def _load() -> None:
    from vaekl.run import start  # noqa: F401


def _prepare_process() -> None:
    """What must be set before torch is imported."""
    from vaekl.system import cores  # noqa: F401  (from here on it knows the load that others make)

    # Python processes that are started from here do not look for modules in this folder either: see `trust.import_own`
    os.environ.setdefault("PYTHONSAFEPATH", "1")

    # OpenMP's waiting threads spin for long, which is fatal on cores that others keep busy. To let them sleep at once
    # costs half the speed of idle ones; to spin a tenth as long costs neither: see docs/performance.md
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "30000")
        os.environ.setdefault("KMP_BLOCKTIME", "1")  # the same for the other OpenMP, in ms
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # as Ctrl-C, wherever it comes, so that nothing half-written stays
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def train_job(cfg: "DictConfig", path: Path) -> float | None:
    """One run of `vaekl train`; a launcher may call it in another process."""
    from vaekl.config import compose
    from vaekl.run import start
    from vaekl.system.workers import in_worker

    if in_worker():
        logs = path.parent / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{path.name}.log").open("a", encoding="utf-8") as log:
            return start.train(cfg, path, compose.overrides(), start.new_console(log))
    return start.train(cfg, path, compose.overrides())


def _resume(words: list[str]) -> int:
    if "-h" in words or "--help" in words:
        print(_RESUME_HELP, end="")
        return 0
    if settings := [word for word in words if "=" in word and not Path(word).exists()]:
        raise VaeklError(
            f"resume cannot change {settings[0].partition('=')[0]}: with another setting it would be another run, "
            f"which `vaekl train ... {settings[0]}` begins."
        )
    if len(words) != 1 or not words[0]:
        raise VaeklError("resume takes one run folder: `vaekl resume outputs/<run>`.")
    if words[0].startswith("-"):
        raise VaeklError(f"unknown option {words[0]} (did you mean --help?): see `vaekl resume --help`.")
    _prepare_process()
    from vaekl.run import start

    start.resume(Path(words[0]))
    return 0


def _eval(words: list[str]) -> int:
    return _with_options("eval", words, _EVAL_HELP, "vaekl.verbs.eval")


def _sample(words: list[str]) -> int:
    # `--format npz` is what other programs have taught the fingers
    words = re.sub(r"(^|\n)--format[\n=]", r"\1sample.format=", "\n".join(words)).split("\n") if words else []
    if words and words[-1] == "--format":
        raise VaeklError("--format needs a value: png or npz.")
    return _with_options("sample", words, _SAMPLE_HELP, "vaekl.verbs.sample")


def _report(words: list[str]) -> int:
    return _with_options("report", words, _REPORT_HELP, "vaekl.verbs.report")


def _with_options(verb: str, words: list[str], text: str, module: str) -> int:
    """A verb that takes runs and keys of conf/VERB.yaml."""
    if "-h" in words or "--help" in words:
        from vaekl.config.groups import settings

        print(text + settings(verb, f"{verb}."), end="")
        return 0
    from vaekl.config.verb_options import parse

    asked = parse(verb, words)
    _prepare_process()
    code: int = import_module(module).main(asked)
    return code


def _audit(words: list[str]) -> int:
    _prepare_process()
    from vaekl.verbs import audit

    return audit.main(words)


def _groups_help(more: list[Path]) -> str:
    from vaekl.config.groups import groups, options, settings

    lines = []
    for group in groups(more):
        lines.append(group)
        lines += [f"  {name:<22} {text}" for name, text in options(group, more).items()]
        lines.append("")
    lines.append("Any key of an option can be set, such as weighting.beta=0.01 or model.latents=8, and these:\n")
    return "\n".join(lines) + settings("train") + settings("trainer/default", "trainer.")
