"""What Hydra does itself: the runs of a sweep, one after the other or by a launcher, and showing a config."""

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vaekl.config import compose, mistakes
from vaekl.config.overrides import config_dirs, flag_values, for_hydra
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
            hydra.multirun("train", task, [*for_hydra(words, directories), "hydra.mode=MULTIRUN", _FORGETFUL])
    except (HydraException, OmegaConfBaseException) as error:
        raise VaeklError(mistakes.sentence(error, words, directories)) from error


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
