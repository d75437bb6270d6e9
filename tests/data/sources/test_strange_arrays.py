"""Array files that promise more than they hold, or want more than is read."""

import io
import zipfile

import h5py
import numpy as np
import scipy.io
import torch
from source_cases import refused

from vaekl.data.sources import mat_files, tensor_files
from vaekl.data.sources.mat_files import of_mat
from vaekl.data.sources.npz import npz

GREY = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)


def test_what_follows_a_compressed_array_inside_of_its_element_is_not_gathered(tmp_path, monkeypatch):
    """The stream ends after some hundred bytes; ten megabytes follow, in pieces of a kilobyte."""
    scipy.io.savemat(tmp_path / "a.mat", {"x_train": np.ones((40, 8, 8), np.uint8)}, do_compression=True)
    content = (tmp_path / "a.mat").read_bytes()
    length = int.from_bytes(content[132:136], "little") + 10_000_000
    (tmp_path / "a.mat").write_bytes(content[:132] + length.to_bytes(4, "little") + content[136:] + bytes(10_000_000))
    monkeypatch.setattr(mat_files, "_AT_ONCE", 1024)
    pieces, opened = [], mat_files.open_file

    class Counted(io.BufferedReader):
        def read(self, *size):
            pieces.append(size)
            return super().read(*size)

    monkeypatch.setattr(mat_files, "open_file", lambda file: Counted(opened(file).detach()))
    members = of_mat(tmp_path / "a.mat")
    assert members["x_train"].read().sum() == 40 * 64 and len(pieces) < 20


def test_a_filter_that_is_not_here_is_not_looked_for(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((2, 6, 5))
        settings.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)  # Zstandard, which is a plugin
        h5py.h5d.create(file.id, b"x_train", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple(GREY.shape), settings)
    refused(lambda: npz(str(tmp_path / "a.h5")), "a.h5", "x_train", "compressed in a way that needs a plugin")


def test_a_pickle_as_long_as_no_list_of_tensors_is_not_read(tmp_path, monkeypatch):
    torch.save({"x_train": torch.from_numpy(GREY)}, tmp_path / "a.pt")
    assert len(npz(str(tmp_path / "a.pt")).train) == 18
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        length = sum(part.file_size for part in archive.infolist() if part.filename.endswith(".pkl"))
    monkeypatch.setattr(tensor_files, "_LONGEST_PICKLE", length - 1)
    monkeypatch.setattr(torch, "load", None)
    refused(lambda: npz(str(tmp_path / "a.pt")), "a.pt", "it holds more than tensors")


def test_an_npy_header_that_promises_gigabytes(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (3, 10**9)})
        file.write(b"1" * 100)
    refused(lambda: npz(str(tmp_path / "a.npy")), "a.npy", "it is cut off")
    np.savez(tmp_path / "a.npz", x_train=GREY)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.write(tmp_path / "a.npy", "x_train.npy")
    refused(lambda: npz(str(tmp_path / "a.npz")), "a.npz")
