"""What a stranger puts into a file of a run: values of keys, cells of logs, and what stands in a file's place."""

import json
import os
import pickle
import socket
import stat
import zipfile
from collections.abc import Callable
from contextlib import chdir
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from vaekl.store.checkpoint import FORMAT

#: what a text may hold
TEXTS = {
    "ESC": "\x1b[2J\x1b]0;owned\x07", "C1": "\x9b31m", "bidi": "a\u202eb\u2066c", "lone surrogate": "a\ud800b",
    "NUL": "a\0b", "line ends": "a\r\nb\u2028c", "no text": "", "a letter": "x", "a digit": "1",
    "5,000 letters": "x" * 5000, "10 MB": "x" * 10_000_000, "a path outside": "../canary/kept.txt",
    "a device": "/dev/zero", "markup": "<script>alert(1)</script>", "a formula": "=1+1",
    "an environment variable": "${oc.env:HOME}", "a function": "os.system", "a format": "{0}%s%n",
}  # fmt: skip
#: values as JSON has them, which Python's reader and YAML read too
VALUES = {
    "null": "null", "true": "true", "0": "0", "-1": "-1", "2": "2", "0.5": "0.5", "2^31": str(2**31),
    "2^53": str(2**53), "2^63": str(2**63), "2^70": str(2**70), "10^400": "1" + 400 * "0",
    "10^5000": "1" + 5000 * "0", "1e-320": "1e-320", "1e308": "1e308", "1e999": "1e999", "NaN": "NaN",
    "Infinity": "Infinity", "-Infinity": "-Infinity", "[]": "[]", "{}": "{}", "[[1]]": "[[1]]", "[null]": "[null]",
    '{"x": 1}': '{"x": 1}', "a call": '{"_target_": "os.getcwd"}', "3,000 brackets": 3000 * "[" + 3000 * "]",
    "100,000 numbers": f"[{', '.join(['0.5'] * 100_000)}]",
    **{f"text: {name}": json.dumps(text) for name, text in TEXTS.items()},
}  # fmt: skip
#: only of text files: bytes of control characters as they are
RAW = {"raw ESC": '"\x1b[2J"', "raw NUL": '"\0"', "no token": "@", "an open bracket": "[", "a single quote": "'"}
#: only of YAML
YAML = {
    "alias": "[&a [1], *a]", "many aliases": "[&a [x,x,x,x,x,x,x,x,x]," + ",".join(
        f"&{chr(98 + i)} [{','.join(9 * ['*' + chr(97 + i)])}]" for i in range(9)) + "]",
    "tag": "!!python/object/apply:os.system [touch canary/ran]", "set": "!!set {a, b}", "tuple": "!!python/tuple [1]",
    "date": "2001-01-01", "sexagesimal": "190:20:30", "merge": "{<<: {a: 1}}", "binary": "!!binary aGFsbG8=",
    "a key that is a list": "{? [1, 2] : 3}", "a number as key": "{1: 2}", ".nan": ".nan", ".inf": ".inf",
}  # fmt: skip
#: cells of metrics.csv
CELLS = {
    "empty": "", "x": "x", "-1": "-1", "1.5": "1.5", "nan": "nan", "-inf": "-inf", "10^400": "1" + 400 * "0",
    "1e999": "1e999", "1e308": "1e308", "99999999": "99999999", "2^53": str(2**53), "16 nines": 16 * "9", "space": " 1",
    "Arabic digit": "٣", "underscore": "1_0", "hexadecimal": "0x10", "another cell": "1,1", "open quote": '"1',
    "line end in quotes": '"1\n2"', "split": "valid", "another split": "Train", "formula": "=1+1",
    "5,000 letters": "x" * 5000, "10 MB": "x" * 10_000_000,
    **{name: TEXTS[name] for name in ("ESC", "C1", "bidi", "lone surrogate", "NUL", "markup")},
}  # fmt: skip


class Raw(str):
    """Text that is written as it is."""


class Pairs(list[tuple[str, Any]]):
    """An object in which a key may come twice."""


def written(node: Any) -> str:
    """A tree as JSON, which is YAML too."""
    if isinstance(node, Raw):
        return node
    if isinstance(node, dict | Pairs):
        pairs = node.items() if isinstance(node, dict) else node
        return "{" + ", ".join(f"{json.dumps(key)}: {written(value)}" for key, value in pairs) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(written, node)) + "]"
    return json.dumps(node)


def objects(old: Any) -> dict[str, Callable[[], Any]]:
    """What stands in a checkpoint in place of a value, by its name; made when it is needed."""
    too_much = ("10^5000", "3,000 brackets")
    values = {name: lambda text=text: json.loads(text) for name, text in VALUES.items() if name not in too_much}
    values |= {
        "bytes": lambda: b"\0", "a tuple": lambda: (1, 2), "a set": lambda: {1, 2}, "a complex number": lambda: 1j,
        "a tensor": lambda: torch.zeros(2, 3), "a parameter": lambda: torch.nn.Parameter(torch.zeros(1)),
        "an endless tensor": lambda: torch.zeros(1).expand(2**40), "a dtype": lambda: torch.float32,
        "200 brackets": lambda: json.loads(200 * "[" + 200 * "]"),
        "a sparse tensor": lambda: torch.eye(3).to_sparse(), "no storage": lambda: torch.zeros(2**40, device="meta"),
    }  # fmt: skip
    if isinstance(old, torch.Tensor):
        other = torch.float64 if old.dtype != torch.float64 else torch.float32
        values |= {
            "of NaN": lambda: torch.full(old.shape, torch.nan), "of infinity": lambda: torch.full(old.shape, torch.inf),
            "of 1e38": lambda: torch.full(old.shape, 1e38), "of -1": lambda: torch.full(old.shape, -1.0).to(old.dtype),
            "empty": lambda: old.flatten()[:0], "a dimension more": lambda: old[None], "bits": lambda: old > 0,
            "another type": lambda: old.to(other), "complex": lambda: old.to(torch.complex64), "a list": old.tolist,
            "whole numbers": lambda: old.nan_to_num().long(), "twice as many": lambda: old.flatten().repeat(2),
            "one value, stretched": lambda: torch.zeros((), dtype=old.dtype).expand(old.shape),
        }  # fmt: skip
    return values


def _sealed(file: Path, content: bytes) -> None:
    """With the checksum that vaekl looks for: it keeps out accidents, not hands."""
    file.write_bytes(content + b"\nvaekl blake2b " + blake2b(content, digest_size=32).hexdigest().encode())


def saved(file: Path, content: Any, **options: Any) -> None:
    """As vaekl writes a checkpoint, whatever it holds."""
    stream = BytesIO()
    torch.save(content, stream, **options)
    _sealed(file, stream.getvalue())


class _Code:
    def __reduce__(self) -> Any:
        return os.system, ("touch canary/ran",)


def _bomb(file: Path) -> None:
    """A zip file of a few megabytes that unfolds to two gigabytes."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"format": FORMAT, "state": {}}, 2))
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
        with archive.open("archive/data/0", "w", force_zip64=True) as entry:
            for _ in range(2048):
                entry.write(bytes(1 << 20))
    _sealed(file, stream.getvalue())


#: a checkpoint as a whole
CHECKPOINTS: dict[str, Callable[[Path], Any]] = {
    "sealed half": lambda file: _sealed(file, file.read_bytes()[: file.stat().st_size // 2]),
    "sealed nothing": lambda file: _sealed(file, b""),
    "sealed text": lambda file: _sealed(file, b"x" * 1000),
    "two seals": lambda file: _sealed(file, file.read_bytes()),
    "no seal": lambda file: file.write_bytes(file.read_bytes()[:-78]),
    "pickled code": lambda file: saved(file, {"format": FORMAT, "state": _Code()}),
    "a bare pickle of code": lambda file: _sealed(file, pickle.dumps(_Code(), 2)),
    "a list": lambda file: saved(file, [1, 2]),
    "a module": lambda file: saved(file, torch.nn.Linear(2, 2)),
    "no state": lambda file: saved(file, {"format": FORMAT}),
    "a state that is a list": lambda file: saved(file, {"format": FORMAT, "state": [1]}),
    "an empty state": lambda file: saved(file, {"format": FORMAT, "state": {}}),
    "format 1": lambda file: saved(file, {"format": 1, "state": {}}),
    "format 10^400": lambda file: saved(file, {"format": 10**400, "state": {}}),
    "format ESC": lambda file: saved(file, {"format": TEXTS["ESC"], "state": {}}),
    "an old kind of file": lambda file: saved(
        file, {"format": FORMAT, "state": {}}, _use_new_zipfile_serialization=False
    ),
    "2 GB in a few MB": _bomb,
}  # fmt: skip

#: what happens to the bytes of a file
CONTENTS: dict[str, Callable[[Path], Any]] = {
    "emptied": lambda file: file.write_bytes(b""),
    "half": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "all but the last byte": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "a bit flipped": lambda file: _flipped(file),
    "bytes that are no text": lambda file: file.write_bytes(b"\xff\xfe\x00garbage\n" * 9),
    "a byte order mark": lambda file: file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes()),
    "UTF-16": lambda file: file.write_bytes("step,split\n".encode("utf-16") * 9),
    "zeros": lambda file: file.write_bytes(bytes(5000)),
    "words": lambda file: file.write_text("step,split\nfoo,bar,baz\n"),
    "control characters": lambda file: file.write_text("\x1b[2J\x1b]0;owned\x07\u202e\n" * 9),
    "a list": lambda file: file.write_text("[]"),
    "a number": lambda file: file.write_text("1"),
    "null": lambda file: file.write_text("null"),
    "braces": lambda file: file.write_text("{}"),
    "another schema": lambda file: file.write_text('{"schema": 2}'),
    "100,000 brackets": lambda file: file.write_text("[" * 100_000),
    "one line of 30 MB": lambda file: file.write_text("x," * 15_000_000),
    "its content twice": lambda file: file.write_bytes(file.read_bytes() * 2),
    "a terabyte": lambda file: _stretched(file, 1 << 40),
    "two gigabytes": lambda file: _stretched(file, 1 << 31),
}
#: what stands in the place of a file or folder, whether it was there or not; the canary is a folder beside the run's
KINDS: dict[str, Callable[[Path, Path], Any]] = {
    "missing": lambda place, canary: None,
    "an empty folder": lambda place, canary: place.mkdir(),
    "a full folder": lambda place, canary: (place.mkdir(), (place / "kept.txt").write_text("kept")),
    "a file": lambda place, canary: place.write_text("kept"),
    "a link to a file outside": lambda place, canary: place.symlink_to(canary / "kept.txt"),
    "a relative link outside": lambda place, canary: place.symlink_to(_upward(place, canary) / "kept.txt"),
    "a link to a folder outside": lambda place, canary: place.symlink_to(canary / "folder"),
    "a link to nothing": lambda place, canary: place.symlink_to(canary / "nothing"),
    "a link to itself": lambda place, canary: place.symlink_to(place.name),
    "a link to /dev/zero": lambda place, canary: place.symlink_to("/dev/zero"),
    "a link to /dev/stdin": lambda place, canary: place.symlink_to("/dev/stdin"),
    "a pipe": lambda place, canary: os.mkfifo(place),
    "a socket": lambda place, canary: _socket(place),
    "/dev/zero": lambda place, canary: _device(place, 5),
    "/dev/full": lambda place, canary: _device(place, 7),
}
#: the file itself, in another place, with a link to it where it was
MOVED = "a link to itself outside"


def _flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def _stretched(file: Path, size: int) -> None:
    with file.open("r+b") as target:
        target.truncate(size)


def _upward(place: Path, canary: Path) -> Path:
    return Path(os.path.relpath(canary, place.parent))


def _socket(place: Path) -> None:
    with chdir(place.parent), socket.socket(socket.AF_UNIX) as server:  # the name of one may not be long
        server.bind(place.name)


def _device(place: Path, minor: int) -> None:
    """A real one for root, else a link to it."""
    try:
        os.mknod(place, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
    except PermissionError:
        place.symlink_to({5: "/dev/zero", 7: "/dev/full"}[minor])
