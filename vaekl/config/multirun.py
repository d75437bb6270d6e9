"""What Hydra does itself: the runs of a sweep, one after the other or by a launcher, and showing a config."""

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vaekl.config import compose, mistakes
from vaekl.config.overrides import config_dirs, flag_values, for_hydra, parse, values
from vaekl.system import terminal
from vaekl.system.errors import VaeklError


class Forgetful(Callback):
    """Hydra keeps the configs of all jobs of a sweep until its end, some 0.4 MB each; none of them is needed again."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        job_return.cfg = job_return.hydra_cfg = None


_FORGETFUL = f"++hydra.callbacks.forgetful._target_={__name__}.Forgetful"


def multirun(task: Callable[[DictConfig], float | None], words: Sequence[str]) -> None:
    """Let Hydra make the config and the folder of every run of a sweep, and call the task with each config.

    Raises:
        VaeklError: one sentence for what Hydra finds wrong with the words.
    """
    directories = config_dirs(words)
    try:
        with compose.initialized() as hydra, _composed_once():
            cfg = _of_a_run(hydra, [*for_hydra(words, directories), "hydra.mode=MULTIRUN", _FORGETFUL], directories)
            callbacks = Callbacks(cfg)
            callbacks.on_multirun_start(config=cfg, config_name="train")
            context = HydraContext(config_loader=hydra.config_loader, callbacks=callbacks)
            sweeper = Plugins.instance().instantiate_sweeper(config=cfg, hydra_context=context, task_function=task)
            sweeper.sweep(arguments=list(cfg.hydra.overrides.task))
            callbacks.on_multirun_end(config=cfg, config_name="train")
    except (HydraException, OmegaConfBaseException) as error:
        raise VaeklError(mistakes.sentence(error, words, directories)) from error


def _of_a_run(hydra: Any, overrides: Sequence[str], directories: Sequence[Path]) -> DictConfig:
    """What Hydra launches a sweep with: the config of the first run, and the words of all.

    `Hydra.multirun` leaves the swept words out, and the options that are then chosen may lack keys which each run has.
    """
    parsed = [parse(word) for word in overrides]
    run = [
        f"{one.get_key_element()}={values(one, directories)[0]}" if one.is_sweep_override() else word
        for one, word in zip(parsed, overrides, strict=True)
    ]
    cfg: DictConfig = hydra.compose_config("train", run, RunMode.MULTIRUN, with_log_configuration=True)
    cfg.hydra.overrides.task = [one.input_line for one in parsed if not one.is_hydra_override()]
    return cfg


@contextlib.contextmanager
def _composed_once() -> Iterator[None]:
    """Inside, Hydra composes the config of a run where that is trained, and not of all runs before the first begins.

    It takes 0.1 s for each. `mistakes.check_runs` has composed one for each choice of options, and other values of the
    same keys are composed alike.
    """

    def unchecked(self: Sweeper, batch: Sequence[Sequence[str]]) -> None:
        """What Hydra would compose here is composed later."""

    own = Sweeper.validate_batch_is_legal
    Sweeper.validate_batch_is_legal = unchecked  # type: ignore[method-assign]
    try:
        yield
    finally:
        Sweeper.validate_batch_is_legal = own  # type: ignore[method-assign]


def show(words: Sequence[str]) -> None:
    """Print what `--cfg` or `--info` asks for.

    Raises:
        VaeklError: one sentence for any mistake in the words.
    """
    directories = config_dirs(words)
    overrides = for_hydra(words, directories)
    infos, kinds = flag_values(words, "--info", "-i"), flag_values(words, "--cfg", "-c")
    packages = flag_values(words, "--package", "-p")
    package = packages[-1] if packages else None
    shown = io.StringIO()
    try:
        compose.compose(words, directories)  # Hydra itself would print its mistakes and exit
        with (
            compose.initialized() as hydra,
            contextlib.redirect_stdout(shown),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            if kinds:
                hydra.show_cfg("train", overrides, kinds[-1], package, resolve="--resolve" in words)
            else:
                hydra.show_info(infos[-1], "train", overrides)
    except SystemExit as error:
        raise VaeklError(f"there is no {package} in the config: `vaekl train --cfg job` shows all of it.") from error
    except Exception as error:
        raise VaeklError(mistakes.sentence(error, words, directories)) from error
    terminal.show(shown.getvalue().expandtabs(), end="")
