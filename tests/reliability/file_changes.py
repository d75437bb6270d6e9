"""What a stranger may have made of a checkpoint's file, around the state that it holds."""

import io
import random
import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import patch
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import torch

from vaekl.store import checkpoint


def saved(content: Any) -> bytes:
    """As a stranger writes it: `checkpoint.save` would set apart what shares its memory."""
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, written)
    return written.getvalue()


def _packed(content: bytes, method: int = ZIP_STORED, change: Callable[[str, bytes], bytes] = lambda _, b: b) -> bytes:
    packed = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as source, ZipFile(packed, "w", method) as target:
        for part in source.namelist():
            target.writestr(part, change(part, source.read(part)))
    return packed.getvalue()


def _longest_part(content: bytes) -> str:
    with ZipFile(io.BytesIO(content)) as file:
        return max((part for part in file.infolist() if "/data/" in part.filename), key=lambda p: p.file_size).filename


def _resized(by: int) -> Callable[[bytes, Any, random.Random], bytes]:
    def change(content: bytes, _: Any, rng: random.Random) -> bytes:
        name = _longest_part(content)
        return _packed(content, change=lambda part, b: (b + b"\0" * by)[: len(b) + by] if part == name else b)

    return change


def _record(end: str, new: bytes) -> Callable[[bytes, Any, random.Random], bytes]:
    return lambda content, _, rng: _packed(content, change=lambda part, b: new if part.endswith(end) else b)


def _former_format(content: bytes, state: Any, rng: random.Random) -> bytes:
    written = io.BytesIO()
    torch.save({"format": checkpoint.FORMAT, "state": state}, written, _use_new_zipfile_serialization=False)
    return written.getvalue() + rng.choice([b"", content])


def _other_format(content: bytes, state: Any, rng: random.Random) -> bytes:
    number = rng.choice([None, True, 3.0, "3", -1, 10**400, float("nan"), torch.tensor(checkpoint.FORMAT), [3]])
    known = checkpoint.FORMAT
    contents = [{"format": number, "state": state}, {"state": state}, {"format": known}, [state], state, None, "state",
                {"format": known, "state": [state]}]  # fmt: skip
    return saved(rng.choice(contents))


def _on(place: str) -> Callable[[bytes, Any, random.Random], bytes]:
    def change(_: bytes, state: Any, rng: random.Random) -> bytes:
        with patch.object(torch.serialization, "location_tag", lambda storage: place):
            return saved({"format": checkpoint.FORMAT, "state": state})

    return change


def _flipped(content: bytes, _: Any, rng: random.Random) -> bytes:
    """A bit of what is no tensor's: the pickle, or what a zip file says of its parts."""
    with ZipFile(io.BytesIO(content)) as file:
        pickle = next(part for part in file.infolist() if part.filename.endswith("data.pkl"))
        size, first = pickle.file_size, pickle.header_offset
        directory = file.start_dir
    position = rng.choice([rng.randrange(first, first + size), rng.randrange(directory, len(content))])
    changed = bytearray(content)
    changed[position] ^= 1 << rng.randrange(8)
    return bytes(changed)


FILES: dict[str, Callable[[bytes, Any, random.Random], bytes]] = {
    "packed anew": lambda content, _, rng: _packed(content),
    "compressed": lambda content, _, rng: _packed(content, ZIP_DEFLATED),
    "the longest part shorter": _resized(-4),
    "the longest part longer": _resized(4),
    "the longest part empty": _resized(-(1 << 20)),
    "no pickle": _record("data.pkl", b""),
    "another pickle": _record("data.pkl", b"\x80\x02}q\x00."),
    "another order of bytes": _record("byteorder", b"middle"),
    "another version": _record("version", b"99999\n"),
    "of the former format": _former_format,
    "another format": _other_format,
    "cut": lambda content, _, rng: content[: rng.randrange(len(content))],
    "something before it": lambda content, _, rng: b"\0" * rng.randrange(1, 99) + content,
    "something after it": lambda content, _, rng: content + b"\0" * rng.randrange(1, 99),
    "nothing": lambda content, _, rng: b"",
    "saved on a GPU": _on("cuda:0"),
    "saved on nothing": _on("meta"),
    "saved somewhere": _on("\x1b[2J"),
    "a bit flipped": _flipped,
}
