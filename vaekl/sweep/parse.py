"""What the words of a sweep mean: its runs, its folder, who launches them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.util import find_spec
from itertools import product
from pathlib import Path

from hydra.core.override_parser.types import Override

from vaekl.config import overrides
from vaekl.store import sweep_folder
from vaekl.store.sweep_schema import MOST_STACKED
from vaekl.sweep import swept
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import command, setting

_LONGEST_NAME = 60
_STACK, _REPORT = "sweep.stack=", "report="
#: how many runs share their steps unless the user says otherwise: each has a process of its own
OFF = "off"
#: the launcher where none is named
_USUAL = "joblib"
#: the extra that a launcher or sweeper is in, and the package that says whether it is installed
_EXTRAS = {
    "submitit_slurm": ("slurm", "hydra_plugins.hydra_submitit_launcher"),
    "submitit_local": ("slurm", "hydra_plugins.hydra_submitit_launcher"),
    "optuna": ("optuna", "hydra_plugins.hydra_optuna_sweeper"),
}
_ON_CLUSTER = 8  # trials that a search draws at a time where nobody knows how many can run
_TIMEOUTS = 100
_TRIALS = 20  # the default of Hydra's optuna sweeper


@dataclass(frozen=True)
class Sweep:
    """The words of a command that trains several runs.

    Args:
        words: all of them; the words in its file stand for `sweep=NAME`.
        overrides: those that are no flags, read.
        names: of the ready-made sweeps among them.
        stack: how many runs share a step: auto, off, or a number; empty where nothing was typed, which is auto.
        report: whether its end is a report.
    """

    words: list[str]
    overrides: list[Override]
    names: list[str]
    stack: str = ""
    report: bool = False

    @property
    def directories(self) -> list[Path]:
        """The user's own config folders."""
        return overrides.config_dirs(self.words)

    @property
    def swept(self) -> list[Override]:
        """The keys that have several values."""
        return [override for override in self.overrides if override.is_sweep_override()]

    @property
    def launcher(self) -> str | None:
        """Hydra's name of it, where the user gave one."""
        return self.value("hydra/launcher")

    @property
    def tunes_launcher(self) -> bool:
        """Whether there are keys of a launcher: where none is named, they are those of the usual one."""
        return any(str(override.key_or_group).startswith("hydra.launcher.") for override in self.overrides)

    @property
    def of_hydra(self) -> list[str]:
        """The words that say how the runs are launched."""
        words = [word for word in self.words if word.lstrip("+").startswith("hydra")]
        return [*([f"hydra/launcher={_USUAL}"] if self.tunes_launcher and self.launcher is None else []), *words]

    @property
    def may_stack(self) -> bool:
        """Whether runs may share their steps, as far as who launches and chooses them goes."""
        return self.launcher in (None, _USUAL) and not self.tunes_launcher and not self.searches

    @property
    def compiles(self) -> bool:
        """Whether some run may be compiled, which no stack is; a CUDA graph of a stack is another thing."""
        values = [o.value() for o in self.overrides if o.key_or_group == "trainer.compile"]
        return any(str(value).lower() not in ("false", "graph") for value in values)

    @property
    def threads(self) -> int | None:
        """The largest number that the words give to trainer.threads; None where they give none."""
        values = [
            value for o in self.overrides if o.key_or_group == "trainer.threads" for value in overrides.values(o, ())
        ]
        return max((int(value) for value in values if value.isdecimal()), default=None) or None

    @property
    def searches(self) -> bool:
        """Whether a sweeper chooses the values, so that nobody can list the runs beforehand."""
        return self.value("hydra/sweeper") not in (None, "basic")

    def value(self, key: str) -> str | None:
        """The last value that the words give to a key."""
        values = [str(override.value()) for override in self.overrides if override.key_or_group == key]
        return values[-1] if values else None

    def runs(self) -> list[list[str]]:
        """The overrides of each run; those of a search begin at the lower ends of their intervals."""
        alternatives = [
            [f"{override.get_key_element()}={value}" for value in overrides.values(override, self.directories)]
            for override in self.overrides
            if not str(override.key_or_group).startswith("hydra")
        ]
        return [list(run) for run in product(*alternatives)]

    def count(self) -> int:
        """How many runs there will be."""
        return int(self.value("hydra.sweeper.n_trials") or _TRIALS) if self.searches else len(self.runs())

    def folder(self) -> Path:
        """Where the runs will be unless the user says: the same words, in any order, find the same folder."""
        same = sorted(w for w in self.words if "=" in w and not w.startswith(("-", "hydra", "output_dir=")))
        digest = blake2b(repr(same).encode(), digest_size=4).hexdigest()
        keys = self.names or [str(override.key_or_group).split(".")[-1] for override in self.swept]
        return Path(self.value("output_dir") or "outputs") / f"sweep_{'-'.join(keys)[:_LONGEST_NAME]}_{digest}"

    def settings(self, folder: Path, at_once: int | None) -> list[str]:
        """What is added to the words: the folder, run names that say what differs.

        Args:
            folder: the sweep's.
            at_once: how many runs at a time on this machine; None where another program decides.
        """
        several = {override.key_or_group for override in self.swept}
        constant = sorted({str(override.key_or_group) for override in self.overrides} - {str(key) for key in several})
        added = {
            "hydra.job.config.override_dirname.exclude_keys": f"[{','.join(constant)}]",
        }
        if self.launcher is None:
            added["hydra/launcher"] = _USUAL
        if self.launcher == "submitit_slurm":
            # what was cut short goes on, so a job that ran out of time may come back
            added["hydra.launcher.max_num_timeout"] = str(_TIMEOUTS)
        if self.value("hydra/sweeper") == "optuna":
            # the same command must search in the same way, or it would find none of its runs finished
            added |= {
                "hydra.sweeper.n_jobs": str(sweep_folder.drawn_at_once(folder, lambda: at_once or _ON_CLUSTER)),
                "hydra.sweeper.direction": "maximize",
                "hydra.sweeper.max_failure_rate": "1",
                "hydra.sweeper.sampler.seed": "0",
            }
        # last, so that they replace the user's own words, in which interpolations may be unresolved
        last = setting("hydra.sweep.dir", folder)
        return [*(f"{key}={value}" for key, value in added.items() if self.value(key) is None), last]


def read(words: Sequence[str], names: list[str], stack: str = "", report: bool = False) -> Sweep:
    """What the words of a sweep mean; `names`, `stack` and `report` are those of `expanded`, `stacked`, `reported`.

    Raises:
        VaeklError: nothing is swept, or what they ask for is not installed.
    """
    sweep = Sweep(list(words), overrides.parsed(words), names, stack, report)
    for name in (sweep.launcher, sweep.value("hydra/sweeper")):
        extra, package = _EXTRAS.get(name or "", ("", ""))
        if extra and find_spec(package) is None:
            raise VaeklError(f'{name} is not installed: `pip install "vaekl[{extra}]"`.')
    if report and sweep.launcher == "submitit_slurm":
        folder = sweep.value("hydra.sweep.dir") or sweep.folder()
        raise VaeklError(
            f"report=true measures the runs where the command is typed, which on a cluster is the login node: leave it "
            f"away, and type `{command('vaekl', 'report', folder)}` in a job once the sweep has ended."
        )
    swept.check(sweep.overrides, sweep.directories, sweep.searches)
    trials = sweep.value("hydra.sweeper.n_trials")
    if sweep.searches and trials and trials.lstrip("-").isdecimal() and int(trials) < 1:
        raise VaeklError(f"hydra.sweeper.n_trials={trials} is no number of trials: give one from 1 on.")
    # it warns of every question that a cluster without accounting does not answer
    logging.getLogger("submitit").addFilter(lambda record: record.levelno >= logging.ERROR)
    if sweep.value("hydra/sweeper") == "optuna":
        import optuna

        logging.getLogger("hydra_plugins").addHandler(logging.NullHandler())  # the manifest knows more of a failure
        optuna.logging.set_verbosity(logging.WARNING)
    if (name := sweep.value("hydra.sweep.subdir")) and ("/" in name or name in (".", "..")):
        raise VaeklError("hydra.sweep.subdir is the name of a run's folder in the sweep's: give one without a slash.")
    if sweep.names and not sweep.swept:
        raise VaeklError(
            f"sweep={','.join(names)} has no key with several values: write them as in `seed: 0,1,2`, without brackets."
        )
    if not sweep.swept and not sweep.searches:
        raise VaeklError("-m needs a key with several values, as in `vaekl train -m seed=0,1,2`.")
    if sweep.searches and sweep.value("valid") == "0":
        raise VaeklError("a search goes by the validation ELBO, but valid=0 holds nothing out: set valid=0.1.")
    return sweep


def best(folder: Path) -> str | None:
    """The best values of a search in words, or None where there was none."""
    result = sweep_folder.search_result(folder)
    if result is None:
        return None
    values, elbo = result
    words = " ".join(
        f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )
    return f"{words}: validation ELBO {elbo:,.3f} nats"


def stacked(words: Sequence[str]) -> tuple[list[str], str]:
    """The words without `sweep.stack=`, which is no key of a run, and what it says: auto, off or a number, or "".

    Raises:
        VaeklError: it says something else.
    """
    sizes = [word.removeprefix(_STACK) for word in words if word.startswith(_STACK)]
    for word in sizes:
        if word not in ("auto", OFF) and not (word.isdecimal() and 1 <= int(word) <= MOST_STACKED):
            raise VaeklError(
                f"{_STACK}{word} is not auto, off or a number from 1 to {MOST_STACKED:,}: give one of them."
            )
    return [word for word in words if not word.startswith(_STACK)], sizes[-1] if sizes else ""


def reported(words: Sequence[str]) -> tuple[list[str], bool]:
    """The words without `report=`, which is no key of a run, and whether the end of the sweep is a report.

    Raises:
        VaeklError: it is neither true nor false.
    """
    wishes = [word.removeprefix(_REPORT) for word in words if word.startswith(_REPORT)]
    if strange := [wish for wish in wishes if wish not in ("true", "false")]:
        raise VaeklError(f"{_REPORT}{strange[0]} is neither true nor false: report=true makes a report of the sweep.")
    return [word for word in words if not word.startswith(_REPORT)], wishes[-1:] == ["true"]
