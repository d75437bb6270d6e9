"""Arrays of MATLAB, PyTorch, safetensors and HDF5 files, written by those libraries."""

import sys
import zipfile
from contextlib import suppress

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from safetensors.torch import save_file
from source_cases import refused

from vaekl.data.sources.hdf5_files import of_matlab_hdf5
from vaekl.data.sources.mat_files import of_mat
from vaekl.data.sources.npz import npz
from vaekl.system.errors import VaeklError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 6, 5), np.uint8)
LABELS = np.arange(20) % 3


MATLAB = {"float64": "double", "float32": "single"}


def save_mat(file, arrays):
    scipy.io.savemat(file, arrays, do_compression=True)


def save_old_mat(file, arrays):
    scipy.io.savemat(file, arrays)


def save_mat73(file, arrays):
    """As MATLAB does: axes in reverse, and its own head in front of HDF5's."""
    with h5py.File(file, "w", userblock_size=512) as archive:
        for name, array in arrays.items():
            stored = np.atleast_2d(array).T
            archive.create_dataset(name, data=stored).attrs["MATLAB_class"] = np.bytes_(
                MATLAB.get(str(array.dtype), str(array.dtype))
            )
        archive.create_dataset("words", data=np.zeros((3, 1), "u2")).attrs["MATLAB_class"] = np.bytes_("char")
        archive.create_group("#refs#").create_dataset("a", data=GREY)
    content = file.read_bytes()
    file.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + content[512:])


def save_hdf5(file, arrays):
    with h5py.File(file, "w") as archive:
        for name, array in arrays.items():
            archive.create_dataset(name, data=array, compression="gzip", chunks=True)


def save_torch(file, arrays):
    torch.save({name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, file)


def save_safetensors(file, arrays):
    save_file({name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, file)


WRITERS = {
    "a.mat": save_mat, "b.mat": save_old_mat, "c.mat": save_mat73, "a.h5": save_hdf5, "b.HDF5": save_hdf5,
    "a.pt": save_torch, "b.pth": save_torch, "a.safetensors": save_safetensors,
}  # fmt: skip
ARRAYS = {"x_train": GREY, "x_val": GREY[:4], "x_test": GREY[:3], "y_train": LABELS}


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_arrays_from_every_kind_of_file(tmp_path, name):
    WRITERS[name](tmp_path / name, ARRAYS | {"embedding": np.zeros((20, 2))})
    source = npz(str(tmp_path / name), layout="NHW")
    for split, expected in ((source.train, GREY), (source.valid, GREY[:4]), (source.test, GREY[:3])):
        assert torch.equal(split[:, 0], torch.from_numpy(expected))
    assert source.train_labels.tolist() == LABELS.tolist()
    assert "1 arrays that are not used: embedding (20×2)" in source.inventory.left_out
    assert source.spec.levels == 256


@pytest.mark.parametrize("name", WRITERS)
def test_an_array_may_be_named(tmp_path, name):
    WRITERS[name](tmp_path / name, {"first": GREY, "second": GREY // 2, "kinds": LABELS})
    refused(lambda: npz(str(tmp_path / name)), name, "first (20×6×5)", "dataset.images")
    refused(lambda: npz(str(tmp_path / name), images="frist"), "did you mean first?")
    source = npz(str(tmp_path / name), images="second", labels="kinds", layout="NHW", test_fraction=0.5)
    assert source.train.max() <= 127 and len(source.train_labels) == 10


@pytest.mark.parametrize("name", WRITERS)
def test_a_broken_file_is_one_sentence(tmp_path, name):
    file = tmp_path / name
    WRITERS[name](file, ARRAYS)
    content = file.read_bytes()
    for length in (0, 20, 200, len(content) // 2, len(content) - 30):
        file.write_bytes(content[:length])
        assert len(refused(lambda: npz(str(file), layout="NHW"), name)) < 400
    rng = np.random.default_rng(1)
    for _ in range(20):
        broken = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            broken[place] = rng.integers(256)
        file.write_bytes(broken)
        with suppress(VaeklError):
            npz(str(file), layout="NHW")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "?"])
def test_every_type_of_matlab_s_numbers_is_what_scipy_reads(tmp_path, kind, compressed):
    array = (RNG.random((3, 4, 5, 2)) * 100).astype(kind)
    scipy.io.savemat(tmp_path / "a.mat", {"x": array, "name" * 7: array[:1, :1, 0, 0]}, do_compression=compressed)
    members = of_mat(tmp_path / "a.mat")
    for name, member in members.items():
        expected = scipy.io.loadmat(tmp_path / "a.mat", mat_dtype=True)[name]
        read = member.read()
        assert np.array_equal(read, expected) and read.dtype == np.dtype(kind) and member.kind == np.dtype(kind).kind
    assert members["x"].shape == array.shape


def test_what_matlab_has_beside_numbers_is_named(tmp_path):
    other = {"c": np.array(["a", 1.0], object), "s": {"q": 1}, "words": "ab", "z": GREY * 1j}
    scipy.io.savemat(tmp_path / "a.mat", {"x_train": GREY, "y_train": LABELS, **other})
    assert npz(str(tmp_path / "a.mat")).inventory.left_out == [
        "c: MATLAB's cell", "s: MATLAB's struct", "words: MATLAB's char", "z: complex numbers",
    ]  # fmt: skip
    scipy.io.savemat(tmp_path / "four.mat", {"x_train": GREY[:, 0]}, format="4")
    assert "truncated" not in refused(lambda: npz(str(tmp_path / "four.mat")), "a MATLAB file", "version 4")


@pytest.mark.parametrize("save", [save_mat, save_mat73])
def test_matlab_s_images_along_the_last_axis(tmp_path, save):
    """As SVHN has them: three channels, and N last."""
    save(tmp_path / "a.mat", {"X": np.stack([GREY] * 3, -1).transpose(1, 2, 3, 0), "y": LABELS[:, None]})
    source = npz(str(tmp_path / "a.mat"), test_fraction=0.1)
    assert source.spec.shape == (3, 6, 5) and len(source.train) == 18 and len(source.train_labels) == 18
    save(tmp_path / "b.mat", {"X": GREY})
    refused(lambda: npz(str(tmp_path / "b.mat")), "not plain", "NHW, HWN")


def test_groups_of_hdf5_are_names(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/images"], file["test/images"], file["train/labels"] = GREY, GREY[:3], LABELS
    source = npz(str(tmp_path / "a.h5"))
    assert (len(source.train), len(source.test), len(source.train_labels)) == (20, 3, 20)


def test_hdf5_reads_no_other_file_and_unfolds_nothing_endless(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(GREY.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = GREY
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", GREY.shape, "u1", external=[(str(secret), 0, GREY.size)])
        layout = h5py.VirtualLayout(GREY.shape, "u1")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", GREY.shape)
        file.create_virtual_dataset("virtual", layout)
        file["x_train"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
        file["words"], file["rows"] = ["a", "b"], np.zeros(3, [("a", "f4")])
    refused(
        lambda: npz(str(tmp_path / "a.h5")), "raw (stored in another file)", "virtual (stored in another file)",
        "words (of words", "rows (a table",
    )  # fmt: skip
    refused(lambda: npz(str(tmp_path / "a.h5"), images="x_train"), "dataset.images=x_train is no array")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x_train", (1 << 21, 32, 32), "u1", chunks=(1, 32, 32), compression="gzip")
        file.create_dataset("y_train", (1 << 50,), "u1", chunks=(1 << 10,), compression="gzip")
    refused(lambda: npz(str(tmp_path / "a.h5")), "unfolds to")


class Touch:
    """Pickled, it makes a file where it is read."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def test_pytorch_s_files_make_no_objects(tmp_path):
    torch.save({"x_train": torch.from_numpy(GREY), "code": Touch(tmp_path / "made")}, tmp_path / "a.pt")
    refused(lambda: npz(str(tmp_path / "a.pt")), "not tensors", "never read")
    assert not (tmp_path / "made").exists()
    torch.save(torch.from_numpy(GREY), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    refused(lambda: npz(str(tmp_path / "old.pt")), "torch.save")
    torch.save({"x_train": torch.zeros(1).expand(1 << 22, 1 << 10, 1 << 10)}, tmp_path / "a.pt")
    refused(lambda: npz(str(tmp_path / "a.pt")), "unfolds to")


def test_tensors_alone_in_lists_and_of_rare_types(tmp_path):
    file = str(tmp_path / "mine.pt")
    torch.save(torch.from_numpy(GREY), file)
    assert npz(file).inventory.origins["train"] == "mine"
    torch.save((torch.from_numpy(GREY), torch.from_numpy(LABELS)), file)
    assert len(npz(file, labels="item_1").train_labels) == 18
    torch.save({"x_train": torch.rand(20, 1, 6, 5).bfloat16().requires_grad_(), "n": 3, "z": {"q": torch.eye(2)}}, file)
    source = npz(file)
    assert source.spec.support == "unit_interval"
    assert source.inventory.left_out == ["n: no tensor", "1 arrays that are not used: z/q (2×2)"]
    torch.save({"x_train": torch.eye(5).to_sparse()}, file)
    refused(lambda: npz(file), "x_train (sparse, quantized, nested or without values)")
    save_file({"x_train": torch.rand(20, 1, 6, 5).bfloat16()}, tmp_path / "a.safetensors")
    assert npz(str(tmp_path / "a.safetensors")).spec.support == "unit_interval"


@pytest.mark.parametrize(("name", "library"), [("a.h5", "h5py"), ("c.mat", "h5py"), ("a.safetensors", "safetensors")])
def test_a_library_that_is_not_there_is_named_with_the_extra(tmp_path, monkeypatch, name, library):
    WRITERS[name](tmp_path / name, ARRAYS)
    monkeypatch.setitem(sys.modules, library, None)
    refused(lambda: npz(str(tmp_path / name)), name, library, 'pip install "vaekl[formats]"')


def test_a_file_under_another_name_is_called_what_it_is(tmp_path):
    for name, suffix in (("a.h5", ".h5"), ("a.mat", ".mat"), ("a.pt", ".pt")):
        WRITERS[name](tmp_path / name, ARRAYS)
        (tmp_path / name).rename(tmp_path / "a.npz")
        refused(lambda: npz(str(tmp_path / "a.npz")), f"a name that ends in {suffix}")
    save_hdf5(tmp_path / "h.mat", ARRAYS)
    assert len(npz(str(tmp_path / "h.mat"), layout="NHW").train) == 20


def test_an_expanded_tensor_is_not_unfolded(tmp_path, monkeypatch):
    """A file of a kilobyte, whose one value stands for a hundred million."""
    monkeypatch.setattr("vaekl.data.sources.array_files._LARGE", 1 << 20)
    file = tmp_path / "a.pt"
    torch.save({"x_train": torch.zeros(1).expand(25_000, 1, 64, 64)}, file)
    assert file.stat().st_size < 2_000
    refused(lambda: npz(str(file)), "unfolds to", "which no images do")


def test_a_tensor_without_values_is_named(tmp_path):
    torch.save({"x_train": torch.empty(40, 1, 8, 8, device="meta")}, tmp_path / "a.pt")
    refused(lambda: npz(str(tmp_path / "a.pt")), "without values")


def test_an_empty_array_of_matlab_7_3_is_no_data(tmp_path):
    """Its sides are stored in its place, here as if there were two labels."""
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["x_train"] = np.random.default_rng(0).integers(0, 255, (8, 8, 40)).astype(np.uint8)
        for name, value in (("x_train", 0), ("y_train", 1)):
            if value:
                file[name] = np.array([0, 0], np.uint64)
            file[name].attrs["MATLAB_class"] = np.bytes_("uint8" if name == "x_train" else "double")
            if value:
                file[name].attrs["MATLAB_empty"] = np.uint8(1)
    members = of_matlab_hdf5(tmp_path / "a.mat")
    assert (members["y_train"].unusable, members["x_train"].unusable) == ("empty", "")


def test_a_mat_file_that_unfolds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("vaekl.data.sources.array_files._LARGE", 1 << 20)
    scipy.io.savemat(tmp_path / "bomb.mat", {"x_train": np.zeros((30_000, 16, 15), np.uint8)}, do_compression=True)
    refused(lambda: npz(str(tmp_path / "bomb.mat")), "unfolds to")


def test_a_pt_file_with_compressed_parts_is_none_of_torch_s(tmp_path):
    torch.save({"x_train": torch.zeros(40, 1, 8, 8)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as whole,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in whole.namelist():
            new.writestr(part, whole.read(part))
    refused(lambda: npz(str(tmp_path / "b.pt")), "its parts are compressed")
