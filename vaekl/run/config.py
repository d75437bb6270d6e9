"""A run's config, split once into checked parts: each builder sees its own, and a reader sees what a run is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vaekl.system.checks import flag, number, one_of, optional, positive, text, whole
from vaekl.system.errors import VaeklError
from vaekl.training.plan import Compile

#: one group of the config: `_target_` is called with the rest
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class DataConfig:
    """Which images there are.

    Args:
        dataset: settings of the source.
        transform: settings of what is done to its stored values.
        valid: how much of the training images is held out, a fraction or a count; `Data` checks it.
        split_seed: which of them.
    """

    dataset: Settings
    transform: Settings
    valid: Any
    split_seed: int


@dataclass(frozen=True)
class ModelConfig:
    """The density, the networks and the loss.

    Args:
        likelihood: settings of the family of p(x|z).
        check: whether a user's own family is tried to be a density before the first step.
        weighting: settings of what becomes of φ and ln C.
        control: settings of what stands for the KL in the loss.
        objective: settings of the bound that is maximised.
        nets: settings of the encoder and the decoder.
        latents: Z.
        autocast: the name of the type that the networks compute in, or None for float32.
        seed: of the first weights.
        begin_at_data: whether a learned φ and the decoder's last bias begin at the best constant decoder.
    """

    likelihood: Settings
    check: bool
    weighting: Settings
    control: Settings
    objective: Settings
    nets: Settings
    latents: int
    autocast: str | None
    seed: int
    begin_at_data: bool


@dataclass(frozen=True)
class TrainingConfig:
    """How the model is trained.

    Args:
        optim: settings of the optimiser.
        lr: its learning rate.
        schedule: settings of the KL's multiplier.
        lr_schedule: settings of the learning rate's.
        steps: the run's length, or None where `epochs` says it.
        epochs: the same in passes over the training images; None where `steps` says it.
        batch_size, log_every, valid_every, clip_norm, ema, compile, patience, save_minutes: see `Plan`.
        on_nan: what a run does that diverges: stop or restore.
        seed: of all noise, and of the order of the images.
    """

    optim: Settings
    lr: float
    schedule: Settings
    lr_schedule: Settings
    steps: int | None
    epochs: int | None
    batch_size: int
    log_every: int
    valid_every: int
    clip_norm: float | None
    ema: float | None
    compile: Compile
    patience: int | None
    save_minutes: float | None
    on_nan: str
    seed: int


@dataclass(frozen=True)
class MachineConfig:
    """Where a run computes.

    Args:
        device: auto, cpu, cuda or cuda:1 and the like; which there are is seen when the run is built.
        threads: auto or a number.
        tf32: whether a GPU may round factors to TF32.
    """

    device: str
    threads: Any
    tf32: bool


@dataclass(frozen=True)
class RunConfig:
    """What a run is made of.

    Args:
        data: which images there are.
        model: the density, the networks and the loss.
        training: how the model is trained.
        machine: where.
        init: the folder of a run whose weights this one begins with, or None.
        tracker: settings of where its figures go beside its own files, or None.
        choices: the name of what stands in each config group.
        content: the whole resolved config, as it stands in the run folder.
    """

    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    machine: MachineConfig
    init: str | None
    tracker: Settings | None
    choices: dict[str, str]
    content: Settings

    @cached_property
    def yaml(self) -> str:
        """The whole config as text."""
        return OmegaConf.to_yaml(self.content)

    @classmethod
    def of(cls, content: Settings, file: Path | None = None) -> "RunConfig":
        """Split a resolved config and check its settings.

        Args:
            content: the config.
            file: where it was read, if it was.

        Raises:
            VaeklError: names the first key that is missing, or whose value is none that it may have.
        """
        get = _Lookup(content, file)
        seed = get.checked("seed", whole, 0)
        autocast = get.optional("trainer.autocast", one_of, ("bfloat16", "bf16", "tf32"))
        steps = get.optional("trainer.steps", whole, 1)
        return cls(
            data=DataConfig(
                dataset=get("dataset"),
                transform=get("transform"),
                valid=get("valid"),
                split_seed=get.checked("split_seed", whole, 0),
            ),
            model=ModelConfig(
                likelihood={key: value for key, value in get("likelihood").items() if key != "check"},
                check=one_of(get("likelihood").get("check", "on"), "likelihood.check", ("on", "off")) == "on",
                weighting=get("weighting"),
                control=get("control"),
                # runs of earlier versions know no other
                objective=content.get("objective", {"_target_": "vaekl.Elbo"}),
                nets=get("model"),
                latents=get.checked("model.latents", whole, 1),
                autocast=autocast,
                seed=seed,
                begin_at_data=flag(content.get("begin_at_data", False), "begin_at_data"),
            ),
            training=TrainingConfig(
                optim=get("optim"),
                lr=get.checked("optim.lr", positive),
                schedule=get("schedule"),
                lr_schedule=get("lr_schedule"),
                steps=steps,
                epochs=get.checked("trainer.epochs", whole, 1) if steps is None else None,
                batch_size=get.checked("trainer.batch_size", whole, 1),
                log_every=get.checked("trainer.log_every", whole, 1),
                valid_every=get.checked("trainer.valid_every", whole, 1),
                clip_norm=get.optional("trainer.clip_norm", positive),
                ema=get.optional("trainer.ema", number, 0, 1),
                compile=get.checked("trainer.compile", _compile),
                patience=get.optional("trainer.patience", whole, 1),
                save_minutes=optional(positive, get("trainer").get("save_minutes"), "trainer.save_minutes"),
                on_nan=get.checked("trainer.on_nan", one_of, ("stop", "restore")),
                seed=seed,
            ),
            machine=MachineConfig(
                device=get("trainer.device"), threads=get("trainer.threads"), tf32=autocast == "tf32"
            ),
            init=optional(text, content.get("init"), "init"),
            tracker=content.get("tracker"),
            choices={str(group): str(name or "none") for group, name in get("choices").items()},
            content=content,
        )


class _Lookup:
    """A config's values by their dotted keys."""

    def __init__(self, content: Settings, file: Path | None) -> None:
        self.content, self.file = content, file

    def __call__(self, key: str) -> Any:
        node: Any = self.content
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                raise VaeklError(self._missing(key))
            node = node[part]
        return node

    def checked(self, key: str, check: Callable[..., Any], *bounds: Any) -> Any:
        """The value of a key, which the check refuses by the key's name."""
        return check(self(key), key, *bounds)

    def optional(self, key: str, check: Callable[..., Any], *bounds: Any) -> Any:
        """The same, or None."""
        return optional(check, self(key), key, *bounds)

    def _missing(self, key: str) -> str:
        if self.file is None:
            return f"{key} must be given: add {key}=VALUE."
        return (
            f"{self.file} is not as this vaekl writes it ({key} is missing): go on with the vaekl that wrote it, "
            "restore it, or train afresh."
        )


def _compile(value: Any, key: str) -> Compile:
    """Whether, None for auto, or graph."""
    if value == "graph":
        return "graph"
    return None if value == "auto" else flag(value, key, also="auto, graph, ")
