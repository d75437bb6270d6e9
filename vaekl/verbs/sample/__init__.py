"""`vaekl sample`: a trained model's prior, reconstructions, traversals and interpolations, as PNG or as arrays."""

from collections.abc import Sequence
from functools import cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vaekl.config import verb_options
from vaekl.measures.pictures import decoded, grid, save_png
from vaekl.measures.tiles import Tiles
from vaekl.run.load import TrainedRun, load_run
from vaekl.system.devices import enough_memory
from vaekl.system.errors import VaeklError
from vaekl.system.files import inner_folder, replacing
from vaekl.system.terminal import printable, show
from vaekl.verbs.left_out import left_out
from vaekl.verbs.sample import rows
from vaekl.verbs.sample.options import DECODERS, ROWS, SampleOptions
from vaekl.verbs.sample.plates import FEW_HUNDRED, KlPerLatent, Plate, kl_per_latent, plates_of, stream

_LEAST_PIXELS = 64


def main(words: verb_options.Words) -> int:
    """Write the pictures into RUN/samples and name them; returns the exit code."""
    options = SampleOptions.checked(words.options)
    if len(words.runs) != 1:
        names = " ".join(map(str, words.runs))
        raise VaeklError(f"sample takes one run, not {len(words.runs)} ({names}): call it once for each.")
    is_whole = options.split in ("test", "all")
    run = load_run(words.runs[0], options.device, options.checkpoint, words.changes, "sample", whole=is_whole)
    with enough_memory(f"a picture of so many {run.model.spec.example}s", "lower sample.count"):
        draw(run, options, words.changes)
    return 0


@torch.no_grad()
def draw(run: TrainedRun, options: SampleOptions, changes: Sequence[str] = ()) -> None:
    """Write every picture, and print a line on each.

    Noise of each kind of picture has a stream of its own and is drawn in whole blocks, so that a picture depends on
    the seed alone: not on what else is drawn, nor on how many follow.

    Args:
        run: the model and its data.
        options: what to draw.
        changes: those of the run's data; pictures of other data take no name that is there already.
    """
    spec, split = run.model.spec, run.split(options.split)
    if options.format == "csv":
        rows.check_table(spec)
    tiles = Tiles.of(spec, spec.to_data(split.batch(slice(0, FEW_HUNDRED), stream(run, options, "shades"))))
    kl = cache(partial(kl_per_latent, run, options))
    plates = plates_of(run, options, tiles, kl)
    origin = f"{run.model.likelihood.name}, {spec.name}, {run.weights} at step {run.step:,}, seed {options.seed}"
    folder, other = run.folder.samples, ""
    # all but the prior depends on the split: a traversal and a plane take the latents that have most KL there
    of_split = "" if options.split == "test" else f"_{options.split}"
    if run.has_other_data:
        other = f"_{blake2b(repr(sorted(changes)).encode(), digest_size=3).hexdigest()}"
        origin += f", of {run.looks_at}"
    inner_folder(folder)
    show(printable(f"{folder}: {origin}"))
    for line in left_out(run, options.split, "sample"):
        show(printable(f"  left out: {line}"))
    if "reconstructions" in plates and options.images is None and (rest := len(split) - options.count) > 0:
        show(f"  left out: {rest:,} of {len(split):,} {spec.example}s (sample.count={options.count})")
    if options.format == "csv":
        show(f"  cells: {rows.PROTOCOL}")
    if pictures := [kind for kind in options.what if options.format == "csv" and kind not in ROWS]:
        show(f"  left out: {' and '.join(pictures)}, which {'is' if len(pictures) == 1 else 'are'} drawn as png or npz")
    for kind, plate in plates.items():
        for decoder in options.decoder if kind not in pictures else []:
            noise = stream(run, options, f"{kind} decoder") if decoder == "sample" else None
            images = decoded(run.model, plate.z, noise, plate.inputs)[: plate.keep]
            label = f"{plate.words}, {DECODERS[decoder]}"
            if options.format == "csv":
                label = label.replace(" above reconstructions", " reconstructed", 1)
            path = folder / f"{kind}_{decoder}{'' if kind == 'prior' else of_split}.{options.format}"
            if other and path.exists():  # it may be of the run's own data
                path = path.with_stem(path.stem + other)
            if options.format == "csv":
                heads = _origins(run, options, plate) if kind == "reconstructions" else {}
                rows.save_csv(path, spec, images, heads)
                if kind == "reconstructions" and spec.has_missing:
                    filled = path.with_stem(path.stem.replace(kind, "filled_in", 1))
                    rows.save_csv(filled, spec, rows.filled_in(split, plate.arrays["indices"], images), heads)
                    show(printable(f"  {filled.name:<27} the inputs, with {DECODERS[decoder]} where one is missing"))
            elif options.format == "npz":
                arrays = {"images": images, "z": plate.z[: plate.keep], **plate.arrays}
                _save_npz(path, {name: np.asarray(array) for name, array in arrays.items()}, f"{label}: {origin}")
            else:
                drawn = grid(plate.lay_out(tiles.drawn(images)), plate.columns, _LEAST_PIXELS)
                save_png(path, drawn, f"{label}: {origin}{tiles.words(images)}", plate.rows)
            show(printable(f"  {path.name:<27} {label}"))
    if "latents" in options.what and options.format != "csv":
        _save_latents(run, options, kl, folder / f"latents{of_split}.{options.format}", other, origin)
    if "mean" in options.decoder and run.model.likelihood.mean_note:
        show(f"  ({run.model.likelihood.mean_note})")


def _origins(run: TrainedRun, options: SampleOptions, plate: Plate) -> dict[str, list[Any]]:
    """Of each input the number of its row in its file, from 0 on, and its split where there are several."""
    splits, rows_of_split = run.data.origins(options.split)
    places = plate.arrays["indices"].tolist()
    heads: dict[str, list[Any]] = {"row": rows_of_split[places].tolist()}
    if options.split == "all" and len(set(splits)) > 1:
        heads["split"] = [splits[place] for place in places]
    return heads


def _save_latents(
    run: TrainedRun, options: SampleOptions, kl: KlPerLatent, path: Path, other: str, origin: str
) -> None:
    """Write where the inputs lie in the plane of two latents."""
    from vaekl.verbs.sample import scatter  # matplotlib takes a second to load

    if other and path.exists():  # it may be of the run's own data
        path = path.with_stem(path.stem + other)
    points = scatter.scatter_of(run, options, kl)
    if (rest := len(run.split(options.split)) - len(points.mean)) > 0:
        show(f"  left out: {rest:,} {run.model.spec.example}s, of which latents show {scatter.MOST_POINTS:,} at most")
    if options.format == "npz":
        _save_npz(path, {name: np.asarray(array) for name, array in points.arrays.items()}, f"{points.words}: {origin}")
    else:
        scatter.save_png(path, points, f"{points.words}: {origin}")
    show(printable(f"  {path.name:<27} {points.words}"))


def _save_npz(path: Path, arrays: dict[str, np.ndarray[Any, Any]], label: str) -> None:
    with replacing(path, "arrays") as partial, partial.open("wb") as file:
        np.savez(file, label=np.array(label), **arrays)  # type: ignore[arg-type]
