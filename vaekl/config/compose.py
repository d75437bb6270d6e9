"""Words -> a config, and a task for it. Does not import torch: mistakes are answered at once."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from vaekl.config import overrides as words_of
from vaekl.config.groups import CONF
from vaekl.store import RunFolder, fingerprint
from vaekl.system.errors import VaeklError
from vaekl.system.files import unwritable

Task = Callable[[DictConfig, Path], float | None]

_LONGEST_NAME = 120


def _folder_name(text: str) -> str:
    """An override list as the name of one folder on any file system, with numbers that can be read."""
    text = re.sub(r"(?<=[=,])-?\d+\.\d{6,}(e-?\d+)?(?=,|$)", lambda number: f"{float(number[0]):.4g}", text)
    text = re.sub(r"[\[\]{}'\" ]", "", text)
    # a leading dot would hide it
    return "".join(c if c.isalnum() or c in "=,.-_+" else "-" for c in text).lstrip(".")[:_LONGEST_NAME]


def _fingerprint(*, _root_: DictConfig) -> str:
    """The name that belongs to the config, without Hydra's own part, whose paths contain this name."""
    return fingerprint(plain(OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])))


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The resolved config with paths of data made absolute: a run is resumed and measured from other folders too."""
    content: Any = OmegaConf.to_container(cfg, resolve=True)
    data = content.get("dataset")
    if isinstance(data, dict) and isinstance(data.get("path"), str):
        data["path"] = str(Path(data["path"]).expanduser().absolute())
    found: dict[str, Any] = content
    return found


OmegaConf.register_new_resolver("folder_name", _folder_name, replace=True)
OmegaConf.register_new_resolver("fingerprint", _fingerprint, replace=True)


def run_with_hydra(task: Task, arguments: Sequence[str]) -> None:
    """Compose conf/train.yaml with the words and call the task with the config, and the folder that is the run's.

    Raises:
        VaeklError: one sentence for any mistake in the words, or the task's own.
    """
    words_of.check(arguments)
    failures: list[Exception] = []

    def job(cfg: DictConfig) -> float | None:
        try:
            return task(with_choices(cfg), output_dir())
        except Exception as error:  # Hydra would print it in a way of its own
            failures.append(error)
            return None

    Footprints.made, Footprints.of_hydra = [], []
    try:
        call_hydra(job, arguments if words_of.shows(arguments) else [*arguments, _FOOTPRINTS])
        if failures:
            raise failures[0]
    except Exception as error:
        if Footprints.made and not RunFolder(Footprints.made[0]).holds_run():
            _take_away(Footprints.of_hydra, Footprints.made)
        if isinstance(error, OmegaConfBaseException):  # of a value that is looked up when the task asks for it
            raise VaeklError(words_of.sentence(error, arguments, words_of.config_dirs(arguments))) from error
        if failures or isinstance(error, VaeklError):
            raise
        if isinstance(error, OSError):
            raise VaeklError(unwritable(Path(error.filename or "of this run"), "run folder", error)) from error
        # whatever else fails before the task begins is Hydra at a loss
        raise VaeklError(words_of.sentence(error, arguments, words_of.config_dirs(arguments))) from error


class Footprints(Callback):
    """Notes which folders Hydra will make for a run, so that one which is refused leaves none of them."""

    made: ClassVar[list[Path]] = []
    #: what Hydra itself writes there, where it is asked to
    of_hydra: ClassVar[list[Path]] = []

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)  # as Hydra does next; the folder's name is made of it
        with suppress(Exception):  # what is wrong with it, Hydra will say
            place = Path(str(OmegaConf.select(config, "hydra.run.dir"))).absolute()
            Footprints.made = [path for path in (place, *place.parents) if not path.exists()]
            own = [place / f"{config.hydra.job.name}.log", place / str(config.hydra.output_subdir)]
            # inside the folder and nowhere else: they may be taken away
            Footprints.of_hydra = own if all(Path(os.path.normpath(path)).parent == place for path in own) else []


class Forgetful(Callback):
    """Hydra keeps the configs of all jobs of a sweep until its end, some 0.4 MB each."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        job_return.cfg = job_return.hydra_cfg = None


_FOOTPRINTS = f"++hydra.callbacks.footprints._target_={__name__}.Footprints"
FORGETFUL = f"++hydra.callbacks.forgetful._target_={__name__}.Forgetful"


def _take_away(files: Sequence[Path], folders: Sequence[Path]) -> None:
    """Remove what Hydra wrote, then what is empty of a folder and its parents, from the innermost outwards."""
    with suppress(OSError):  # one that holds something stays
        if files and folders[0] == files[1].parent:  # it was not there before
            files[0].unlink(missing_ok=True)
            shutil.rmtree(files[1], ignore_errors=True)
        for path in folders:
            if path.exists():
                path.rmdir()


def call_hydra(job: Callable[[DictConfig], float | None], arguments: Sequence[str]) -> None:
    """Let Hydra make the config, or those of a sweep, and call the job with each.

    Raises:
        VaeklError: one sentence for what Hydra finds wrong with the words.
    """

    def main(cfg: DictConfig) -> float | None:
        return job(cfg)

    try:
        with _as_hydra_expects(arguments):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(main)()
    except (HydraException, OmegaConfBaseException) as error:
        typed = [word for word in arguments if word not in (_FOOTPRINTS, FORGETFUL)]
        raise VaeklError(words_of.sentence(error, typed, words_of.config_dirs(typed))) from error


def output_dir() -> Path:
    """The folder of the run whose config Hydra has just made."""
    return Path(HydraConfig.get().runtime.output_dir)


@contextmanager
def _as_hydra_expects(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads `sys.argv`, and prints tracebacks and exits by itself unless the environment tells it not to."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = ["vaekl", *words_of.flags_last(arguments)], "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def with_choices(cfg: DictConfig) -> DictConfig:
    """The resolved config, with the name that was chosen in each group under `choices`."""
    chosen = {group: name for group, name in HydraConfig.get().runtime.choices.items() if "hydra/" not in group}
    try:
        OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        with suppress(OSError):  # Hydra made the run's folder; one that holds something stays
            Path(HydraConfig.get().runtime.output_dir).rmdir()
        raise VaeklError(f"{error.full_key} must be given: add {error.full_key}=VALUE.") from error
    return OmegaConf.create({**plain(cfg), "choices": chosen})


def overrides() -> list[str]:
    """What the user typed for this job."""
    return list(HydraConfig.get().overrides.task)
