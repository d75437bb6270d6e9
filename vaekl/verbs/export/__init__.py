"""`vaekl export`: a run without its training, to be shared: weights or networks, config, facts and a card."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaekl.config import verb_options
from vaekl.run.alone import load
from vaekl.run.trained import TrainedVAE
from vaekl.store import RunFolder, exported
from vaekl.store.read import read_bytes
from vaekl.system.checks import one_of, optional, text
from vaekl.system.errors import VaeklError
from vaekl.system.files import refuse_link, unwritable
from vaekl.system.libraries import onnx_libraries
from vaekl.system.terminal import printable, show
from vaekl.verbs.export.card import card

#: what may be written, and for whom
FORMATS = {
    "safetensors": "as safetensors, which vaekl.load reads",
    "onnx": "as encoder.onnx and decoder.onnx, for ONNX Runtime",
    "torch-export": "as encoder.pt2 and decoder.pt2, for PyTorch alone",
}
#: bytes of a file that is copied
_MOST = 1 << 25


def main(words: verb_options.Words) -> int:
    """Write the folder and say where; returns the exit code."""
    to = one_of(words.options["to"], "export.to", tuple(FORMATS))
    out = optional(text, words.options["out"], "export.out")
    checkpoint = optional(one_of, words.options["checkpoint"], "export.checkpoint", ("last", "best"))
    if len(words.runs) != 1 or words.changes:
        raise VaeklError("export takes one run and nothing of other data: `vaekl export outputs/<run>`.")
    if to == "onnx":
        onnx_libraries()
    run = load(words.runs[0], "cpu", checkpoint)
    folder = RunFolder(run.path)
    place = run.path / "export" if out is None else Path(out)
    with _whole(place) as partial:
        if to == "safetensors":
            exported.save(partial / exported.EXPORTED, run.model.state_dict(), run.step)
        else:
            _save_networks(run, folder, to, partial)
        files = [folder.config_file, folder.facts_file, *([folder.results_file] if folder.is_finished() else [])]
        for file in files:
            (partial / file.name).write_bytes(read_bytes(file, _MOST, "restore it"))
        (partial / "README.md").write_text(card(run, folder, to), encoding="utf-8")
    show(printable(f"{place}: {run.weights} at step {run.step:,} {FORMATS[to]}"))
    return 0


def _save_networks(run: TrainedVAE, folder: RunFolder, to: str, place: Path) -> None:
    # PyTorch takes half a second to load what traces
    from vaekl.verbs.export import networks

    networks.save(run, folder.facts(), to, place)


@contextmanager
def _whole(place: Path) -> Iterator[Path]:
    """A folder that is there with all its files, or not at all.

    Raises:
        VaeklError: something is there already, or it cannot be written.
    """
    refuse_link(place)
    if place.exists():
        raise VaeklError(f"{printable(str(place))} is there already: take it away, or set export.out.")
    partial = place.with_name(f".{place.name}.partial")
    try:
        refuse_link(partial)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        partial.rename(place)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise VaeklError(unwritable(place, "folder", error)) from error
        raise
