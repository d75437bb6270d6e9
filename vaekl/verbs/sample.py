"""`vaekl sample`: a trained model's prior, reconstructions, traversals and interpolations, as PNG or as arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from vaekl.config import verb_options
from vaekl.data import seed_of
from vaekl.measures.elbo import evaluate
from vaekl.measures.pictures import (
    BLOCK,
    beside,
    decoded,
    grid,
    interpolation,
    most_kl,
    save_png,
    shaded,
    shades,
    traversal,
)
from vaekl.run.load import TrainedRun, load
from vaekl.system.checks import one_of, optional, positive, whole
from vaekl.system.devices import enough_memory
from vaekl.system.errors import VaeklError
from vaekl.system.files import inner_folder, replacing

WHAT = ("prior", "reconstructions", "traversal", "interpolation")
DECODERS = {"mean": "mean of p(x|z)", "sample": "a draw from p(x|z)"}
_ROWS = 8
_FEW_HUNDRED = 512
_LEAST_PIXELS = 64
_MOST_IN_A_PNG = 10_000


@dataclass(frozen=True)
class SampleOptions:
    """The keys of `conf/sample.yaml`, checked; their meanings stand there."""

    what: list[str]
    decoder: list[str]
    format: str
    count: int
    columns: int
    span: float
    latents: list[int] | None
    split: str
    seed: int
    checkpoint: str | None
    device: str

    @classmethod
    def checked(cls, options: dict[str, Any]) -> "SampleOptions":
        """Refuse what makes no sense, before anything is loaded.

        Raises:
            VaeklError: names the key.
        """

        def some_of(key: str, choices: Sequence[str]) -> list[str]:
            chosen = [one_of(value, f"sample.{key}", choices) for value in options[key]]
            return [choice for choice in choices if choice in chosen]

        count = whole(options["count"], "sample.count", 1)
        if count > _MOST_IN_A_PNG and options["format"] == "png":
            raise VaeklError(f"no PNG holds sample.count={count} images (most: {_MOST_IN_A_PNG:,}): use npz.")
        return cls(
            what=some_of("what", WHAT),
            decoder=some_of("decoder", tuple(DECODERS)),
            format=one_of(options["format"], "sample.format", ("png", "npz")),
            count=count,
            columns=whole(options["columns"], "sample.columns", 2),
            span=positive(options["span"], "sample.span"),
            latents=_latents(options["latents"]),
            split=one_of(options["split"], "sample.split", ("test", "valid", "train")),
            seed=whole(options["seed"], "sample.seed"),
            checkpoint=optional(one_of, options["checkpoint"], "sample.checkpoint", ("last", "best")),
            device=str(options["device"]),
        )


@dataclass(frozen=True)
class Plate:
    """One kind of picture before it is decoded.

    Args:
        words: what it is, before the decoder is named.
        z: [at least `keep`, Z]; in whole blocks, since more might be wanted.
        keep: how many of the decoded images are shown.
        columns: of the grid.
        arrays: what an npz holds beside images and z.
        lay_out: decoded images, shaded -> the grid's images in their order.
        rows: labels of the grid's rows.
    """

    words: str
    z: Tensor
    keep: int
    columns: int
    arrays: dict[str, Any] = field(default_factory=dict)
    lay_out: Callable[[Tensor], Tensor] = lambda images: images
    rows: Sequence[str] = ()


def main(words: verb_options.Words) -> int:
    """Write the pictures into RUN/samples and name them; returns the exit code."""
    options = SampleOptions.checked(words.options)
    if len(words.runs) != 1:
        names = " ".join(map(str, words.runs))
        raise VaeklError(f"sample takes one run, not {len(words.runs)} ({names}): call it once for each.")
    run = load(words.runs[0], options.device, options.checkpoint, words.changes, "sample")
    with enough_memory("a picture of so many images", "lower sample.count"):
        draw(run, options)
    return 0


@torch.no_grad()
def draw(run: TrainedRun, options: SampleOptions) -> None:
    """Write every picture, and print a line on each.

    Noise of each kind of picture has a stream of its own and is drawn in whole blocks, so that a picture depends on
    the seed alone: not on what else is drawn, nor on how many follow.
    """
    spec, split = run.model.spec, run.split(options.split)
    ends = shades(spec, spec.to_unit(split.batch(slice(0, _FEW_HUNDRED), _stream(run, options, "shades"))))
    makers = dict(zip(WHAT, (_prior, _reconstructions, _traversal, _interpolation), strict=True))
    plates = {what: makers[what](run, options, ends) for what in options.what}
    origin = f"{run.model.likelihood.name}, {spec.name}, {run.weights} at step {run.step:,}, seed {options.seed}"
    folder = run.folder.samples
    inner_folder(folder)
    print(f"{folder}: {origin}")
    for what, plate in plates.items():
        for decoder in options.decoder:
            generator = _stream(run, options, f"{what} decoder") if decoder == "sample" else None
            images = decoded(run.model, plate.z, generator)[: plate.keep]
            label = f"{plate.words}, {DECODERS[decoder]}"
            path = folder / f"{what}_{decoder}.{options.format}"
            if options.format == "npz":
                arrays = {"images": images, "z": plate.z[: plate.keep], **plate.arrays}
                _save_npz(path, {name: np.asarray(array) for name, array in arrays.items()}, f"{label}: {origin}")
            else:
                drawn = grid(plate.lay_out(shaded(images, ends)), plate.columns, _LEAST_PIXELS)
                save_png(path, drawn, f"{label}: {origin}{_how_drawn(images, ends)}", plate.rows)
            print(f"  {path.name:<27} {label}")
    if "mean" in options.decoder and run.model.likelihood.mean_note:
        print(f"  ({run.model.likelihood.mean_note})")


def _prior(run: TrainedRun, options: SampleOptions, ends: tuple[float, float]) -> Plate:
    generator = torch.Generator().manual_seed(seed_of("sample prior", options.seed))
    z = torch.empty(-(-options.count // BLOCK), BLOCK, run.model.latents)
    # block by block, because a longer draw at once would not begin with the same numbers
    for block in z:
        block.normal_(generator=generator)
    return Plate("prior", z.flatten(0, 1), options.count, options.columns)


def _reconstructions(run: TrainedRun, options: SampleOptions, ends: tuple[float, float]) -> Plate:
    inputs, mean, log_std = _posterior(run, options, options.count)
    keep = min(options.count, len(inputs))
    return Plate(
        f"{options.split} inputs above reconstructions from posterior means",
        mean,
        keep,
        options.columns,
        _inputs(inputs[:keep], mean, log_std),
        lambda images: beside(shaded(inputs[:keep], ends), images, options.columns),
        ["input", ""] * -(-keep // options.columns),
    )


def _traversal(run: TrainedRun, options: SampleOptions, ends: tuple[float, float]) -> Plate:
    latents, span = run.model.latents, options.span
    if options.latents and max(options.latents) >= latents:
        raise VaeklError(
            f"sample.latents={max(options.latents)} is not there: the model has {latents} latents, 0 to {latents - 1}."
        )
    few = run.split(options.split, _FEW_HUNDRED)
    kl = evaluate(run.model, few, _stream(run, options, "kl")).kl_per_latent
    chosen = options.latents or most_kl(kl, _ROWS)
    z = traversal(chosen, latents, options.columns, span)
    order = "" if options.latents else ", most KL first,"
    return Plate(
        f"traversal of latents {', '.join(map(str, chosen))}{order} from {-span:g} to {span:g} with all others at 0",
        z,
        len(z),
        options.columns,
        {
            "latents": np.array(chosen),
            "values": torch.linspace(-span, span, options.columns),
            "kl_nats": kl[chosen].float(),
        },
        rows=[f"z{latent}" for latent in chosen],
    )


def _interpolation(run: TrainedRun, options: SampleOptions, ends: tuple[float, float]) -> Plate:
    inputs, mean, log_std = _posterior(run, options, 2 * _ROWS)
    pairs = min(_ROWS, len(inputs) // 2)
    if pairs == 0:
        raise VaeklError(
            f"an interpolation needs two images, but sample.split={options.split} has one: choose another split, or "
            "sample.what=prior,reconstructions,traversal."
        )
    inputs, (first, last) = inputs[: 2 * pairs], mean[: 2 * pairs].unflatten(0, (pairs, 2)).unbind(1)
    z = interpolation(first, last, options.columns)

    def between(images: Tensor) -> Tensor:
        left, right = shaded(inputs, ends).unflatten(0, (pairs, 1, 2)).unbind(2)
        return torch.cat([left, images.unflatten(0, (pairs, -1)), right], 1).flatten(0, 1)

    return Plate(
        f"interpolation, linear in z between the posterior means of the {options.split} inputs at both ends of a row",
        z,
        len(z),
        options.columns + 2,
        _inputs(inputs, mean, log_std) | {"weights": torch.linspace(0, 1, options.columns)},
        between,
    )


def _posterior(run: TrainedRun, options: SampleOptions, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The split's first images, in whole blocks, as pictures; mean and log std of q(z|x); all on the CPU."""
    split, generator = run.split(options.split), _stream(run, options, "inputs")
    parts = []
    for start in range(0, min(count, len(split)), BLOCK):
        x = split.batch(slice(start, start + BLOCK), generator)
        parts.append([part.cpu() for part in (run.model.spec.to_unit(x).float(), *run.model.encode(x))])
    inputs, mean, log_std = map(torch.cat, zip(*parts, strict=True))
    return inputs, mean, log_std


def _inputs(inputs: Tensor, mean: Tensor, log_std: Tensor) -> dict[str, Any]:
    """What an npz says of the images that were encoded; `indices` count from the start of their split."""
    count = len(inputs)
    return {
        "inputs": inputs,
        "posterior_mean": mean[:count],
        "posterior_log_std": log_std[:count],
        "indices": np.arange(count),
    }


def _stream(run: TrainedRun, options: SampleOptions, purpose: str) -> Generator:
    return Generator(run.device).manual_seed(seed_of(f"sample {purpose}", options.seed))


def _how_drawn(images: Tensor, ends: tuple[float, float]) -> str:
    """What a picture does not show of its values."""
    channels = f"; the first of {images.shape[1]} channels" if images.shape[1] not in (1, 3) else ""
    scale = f"; black is {ends[0]:.3g}, white is {ends[1]:.3g}" if ends != (0, 1) else ""
    beyond = (images < ends[0]) | (images > ends[1])
    share = f"; clipped: {beyond.float().mean():.1%} of the values" if beyond.any() else ""
    return channels + scale + share


def _save_npz(path: Path, arrays: dict[str, np.ndarray[Any, Any]], label: str) -> None:
    with replacing(path, "arrays") as partial, partial.open("wb") as file:
        np.savez(file, label=np.array(label), **arrays)  # type: ignore[arg-type]


def _latents(value: Any) -> list[int] | None:
    """One number, or several with commas between them, each once in the order of the words; None for null."""
    if value is None:
        return None
    words = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    numbers = [int(word) if isinstance(word, str) and word.strip().isdecimal() else word for word in words]
    if not numbers:
        return None
    also = "null, or several with commas between them, each "
    return list(dict.fromkeys(whole(number, "sample.latents", also=also) for number in numbers))
