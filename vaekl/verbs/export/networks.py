"""Encoder and decoder as graphs for programs without vaekl: ONNX files, or PyTorch's own exported programs.

Each graph is run once more from its file and compared with the model before the folder is there. Where a file could
say where on this machine the code lies it does not: traces of the stack are taken out.
"""

import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import torch
from torch import Tensor, nn

from vaekl import __version__
from vaekl.data.transforms import Transform
from vaekl.model.vae import VAE
from vaekl.run.trained import TrainedVAE
from vaekl.store.exported import NETWORKS
from vaekl.store.schema import Facts
from vaekl.system.errors import VaeklError, first_line
from vaekl.system.libraries import onnx_libraries
from vaekl.verbs.export.scales import scale_of_mean, scale_of_x, stored_levels

Outputs = dict[str, Tensor]
#: by how much a graph may differ from the model, beside 1 or the value itself
_TOLERANCE = 1e-5
_INSTEAD = "take --to safetensors, which vaekl.load reads"


class Encoder(nn.Module):
    """x [B, *S] as a program has it -> mean and ln σ of q(z|x), [B, Z] each.

    Args:
        model: of which the decoder is not used.
        transform: from stored values to the model's, without noise; None where x is what the model sees.
        levels: K, where x are shades k/(K − 1) of stored levels; else None.
    """

    def __init__(self, model: VAE, transform: Transform | None, levels: int | None) -> None:
        super().__init__()
        self.model = _without(model, "decoder")
        self.transform = transform
        self.levels = levels

    def forward(self, x: Tensor) -> Outputs:
        if self.transform is not None:
            stored = x if self.levels is None else (x * (self.levels - 1)).round()
            x = self.transform(stored)
        mean, log_std = self.model.encode(x)
        return {"mean": mean, "log_std": log_std}


class Decoder(nn.Module):
    """z [B, Z] -> η [B, P, *S], and mean and variance of p(x|z) [B, *S] on the scale of pictures.

    Args:
        model: of which the encoder is not used.
    """

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = _without(model, "encoder")

    def forward(self, z: Tensor) -> Outputs:
        eta = self.model.decode(z)
        mean, variance = self.model.moments(eta)
        return {"eta": eta, "mean": mean, "variance": variance}


def _without(model: VAE, part: str) -> VAE:
    """A copy that has nothing in the place of a part, and computes in float32."""
    kept = copy.deepcopy(model)
    setattr(kept, part, nn.Identity())
    kept.autocast = None
    return kept


def save(run: TrainedVAE, facts: Facts, to: str, folder: Path) -> None:
    """Write encoder and decoder, and see that they do what the model does.

    Args:
        run: the model, on the CPU.
        facts: of the run.
        to: onnx or torch-export.
        folder: where they go.

    Raises:
        VaeklError: a network or the family cannot be traced, or the graph gives other numbers.
    """
    model = run.model.requires_grad_(False)
    encoder = Encoder(model, run.transform.without_noise(), stored_levels(run.stored)).eval()
    about = _about(run, facts)
    x, z = _some_inputs(run)
    for name, network, example in (("encoder", encoder, x), ("decoder", Decoder(model).eval(), z)):
        try:
            with _silent():
                difference = _SAVED[to](network, example, about, folder / name)
        except OSError:
            raise
        except Exception as error:  # what cannot be traced or converted ends in errors of several libraries
            raise VaeklError(f"the {name} cannot be exported as {to} ({first_line(error)}): {_INSTEAD}.") from error
        if not difference <= _TOLERANCE:
            raise VaeklError(
                f"the {name} as {to} differs from the model's by {difference:.1g} on the same input, so it is not "
                f"written: {_INSTEAD}."
            )


def _save_onnx(network: nn.Module, example: Tensor, about: dict[str, str], file: Path) -> float:
    runtime = onnx_libraries()
    program = _traced(network, example)
    outputs = list(network(example))
    converted = torch.onnx.export(program, dynamo=True, verbose=False, output_names=outputs)
    assert converted is not None
    for node in converted.model.graph:
        node.metadata_props.clear()
    converted.model.metadata_props.update(about)
    place = file.with_suffix(NETWORKS["onnx"])
    converted.save(place)
    session = runtime.InferenceSession(str(place), providers=["CPUExecutionProvider"])
    arrays = session.run(outputs, {session.get_inputs()[0].name: example.numpy()})
    return _difference(network, example, dict(zip(outputs, map(torch.from_numpy, arrays), strict=True)))


def _save_program(network: nn.Module, example: Tensor, about: dict[str, str], file: Path) -> float:
    program = _traced(network, example)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    place = file.with_suffix(NETWORKS["torch-export"])
    torch.export.save(program, place, extra_files={"vaekl.json": json.dumps(about)})
    return _difference(network, example, torch.export.load(place).module()(example))


#: by the word of `--to`
_SAVED: dict[str, Callable[[nn.Module, Tensor, dict[str, str], Path], float]] = {
    "onnx": _save_onnx,
    "torch-export": _save_program,
}


def _traced(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """The graph of any batch; traced with two examples, since a graph may take one for all."""
    return torch.export.export(
        network, (torch.zeros_like(example[:2]),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )


def _difference(network: nn.Module, example: Tensor, computed: Outputs) -> float:
    """The largest of an output, beside 1 or the value itself; NaN where one has NaN and the other not."""
    worst = []
    for name, value in network(example).items():
        difference = (computed[name] - value).abs() / value.abs().clamp(min=1)
        same = (computed[name] == value) | (computed[name].isnan() & value.isnan())
        worst.append(difference.masked_fill(same, 0).max())
    return torch.stack(worst).max().item()


def _some_inputs(run: TrainedVAE) -> tuple[Tensor, Tensor]:
    """x [3, *S] such as a program may have, and z [3, Z]."""
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(3, run.latents, generator=rng)
    spec, stored = run.model.spec, run.stored
    if run.transform.without_noise() is None:
        return torch.randint(2, (3, *stored.shape), generator=rng).float(), z
    x = torch.rand(3, *stored.shape, generator=rng)
    if (levels := stored_levels(stored)) is not None:
        x = (x * (levels - 1)).round() / (levels - 1)
    elif stored.support == "counts":
        x = (9 * x).floor()
    elif spec.scaling is not None:
        x = spec.scaling.original(4 * x - 2)
    if stored.has_missing:
        x.view(3, -1)[0, 0] = torch.nan
    return x, z


def _about(run: TrainedVAE, facts: Facts) -> dict[str, str]:
    """What the files say of themselves; what is no text is JSON."""
    model = run.model
    values = {
        "vaekl": __version__,
        "data": facts.data.name,
        "shape": list(run.stored.shape),
        "columns": list(run.stored.columns),
        "protocol": f"{model.spec.protocol}; {facts.likelihood.protocol}",
        "likelihood": facts.likelihood.name,
        "energy": facts.likelihood.energy,
        "log_norm_const": facts.likelihood.log_norm_const,
        "dispersion": model.weighting.dispersion.tolist(),
        "learned_options": model.likelihood.learned_options,
        "latents": run.latents,
        "weights": f"{run.weights} at step {run.step}",
        "x": scale_of_x(run),
        "mean": scale_of_mean(run),
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


@contextmanager
def _silent() -> Iterator[None]:
    """Without what PyTorch and its converters print and log."""
    level = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
