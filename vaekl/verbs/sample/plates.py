"""The pictures of `vaekl sample` before they are decoded: latents of each kind, and how their images are laid out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekl.data import generator
from vaekl.data.inventory import some_of
from vaekl.measures import pictures
from vaekl.measures.elbo import evaluate
from vaekl.measures.tiles import Tiles
from vaekl.run.load import TrainedRun
from vaekl.system.errors import VaeklError
from vaekl.verbs.sample.options import PLATES, SampleOptions

#: images that the latents' KL and the shades of a picture are estimated from
FEW_HUNDRED = 512
_ROWS = 8


@dataclass(frozen=True)
class Plate:
    """One kind of picture before it is decoded.

    Args:
        words: what it is, before the decoder is named.
        z: [at least `keep`, Z]; in whole blocks, since more might be wanted.
        inputs: of each z the row [*S] whose total it has, or None, as `decoded` takes them.
        keep: how many of the decoded images are shown.
        columns: of the grid.
        arrays: what an npz holds beside images and z.
        lay_out: decoded images, drawn -> the grid's images in their order.
        rows: labels of the grid's rows.
    """

    words: str
    z: Tensor
    keep: int
    columns: int
    arrays: dict[str, Any] = field(default_factory=dict)
    lay_out: Callable[[Tensor], Tensor] = lambda images: images
    rows: Sequence[str] = ()
    inputs: Tensor | None = None


#: measures the KL of each latent, [Z] in nats, when it is first called
KlPerLatent = Callable[[], Tensor]


def plates_of(run: TrainedRun, options: SampleOptions, tiles: Tiles, kl: KlPerLatent) -> dict[str, Plate]:
    """The kinds of pictures that the options name.

    Args:
        run: the model and its data.
        options: what to draw.
        tiles: how examples are drawn.
        kl: what `kl_per_latent` gives, measured once for all pictures.

    Raises:
        VaeklError: there are too few latents or images.
    """
    makers = dict(zip(PLATES, (prior, reconstructions, traversal, interpolation, plane), strict=True))
    return {kind: makers[kind](run, options, tiles, kl) for kind in options.what if kind in makers}


def prior(run: TrainedRun, options: SampleOptions, tiles: Tiles, kl: KlPerLatent) -> Plate:
    """z ~ N(0, I)."""
    z = pictures.prior(options.count, run.model.latents, generator("sample prior", options.seed))
    return Plate(f"prior{run.model.spec.at_mean_total}", z, options.count, options.columns)


def reconstructions(run: TrainedRun, options: SampleOptions, tiles: Tiles, kl: KlPerLatent) -> Plate:
    """The split's first images or the chosen ones, and the means of q(z|x) for them."""
    inputs, mean, log_std = _posterior(run, options, options.count)
    keep = len(inputs) if options.images else min(options.count, len(inputs))
    return Plate(
        f"{_inputs_words(run, options)} above reconstructions from posterior means",
        mean,
        keep,
        options.columns,
        _inputs(inputs[:keep], mean, log_std, options),
        lambda images: pictures.beside(tiles.drawn(inputs[:keep]), images, options.columns),
        ["input", ""] * -(-keep // options.columns),
        inputs,
    )


def traversal(run: TrainedRun, options: SampleOptions, tiles: Tiles, kl: KlPerLatent) -> Plate:
    """One latent after the other moved from −span to span, all others at 0.

    Raises:
        VaeklError: the model has no such latent.
    """
    latents, span = run.model.latents, options.span
    of_each = kl()
    chosen = options.latents or pictures.most_kl(of_each, _ROWS)
    z = pictures.traversal(chosen, latents, options.columns, span)
    order = "" if options.latents else ", most KL first,"
    return Plate(
        f"traversal of latents {', '.join(map(str, chosen))}{order} from {-span:g} to {span:g} with all others at 0"
        f"{run.model.spec.at_mean_total}",
        z,
        len(z),
        options.columns,
        {
            "latents": np.array(chosen),
            "values": torch.linspace(-span, span, options.columns),
            "kl_nats": of_each[chosen].float(),
        },
        rows=[f"z{latent}" for latent in chosen],
    )


def plane(run: TrainedRun, options: SampleOptions, tiles: Tiles, kl: KlPerLatent) -> Plate:
    """Two latents moved from −span to span, one to the right and one upwards, all others at 0.

    Raises:
        VaeklError: the model has one latent, or no such one.
    """
    (first, second), why = two_latents(run, options, kl)
    values = torch.linspace(-options.span, options.span, options.columns)
    others = "" if run.model.latents == 2 else " with all others at 0"
    return Plate(
        f"plane of latents {first}, to the right, and {second}, upwards{why}, from {-options.span:g} to "
        f"{options.span:g}{others}{run.model.spec.at_mean_total}",
        pictures.plane(first, second, run.model.latents, options.columns, options.span),
        options.columns**2,
        options.columns,
        {"latents": np.array([first, second]), "values": values},
        rows=[f"z{second} = {value:.2g}" for value in values.flip(0).tolist()],
    )


def two_latents(run: TrainedRun, options: SampleOptions, kl: KlPerLatent) -> tuple[tuple[int, int], str]:
    """The chosen two, or those with most KL, in their order; and why, in words.

    Raises:
        VaeklError: the model has one latent, or not the chosen ones.
    """
    if run.model.latents < 2 or (options.latents and len(options.latents) < 2):
        cure = "take another run" if run.model.latents < 2 else "name two by sample.latents, as in sample.latents=0,5"
        raise VaeklError(f"a plane needs two latents, and there is one: {cure}, or leave plane and latents away.")
    of_each = kl()
    first, second = sorted((options.latents or pictures.most_kl(of_each, 2))[:2])
    return (first, second), "" if options.latents or run.model.latents == 2 else " (most KL)"


def kl_per_latent(run: TrainedRun, options: SampleOptions) -> Tensor:
    """Of some hundred images, [Z] in nats.

    Raises:
        VaeklError: the options name a latent that the model has not.
    """
    latents = run.model.latents
    if options.latents and max(options.latents) >= latents:
        raise VaeklError(
            f"sample.latents={max(options.latents)} is not there: the model has {latents} latents, 0 to {latents - 1}."
        )
    few_images = run.split(options.split, FEW_HUNDRED)
    return evaluate(run.model, few_images, stream(run, options, "kl")).kl_per_latent


def interpolation(run: TrainedRun, options: SampleOptions, tiles: Tiles, kl: KlPerLatent) -> Plate:
    """Straight lines between the means of q(z|x) of pairs of images.

    Raises:
        VaeklError: the split has a single image, or the chosen ones are no pairs.
    """
    if options.images and len(options.images) % 2:
        raise VaeklError(
            f"an interpolation needs pairs of {run.model.spec.example}s, but sample.images names "
            f"{len(options.images)}: name an even number of them, or set sample.what=prior,reconstructions,traversal."
        )
    inputs, mean, log_std = _posterior(run, options, 2 * _ROWS)
    pairs = len(inputs) // 2 if options.images else min(_ROWS, len(inputs) // 2)
    if pairs == 0:
        raise VaeklError(
            f"an interpolation needs two {run.model.spec.example}s, but sample.split={options.split} has one: choose "
            "another split, or sample.what=prior,reconstructions,traversal."
        )
    inputs, (first, last) = inputs[: 2 * pairs], mean[: 2 * pairs].unflatten(0, (pairs, 2)).unbind(1)
    z = pictures.interpolation(first, last, options.columns)
    left, right = inputs.flatten(1).unflatten(0, (pairs, 2)).unbind(1)
    rows = pictures.interpolation(left, right, options.columns).view(len(z), *inputs.shape[1:])
    linear = "linear in z" if run.model.spec.mean_total is None else "linear in z and in the total,"

    def between(images: Tensor) -> Tensor:
        left, right = tiles.drawn(inputs).unflatten(0, (pairs, 1, 2)).unbind(2)
        return torch.cat([left, images.unflatten(0, (pairs, -1)), right], 1).flatten(0, 1)

    return Plate(
        f"interpolation, {linear} between posterior means of {_inputs_words(run, options)} at both ends of a row",
        z,
        len(z),
        options.columns + 2,
        _inputs(inputs, mean, log_std, options) | {"weights": torch.linspace(0, 1, options.columns)},
        between,
        inputs=rows,
    )


def _posterior(run: TrainedRun, options: SampleOptions, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The chosen images on the scale of pictures [N, *S], and mean and ln σ of q(z|x) [N, Z], all on the CPU.

    Where none are chosen they are the split's first ones, and N is `count` or the next multiple of a block, unless the
    split ends before.

    Raises:
        VaeklError: the split has no such image.
    """
    split, noise = run.split(options.split), stream(run, options, "inputs")
    if options.images and max(options.images) >= len(split):
        raise VaeklError(
            f"sample.images={max(options.images)} is not there: there are {len(split):,} "
            f"{_all_of(run, options)}, 0 to {len(split) - 1}."
        )
    parts = []
    for start in range(0, len(options.images or range(min(count, len(split)))), pictures.BLOCK):
        block = slice(start, start + pictures.BLOCK)
        x = split.batch(torch.tensor(options.images[block]) if options.images else block, noise)
        parts.append([part.cpu() for part in (run.model.spec.to_data(x).float(), *run.model.encode(x))])
    inputs, mean, log_std = map(torch.cat, zip(*parts, strict=True))
    return inputs, mean, log_std


def _all_of(run: TrainedRun, options: SampleOptions) -> str:
    """The split in words; the images of a file that were not split are no test images."""
    digests = run.data.digests
    return "all inputs" if digests["train"] == digests["test"] else f"{options.split} inputs"


def _inputs_words(run: TrainedRun, options: SampleOptions) -> str:
    """The images in words, with the numbers of the chosen ones."""
    return _all_of(run, options) if options.images is None else f"{_all_of(run, options)} {some_of(options.images)}"


def _inputs(inputs: Tensor, mean: Tensor, log_std: Tensor, options: SampleOptions) -> dict[str, Any]:
    """What an npz holds of the images that were encoded; `indices` count from the start of their split."""
    count = len(inputs)
    return {
        "inputs": inputs,
        "posterior_mean": mean[:count],
        "posterior_log_std": log_std[:count],
        "indices": np.array(options.images) if options.images else np.arange(count),
    }


def stream(run: TrainedRun, options: SampleOptions, purpose: str) -> torch.Generator:
    """The random numbers of one purpose, on the run's device."""
    return generator(f"sample {purpose}", options.seed, run.device)
