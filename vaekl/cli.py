"""The verbs. Nothing heavy is imported before a verb needs it, so that help is instant."""

import contextlib
import gc
import itertools
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

from vaekl.config import groups
from vaekl.system import distributed, terminal
from vaekl.system.errors import FullMemoryError, StoppedError, VaeklError, did_you_mean, sentence
from vaekl.verbs import help

#: of the length of a run
_MOST_DIGITS = 18


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code: 0, 1 for a mistake or failure, 130 for a run that was stopped."""
    terminal.prepare()
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
        with open(os.devnull, "w", encoding="utf-8", errors="replace") as nowhere, contextlib.redirect_stdout(nowhere):
            return _dispatch(words)
    except terminal.LostOutputError as error:
        terminal.silence(sys.stdout)
        if not error.is_quiet:
            _say(str(error), rank)
        return 1
    except StoppedError as error:
        _say(str(error), rank)
        return 130
    except KeyboardInterrupt:
        _say("interrupted.", rank)
        return 130
    except Exception as error:
        if debug:
            raise
        # a mistake in the words meets all of several processes, and the first says so; other errors may meet one alone
        alone = isinstance(error, FullMemoryError) or not isinstance(error, VaeklError)
        _say(sentence(error), 0 if alone else rank)
        return 1


def _say(text: str, rank: int) -> None:
    if rank == 0:
        terminal.complain(f"vaekl: {text}")


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        return _print(help.PROGRAM)
    if words[0] == "--version":
        from vaekl import __version__

        return _print(f"vaekl {__version__}\n")
    verb, rest = words[0], words[1:]
    if verb not in _VERBS:
        hint = did_you_mean(verb, [*_VERBS, "--help", "--version", "--debug"])
        raise VaeklError(f"there is no verb {verb!r}{hint}: the verbs are {', '.join(_VERBS)}.")
    if distributed.launched()[1] > 1:
        if verb not in ("train", "resume"):
            raise VaeklError(f"{verb} is the work of one process: type `vaekl {verb} ...` without torchrun.")
        if any(word in ("-m", "--multirun") or word.startswith("sweep=") for word in rest):
            raise VaeklError("a sweep starts its runs itself: type `vaekl train -m ...` without torchrun.")
    return _VERBS[verb](rest)


def _train(words: list[str]) -> int:
    directories = _own_configs(words)
    if _asks_for_help(words):
        return _print(help.of_train(words, directories))
    prepare_process()
    from vaekl.sweep import launch

    launch.train(words, _report_of_sweep)
    return 0


def _report_of_sweep(sweep: Path, trusted: Sequence[str]) -> None:
    from vaekl.config import trust, verb_options

    import_module("vaekl.verbs.report").main(verb_options.parse("report", trust.vouch([*trusted, str(sweep)])))


def _own_configs(words: list[str]) -> list[Path]:
    """The user's own config folders, which hold nothing that would be waited for."""
    pairs = itertools.pairwise(part for word in words for part in word.split("=", 1))
    directories = [Path(folder) for flag, folder in pairs if flag in ("--config-dir", "-cd")]
    for directory in directories:
        groups.check_files(directory)
    return directories


def _resume(words: list[str]) -> int:
    if _asks_for_help(words):
        return _print(help.RESUME)
    lengths = [word for word in words if word.partition("=")[0] in ("trainer.steps", "trainer.epochs")]
    trackers = [word for word in words if word.startswith(("tracker=", "tracker."))]
    mine = [*lengths, *trackers]
    if others := [word for word in words if "=" in word and word not in mine and not Path(word).exists()]:
        key = others[0].partition("=")[0]
        hint = did_you_mean(key.rpartition(".")[2], ("steps", "epochs")).replace("mean ", "mean trainer.")
        raise VaeklError(
            f"resume cannot change {key}{hint}, only trainer.steps or trainer.epochs: with another "
            f"setting it would be another run, which `vaekl train ... {terminal.command(others[0])}` begins, and with "
            "init=RUN from the weights of this one."
        )
    words = [word for word in words if word not in mine]
    if "--again" in words:
        raise VaeklError(_training_again([word for word in words if word != "--again"]))
    if flags := [word for word in words if word.startswith("-")]:
        raise VaeklError(f"unknown option {flags[0]} (did you mean --help?): see `vaekl resume --help`.")
    if len(words) != 1 or not words[0]:
        raise VaeklError("resume takes one run folder: `vaekl resume outputs/<run>`.")
    for word in lengths:
        key, _, length = word.partition("=")
        if not length.isdecimal() or len(length) > _MOST_DIGITS:
            raise VaeklError(f"cannot read {word[:40]!r}: a run's length is a whole number, as in {key}=1000.")
    if len(lengths) > 1:
        raise VaeklError(f"{' and '.join(lengths)} both say how long the run is to be: give one of them.")
    from vaekl.store import RunFolder, sweep_folder

    path = Path(words[0])
    if sweep_folder.is_planned(path):
        raise VaeklError(
            f"{terminal.printable(str(path))} is a sweep, and resume takes one run: the sweep's own `vaekl train -m` "
            "command, typed again, goes on with all of its runs that are not finished."
        )
    RunFolder(path).config()  # where there is no run, that is said before torch is imported
    from vaekl.config.typed_tracker import typed_tracker

    tracker = typed_tracker(trackers, path)
    prepare_process()
    from vaekl.run import start

    key, _, value = lengths[0].partition("=") if lengths else ("", "", "")
    start.resume(path, (key, int(value)) if key else None, tracker)
    return 0


def _training_again(runs: list[str]) -> str:
    """What to type in the place of `resume RUN --again`."""
    cure = "`vaekl train ... --again`, with the words of its command and hydra.run.dir=RUN, trains"
    if len(runs) == 1:
        from vaekl.config.command import train_command
        from vaekl.store import RunFolder

        place = terminal.command(terminal.setting("hydra.run.dir", runs[0]), "--again")
        train = train_command(RunFolder(Path(runs[0])).config())
        cure = (
            f"`{train} {place}` trains"
            if train
            else f"`vaekl train ... {place}`, with the words of its command, trains"
        )
    return f"resume goes on with a run where it was left: {cure} it once more, from its first step."


def _with_flag(verb: str, name: str, words: list[str]) -> int:
    # `--format npz` is what other programs have taught the fingers
    rest, unread = [], iter(words)
    for word in unread:
        flag, equals, value = word.partition("=")
        if flag == f"--{name}" and not (value := value if equals else next(unread, "")):
            raise VaeklError(f"--{name} needs a value: see `vaekl {verb} --help`.")
        rest.append(f"{verb}.{name}={value}" if flag == f"--{name}" else word)
    return _look_at_runs(verb, rest)


def _diagnose(words: list[str]) -> int:
    return _look_at_runs("diagnose", ["diagnose.json=true" if word == "--json" else word for word in words])


def _look_at_runs(verb: str, words: list[str]) -> int:
    """A verb that takes runs, and keys of conf/VERB.yaml."""
    if _asks_for_help(words):
        return _print(help.of_verb(verb))
    from vaekl.config.verb_options import parse

    options = parse(verb, words)
    _check_there(options.runs[:1] if verb in ("encode", "score") else options.runs)  # these take a run and a file
    prepare_process()
    code: int = import_module(f"vaekl.verbs.{verb}").main(options)
    return code


def _check_there(runs: Sequence[Path]) -> None:
    """Refuse runs that are not there, before torch is imported; FILE.py:NAME is a model in a file."""
    from vaekl.config.own_file import file_and_name
    from vaekl.store import find_runs

    for path in runs:
        if not path.exists() and file_and_name(str(path)) is None:
            find_runs(path)


def _audit(words: list[str]) -> int:
    _own_configs(words)
    prepare_process()
    from vaekl.verbs import audit

    return audit.main(words)


def _suggest(words: list[str]) -> int:
    _own_configs(words)
    if _asks_for_help(words):
        return _print(help.of_suggest())
    prepare_process()
    from vaekl import suggest

    return suggest.main(words)


_VERBS: dict[str, Callable[[list[str]], int]] = {
    "train": _train,
    "resume": _resume,
    "eval": partial(_look_at_runs, "eval"),
    "sample": partial(_with_flag, "sample", "format"),
    "encode": partial(_with_flag, "encode", "format"),
    "score": partial(_with_flag, "score", "format"),
    "export": partial(_with_flag, "export", "to"),
    "audit": _audit,
    "diagnose": _diagnose,
    "report": partial(_look_at_runs, "report"),
    "suggest": _suggest,
}


def _asks_for_help(words: list[str]) -> bool:
    return "-h" in words or "--help" in words


def _print(text: str) -> int:
    terminal.show(text, end="")
    return 0


def prepare_process() -> None:
    """Set what must be set before torch is imported."""
    from vaekl.system import cores  # noqa: F401  (from here on it knows the load that others make)

    # a full collection of garbage looks at the 240,000 objects of the imported modules, four times while they are made
    gc.set_threshold(10_000, *gc.get_threshold()[1:])

    # where no processes can be started, vaekl says so itself
    warnings.filterwarnings("ignore", message=".*joblib will operate in serial mode|joblib backend .* not available")

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
