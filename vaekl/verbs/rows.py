"""What `vaekl encode` and `vaekl score` share: the examples that they look at, and a file with a row for each."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np

from vaekl.config import verb_options
from vaekl.config.other_data import changed
from vaekl.data import Split
from vaekl.data.ondisk import Array
from vaekl.data.sources.own_files import examples_of, option_for, settings_for
from vaekl.measures.single import NOISE_BY, NoiseBy
from vaekl.model.vae import VAE
from vaekl.run.alone import load
from vaekl.run.load import SPLITS, load_run
from vaekl.store import RunFolder
from vaekl.system.checks import one_of, optional, text, whole
from vaekl.system.errors import VaeklError
from vaekl.system.files import inner_folder, made_folder, replacing
from vaekl.system.libraries import pyarrow
from vaekl.system.terminal import printable, show
from vaekl.verbs.left_out import left_out

FORMATS = ("npz", "csv", "parquet")


@dataclass(frozen=True)
class RowOptions:
    """The keys that both verbs have; their meanings stand in `conf/encode.yaml`."""

    format: str
    split: str
    out: str | None
    seed: int
    noise: NoiseBy
    checkpoint: str | None
    device: str

    @classmethod
    def checked(cls, options: Mapping[str, Any], verb: str) -> "RowOptions":
        """Refuse what makes no sense, before anything is loaded.

        Raises:
            VaeklError: names the key.
        """
        chosen = cls(
            format=one_of(options["format"], f"{verb}.format", FORMATS),
            split=one_of(options["split"], f"{verb}.split", SPLITS),
            out=optional(text, options["out"], f"{verb}.out"),
            seed=whole(options["seed"], f"{verb}.seed"),
            noise=cast(NoiseBy, one_of(options["noise"], f"{verb}.noise", NOISE_BY)),
            checkpoint=optional(one_of, options["checkpoint"], f"{verb}.checkpoint", ("last", "best")),
            device=str(options["device"]),
        )
        if chosen.out is not None and Path(chosen.out).exists():
            raise VaeklError(f"{verb}.out={chosen.out} is there already: take it away, or name another file.")
        if chosen.format == "parquet":
            pyarrow("pyarrow.parquet")
        return chosen


@dataclass(frozen=True)
class Looked:
    """A model and the examples that it looks at.

    Args:
        model: in evaluation mode.
        folder: of the run.
        split: the examples.
        rows: int64 [N], the number of each in its array, from 0.
        splits: of each; None where there is one.
        labels: [N] or [N, K], or None.
        name: of what was looked at, as a part of a file's name.
        place: where other examples than the run's are from, else empty.
        left_out: a line for each kind of thing that was not looked at.
    """

    model: VAE
    folder: RunFolder
    split: Split
    rows: Array
    splits: list[str] | None
    labels: Array | None
    name: str
    place: str
    left_out: list[str]


def looked_at(words: verb_options.Words, options: RowOptions, verb: str) -> Looked:
    """The run and the examples that the words name: those of a file, of dataset=..., or the run's own.

    Raises:
        VaeklError: there are none, or they do not fit the run.
    """
    if len(words.runs) > 2:
        names = " ".join(map(str, words.runs))
        raise VaeklError(f"{verb} takes one run and one file or folder, not {len(words.runs)} words ({names}).")
    path = words.runs[0]
    if len(words.runs) == 1:
        return _of_data(path, options, words.changes, verb)
    if options.split != "all":
        raise VaeklError(
            f"{verb}.split={options.split} is of the run's own data, and all of {words.runs[1]} is taken: leave one of "
            "them away."
        )
    return _of_file(path, words.runs[1], options, words.changes)


def _of_data(path: Path, options: RowOptions, changes: tuple[str, ...], verb: str) -> Looked:
    is_whole = options.split in ("test", "all")
    run = load_run(path, options.device, options.checkpoint, changes, verb, whole=is_whole)
    split = run.split(options.split)
    splits, rows = run.data.origins(options.split)
    digests = run.data.digests
    is_one = run.has_other_data and digests["train"] == digests["test"]
    name = _name(options.split, changes, path, options)
    return Looked(
        run.model,
        run.folder,
        split,
        rows.numpy(),
        None if is_one or options.split != "all" else splits,
        None if split.labels is None else split.labels.cpu().numpy(),
        name,
        run.looks_at,
        left_out(run, options.split, verb),
    )


def _of_file(path: Path, file: Path, options: RowOptions, changes: tuple[str, ...]) -> Looked:
    if strange := [word for word in changes if not word.startswith(("dataset.", "data_dir="))]:
        raise VaeklError(f"{strange[0]} names other data, and so does {file}: leave one of them away.")
    run = load(path, options.device, options.checkpoint)
    option = option_for(str(file))
    content = dict(run.config)
    if content["choices"]["dataset"] != option:
        content = changed(content, [f"dataset={option}"])
        content["dataset"] |= settings_for(option, run.stored.shape)
    elif file.suffix.lower() == ".npy":
        content["dataset"] = content["dataset"] | {"images": None, "labels": None}
    settings = changed(content, changes)["dataset"] | {"path": str(file)}
    examples = examples_of(option, settings, run.stored)
    split = run.as_split(examples.images, str(file))
    name = _name(file.stem, (str(file.absolute()), *changes), path, options)
    folder = RunFolder(run.path)
    place, left = examples.inventory.place, examples.inventory.left_out
    return Looked(run.model, folder, split, examples.rows, examples.splits, examples.labels, name, place, left)


def _name(stem: str, changes: tuple[str, ...], path: Path, options: RowOptions) -> str:
    """How a file of these examples is called: with a digest of what makes them others than the run's own."""
    other = [path.name if path.is_file() else None, options.checkpoint, *sorted(changes)]
    if all(part is None for part in other):
        return stem
    plain = "".join(letter if letter.isalnum() else "_" for letter in stem)
    return f"{plain[:60]}_{blake2b(repr(other).encode(), digest_size=3).hexdigest()}"


def write(looked: Looked, columns: dict[str, Array], inner: str, options: RowOptions, words: str) -> None:
    """Write a row for each example, whole or not at all, and print where.

    Args:
        looked: the examples.
        columns: figures by name, [N] or [N, K].
        inner: the folder in the run's folder, where no other place is named.
        options: the format, and where.
        words: what the figures are.
    """
    heads: dict[str, Array] = {"row": looked.rows}
    if looked.splits is not None:
        heads["split"] = np.array(looked.splits)
    if looked.labels is not None:
        heads["label"] = looked.labels
    if options.out is None:
        folder = looked.folder.path / inner
        inner_folder(folder)
        file = folder / f"{looked.name}.{options.format}"
    else:
        file = Path(options.out)
        made_folder(file.parent)
    with replacing(file, "file") as partial:
        if options.format == "npz":
            arrays = heads | columns | {"about": np.array(words)}
            with partial.open("wb") as opened:
                np.savez(opened, **_plain(arrays))  # type: ignore[arg-type]
        elif options.format == "csv":
            _write_csv(partial, _flat(heads | columns))
        else:
            _write_parquet(partial, _flat(heads | columns))
    of_place = f" of {looked.place}" if looked.place else ""
    show(printable(f"{file}: {len(looked.rows):,} {looked.model.spec.example}s{of_place}, {words}"))
    for line in looked.left_out:
        show(printable(f"  left out: {line}"))


def _plain(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Words as NumPy's own, since objects would be pickled."""
    return {
        name: np.array(["" if word is None else str(word) for word in array.tolist()])
        if array.dtype == object
        else array
        for name, array in arrays.items()
    }


def _flat(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Columns of one value each: mean [N, Z] becomes mean_0, mean_1, ..."""
    flat: dict[str, Array] = {}
    for name, array in columns.items():
        flat |= {f"{name}_{index}": part for index, part in enumerate(array.T)} if array.ndim == 2 else {name: array}
    return flat


def _write_csv(path: Path, columns: Mapping[str, Array]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _write_parquet(path: Path, columns: Mapping[str, Array]) -> None:
    arrow: Any = pyarrow("pyarrow")
    parquet: Any = pyarrow("pyarrow.parquet")
    parquet.write_table(arrow.table({name: arrow.array(array) for name, array in columns.items()}), path)
