"""A checkpoint is whole or not there, says what is wrong with it, and runs no code of a stranger."""

import io
import os
import subprocess
import sys
from copy import copy
from pathlib import Path
from unittest.mock import Mock
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
import torch
from cli_helpers import vaekl

from vaekl.store import checkpoint
from vaekl.system.errors import FullMemoryError, VaeklError

STATE = {"step": 3, "model": {"weight": torch.arange(1000.0)}, "rng": torch.get_rng_state(), "best": -1.5, "none": None}

#: forks a writer that saves for ever, kills it at a random moment, loads; twenty times
KILLER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from vaekl.store import checkpoint

path = Path(sys.argv[1])
random.seed(0)
state = {"weight": torch.arange(500_000.0)}
began = time.monotonic()
checkpoint.save(path, state | {"writer": -1})
seconds = time.monotonic() - began
torn = 0
for writer in range(20):
    child = os.fork()
    if not child:
        while True:
            checkpoint.save(path, state | {"writer": writer})
    time.sleep(random.uniform(0.1, 4) * seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    torn += path.with_name(f".{path.name}.partial").exists()
    loaded = checkpoint.load(path)
    assert torch.equal(loaded["weight"], state["weight"])
print(torn, loaded["writer"])
"""


def sentence(call, *arguments):
    with pytest.raises(VaeklError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_a_state_comes_back_as_it_was(tmp_path):
    checkpoint.save(tmp_path / "a.pt", STATE)
    loaded = checkpoint.load(tmp_path / "a.pt")
    assert loaded.keys() == STATE.keys()
    assert torch.equal(loaded["model"]["weight"], STATE["model"]["weight"])
    assert torch.equal(loaded["rng"], STATE["rng"])
    assert (loaded["step"], loaded["best"], loaded["none"]) == (3, -1.5, None)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_killed_writer_leaves_the_file_whole(tmp_path):
    command = [sys.executable, "-c", KILLER, str(tmp_path / "last.pt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    torn, writer = map(int, done.stdout.split())
    # else no kill came while a file was being written, or no writer ever got to the end of one
    assert torn > 0 and writer >= 0
    checkpoint.save(tmp_path / "last.pt", STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_file_truncated_anywhere_is_refused(tmp_path):
    """At every KiB, and at every byte of the checksum and of the end of the zip file before it."""
    path = tmp_path / "a.pt"
    checkpoint.save(path, STATE)
    whole = path.read_bytes()
    lengths = [*range(0, len(whole), 1024), *range(len(whole) - 200, len(whole))]
    for length in lengths:
        path.write_bytes(whole[:length])
        assert str(path) in sentence(checkpoint.load, path)
    assert len(lengths) > 200


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path):
    """torch.load alone takes most of them for other weights."""
    path = tmp_path / "a.pt"
    checkpoint.save(path, STATE)
    whole = bytearray(path.read_bytes())
    for bit in (*range(0, 8 * len(whole), 997), *range(8 * (len(whole) - 80), 8 * len(whole))):
        whole[bit // 8] ^= 1 << bit % 8
        path.write_bytes(whole)
        assert str(path) in sentence(checkpoint.load, path)
        whole[bit // 8] ^= 1 << bit % 8
    path.write_bytes(whole)
    assert checkpoint.load(path)["step"] == 3


def sealed(path, content):
    """A file as a stranger may write it: anyone can seal."""
    torch.save(content, path)
    raw = path.read_bytes()
    path.write_bytes(raw + checkpoint._seal(raw))


def test_one_without_a_checksum_is_refused(tmp_path):
    torch.save({"format": checkpoint.FORMAT, "state": {"step": 5}}, tmp_path / "a.pt")
    assert "its checksum is missing" in sentence(checkpoint.load, tmp_path / "a.pt")


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_only_a_regular_file_is_opened(kind, tmp_path):
    path = tmp_path / "last.pt"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        checkpoint.save(tmp_path / "other.pt", STATE)
        path.symlink_to(tmp_path / "other.pt")
    assert kind in sentence(checkpoint.load, path)


def test_one_of_another_vaekl_says_so(tmp_path):
    earlier, later = "an earlier vaekl", "upgrade vaekl"
    for number, part in ((checkpoint.FORMAT - 1, earlier), (checkpoint.FORMAT + 1, later), (10**400, later)):
        sealed(tmp_path / "a.pt", {"format": number, "state": {}})
        assert part in sentence(checkpoint.load, tmp_path / "a.pt")


def test_the_one_before_is_kept(tmp_path):
    last, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    for step in range(3):
        checkpoint.save(last, {"step": step}, previous)
    assert (checkpoint.load(last)["step"], checkpoint.load(previous)["step"]) == (2, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "previous.pt"}


def test_a_kill_between_the_two_names_leaves_nothing_behind_the_next_save(tmp_path):
    """The previous checkpoint is kept by a second name of the last, and the kill comes before there is a new last."""
    last, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    checkpoint.save(last, {"step": 1}, previous)
    previous.hardlink_to(last)
    checkpoint.save(last, {"step": 2}, previous)
    assert (checkpoint.load(last)["step"], checkpoint.load(previous)["step"]) == (2, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "previous.pt"}


def test_a_checkpoint_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "last.pt", STATE)
    done, sync, replace = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("sync"), sync(number)))
    monkeypatch.setattr(Path, "replace", lambda path, to: (done.append((path.name, to.name)), replace(path, to))[1])
    checkpoint.save(tmp_path / "last.pt", STATE, tmp_path / "previous.pt")
    assert done == ["sync", (".previous.pt.partial", "previous.pt"), (".last.pt.partial", "last.pt"), "sync"]


@pytest.mark.parametrize("content", [{"state": {}}, {"format": "1", "state": {}}, [1], 5, {"format": 1}], ids=str)
def test_a_strangers_file_is_no_checkpoint(content, tmp_path):
    sealed(tmp_path / "a.pt", content)
    assert "no vaekl checkpoint" in sentence(checkpoint.load, tmp_path / "a.pt")


class Evil:
    """Unpickled, it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w')",)


def test_pickled_code_is_not_run(tmp_path):
    sealed(tmp_path / "a.pt", {"format": checkpoint.FORMAT, "state": Evil(tmp_path / "ran")})
    assert "cannot be read" in sentence(checkpoint.load, tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()


def test_text_and_folders_and_nothing_at_all(tmp_path):
    (tmp_path / "a.pt").write_text("weights")
    (tmp_path / "b.pt").mkdir()
    for name in ("a.pt", "b.pt", "c.pt"):
        assert name in sentence(checkpoint.load, tmp_path / name)


def zipped(method):
    """A checkpoint with its parts packed anew."""
    whole = io.BytesIO()
    torch.save({"format": checkpoint.FORMAT, "state": STATE}, whole)
    packed = io.BytesIO()
    with ZipFile(whole) as source, ZipFile(packed, "w", method) as target:
        for part in source.namelist():
            target.writestr(part, source.read(part))
    return packed.getvalue()


@pytest.mark.parametrize(
    "kind", ["stored", "compressed", "of the former format, with a zip file after it", "overlapping"]
)
def test_only_what_unfolds_to_its_own_size_is_unfolded(kind, tmp_path):
    """A few kilobytes of compressed zeros are gigabytes, and so is a part that is listed a thousand times."""
    content = io.BytesIO(zipped(ZIP_DEFLATED if kind == "compressed" else ZIP_STORED))
    if kind == "of the former format, with a zip file after it":
        content = io.BytesIO()
        torch.save({"format": checkpoint.FORMAT, "state": STATE}, content, _use_new_zipfile_serialization=False)
        content.write(zipped(ZIP_STORED))
    if kind == "overlapping":
        with ZipFile(content, "a") as file:
            largest = max(file.infolist(), key=lambda part: part.file_size)
            for number in range(9):
                file.filelist.append(copy(largest))
                file.filelist[-1].filename = f"archive/data/{number}9"
            file._didModify = True
    raw = content.getvalue()
    (tmp_path / "a.pt").write_bytes(raw + checkpoint._seal(raw))
    if kind == "stored":
        assert checkpoint.load(tmp_path / "a.pt")["step"] == 3
    else:
        assert "no file of PyTorch's" in sentence(checkpoint.load, tmp_path / "a.pt")


def test_what_could_not_be_read_again_is_not_saved(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "a.pt", STATE)
    before = (tmp_path / "a.pt").read_bytes()
    monkeypatch.setattr(checkpoint, "_MOST", len(before) - 1)
    assert "more than" in sentence(checkpoint.load, tmp_path / "a.pt")
    assert "make the model smaller" in sentence(checkpoint.save, tmp_path / "a.pt", STATE)
    assert (tmp_path / "a.pt").read_bytes() == before


def test_a_full_memory_is_no_damage(tmp_path, monkeypatch):
    """Else the run would be taken up at the checkpoint before."""
    checkpoint.save(tmp_path / "a.pt", STATE)
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")):
        monkeypatch.setattr(torch, "load", Mock(side_effect=error))
        with pytest.raises(FullMemoryError, match=r"a\.pt does not fit the memory"):
            checkpoint.load(tmp_path / "a.pt")


def test_of_a_larger_memory_only_the_tensor_s_own_part_is_written(tmp_path):
    whole = torch.arange(1000.0)
    state = {"part": whole[10:20], "list": [whole[:1].expand(5)], "all": {"transposed": torch.rand(3, 4).t()}}
    checkpoint.save(tmp_path / "a.pt", state)
    loaded = checkpoint.load(tmp_path / "a.pt")
    assert torch.equal(loaded["part"], state["part"]) and loaded["part"].untyped_storage().nbytes() == 40
    assert torch.equal(loaded["list"][0], whole[:1].expand(5)) and loaded["list"][0].stride() == (1,)
    assert loaded["all"]["transposed"].stride() == (1, 4)


def test_what_a_gpu_has_saved_is_read_without_one(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:3")
    checkpoint.save(tmp_path / "a.pt", STATE)
    monkeypatch.undo()
    assert b"cuda:3" in (tmp_path / "a.pt").read_bytes()
    weight = checkpoint.load(tmp_path / "a.pt")["model"]["weight"]
    assert weight.device.type == "cpu" and torch.equal(weight, STATE["model"]["weight"])


def test_a_failed_save_keeps_the_earlier_one(tmp_path):
    path = tmp_path / "a.pt"
    checkpoint.save(path, STATE)
    before = path.read_bytes()
    with pytest.raises(TypeError), checkpoint.replacing(path, "checkpoint") as partial:
        partial.write_bytes(b"half of" + "a file")
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_folder_that_is_gone_gets_a_sentence(tmp_path):
    assert "could not be written" in sentence(checkpoint.save, tmp_path / "gone" / "a.pt", STATE)


def test_nothing_is_pickled_that_the_loader_would_refuse(tmp_path):
    """A run's own checkpoint loads without trusting it."""
    vaekl(tmp_path, "train", "hydra.run.dir=run", "trainer.steps=2", "model.hidden=[4]", "trainer.ema=0.9")
    state = checkpoint.load(tmp_path / "run" / "last.pt")
    assert {"model", "average", "optimizer", "generator", "step", "rows"} <= set(state)
