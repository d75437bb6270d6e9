"""`vaekl encode` and `vaekl score`: a row for every example, in its order, as `vaekl.load` and `eval` have it."""

import csv
import errno
import json

import numpy as np
import pyarrow.parquet
import pytest
from cli_helpers import contents, refused, results, trained
from cli_helpers import vaekl as typed
from PIL import Image
from sklearn.datasets import load_digits

import vaekl

DIGITS = load_digits().images.astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on digits, and files of other examples."""
    folder = tmp_path_factory.mktemp("rows")
    trained(folder)
    np.save(folder / "mine.npy", DIGITS[:7])
    np.save(folder / "shades.npy", DIGITS[:7] / 16)
    np.savez(folder / "parts.npz", x_train=DIGITS[:5], x_test=DIGITS[5:9], y_train=[*"abcde"], y_test=[*"fghi"])
    (folder / "pictures").mkdir()
    for number, image in enumerate(DIGITS[:3]):
        Image.fromarray(image).save(folder / "pictures" / f"{number}.png")
    return folder


def written(folder, *words):
    """The file that a command has written: its columns by name, and what was printed."""
    answer = typed(folder, *words)
    assert answer.code == 0, answer.err
    file = folder / answer.out.split(": ")[0]
    if file.suffix == ".npz":
        return dict(np.load(file)), answer.out
    if file.suffix == ".parquet":
        table = pyarrow.parquet.read_table(file)
        return {name: table[name].to_numpy() for name in table.column_names}, answer.out
    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}, answer.out


@pytest.mark.parametrize("name", ["mine.npy", "shades.npy"])
@pytest.mark.parametrize("form", ["npz", "csv", "parquet"])
def test_all_of_a_file_in_its_order(form, name, folder):
    columns, out = written(folder, "encode", "run", name, "--format", form)
    assert f"7 images of {folder / name}" in out and f"run/latents/{name.partition('.')[0]}" in out
    posterior = vaekl.load(folder / "run").encode(DIGITS[:7])
    mean, std = (
        columns.get(part, np.stack([columns.get(f"{part}_{latent}", []) for latent in range(4)], 1))
        for part in ("mean", "std")
    )
    assert np.array_equal(np.asarray(mean, np.float32), posterior.mean.numpy())
    assert np.array_equal(np.asarray(std, np.float32), posterior.stddev.numpy())
    assert [*map(int, columns["row"])] == [*range(7)] and not {"split", "label"} & set(columns)


def test_scores_are_those_of_eval(folder):
    columns, _ = written(folder, "score", "run", "score.split=test", "score.k=50", "score.noise=eval")
    answer = typed(folder, "eval", "run", "eval.k=1,50", "eval.knn=false")
    assert answer.code == 0, answer.err
    measured = json.loads((folder / "run" / "eval.json").read_text())
    means = {name: values.astype(float).mean() for name, values in columns.items()}
    assert means["elbo_nats"] == pytest.approx(results(folder / "run")["test"]["elbo_nats"], abs=1e-4)
    assert means["iwae_nats"] == pytest.approx(measured["iwae"][1]["nats"], abs=1e-9)
    assert means["bits_per_dim"] == pytest.approx(measured["ruler"]["bits_per_dim"], abs=1e-9)
    assert [*columns["label"].astype(int)] == load_digits().target[1437:].tolist()


def test_scores_of_a_file_are_those_of_vaekl_load_for_the_same_seed(folder):
    columns, _ = written(folder, "score", "run", "mine.npy", "score.seed=3", "score.k=5")
    model = vaekl.load(folder / "run")
    assert np.array_equal(columns["elbo_nats"].astype(float), model.elbo(DIGITS[:7], seed=3).numpy())
    assert np.array_equal(columns["iwae_nats"].astype(float), model.log_prob(DIGITS[:7], k=5, seed=3).numpy())
    assert np.array_equal(columns["bits_per_dim"].astype(float), model.bits_per_dim(DIGITS[:7], seed=3).numpy())


def means_of(folder, *words):
    return written(folder, "encode", *words)[0]["mean"]


def test_levels_as_floats_are_levels_where_training_took_them_so(folder, tmp_path):
    dark = (DIGITS[:4] > 8).astype(float)
    np.savez(tmp_path / "floats.npz", pixels=DIGITS[:60].astype(float), others=DIGITS[:60])
    np.save(tmp_path / "floats.npy", DIGITS[:60].astype(float))
    np.save(tmp_path / "dark.npy", dark)
    np.save(tmp_path / "shades.npy", DIGITS[:7] / 16)
    data = ("dataset=npz", "dataset.path=floats.npz", "dataset.images=pixels", "dataset.levels=17")
    trained(tmp_path, *data, "likelihood=gaussian")
    model = vaekl.load(tmp_path / "run")
    for name in ("floats.npz", "floats.npy"):
        assert np.array_equal(means_of(tmp_path, "run", name), model.encode(DIGITS[:60]).mean.numpy())
    assert np.array_equal(means_of(tmp_path, "run", "dark.npy"), model.encode(dark.astype(int)).mean.numpy())
    refused(typed(tmp_path, "encode", "run", "shades.npy"), "from 0 to 1, not all of them whole", "levels 0 to 16")
    shades = means_of(tmp_path, "run", "shades.npy", "dataset.levels=null")
    assert np.array_equal(shades, model.encode(DIGITS[:7] / 16).mean.numpy())

    run = str(folder / "run")
    refused(typed(tmp_path, "encode", run, "floats.npy"), "floats from 0 to 16", "shades k/16", "astype(int)")
    of_digits = vaekl.load(run).encode(DIGITS[:60]).mean.numpy()
    for word in ("dataset.levels=17", "dataset.kind=levels"):
        out = f"encode.out={word}.npz"
        assert np.array_equal(means_of(tmp_path, run, "floats.npy", word, out), of_digits)


def test_the_run_s_own_data_with_split_row_and_label(folder):
    columns, _ = written(folder, "encode", "run")
    assert len(columns["row"]) == 1797 and set(columns["split"]) == {"train", "valid", "test"}
    rows = columns["row"] + np.where(columns["split"] == "test", 1437, 0)
    assert sorted(rows) == [*range(1797)] and np.array_equal(columns["label"], load_digits().target[rows])


def test_a_file_with_splits_and_labels_keeps_them(folder):
    columns, _ = written(folder, "encode", "run", "parts.npz")
    assert "".join(columns["label"]) == "abcdefghi" and [*columns["row"]] == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert [*columns["split"]] == ["train"] * 5 + ["test"] * 4


def test_a_folder_of_pictures_becomes_what_the_run_knows(folder):
    columns, out = written(folder, "encode", "run", "pictures", f"dataset.root={folder}")
    assert len(columns["mean"]) == 3 and "3 images" in out
    assert np.array_equal(columns["mean"], vaekl.load(folder / "run").encode(DIGITS[:3]).mean.numpy())


def test_rows_of_a_table_however_few(tmp_path):
    draw = np.random.default_rng(0)
    lines = [f"{draw.normal():.3f},{draw.choice(['a', 'b', 'c'])},{draw.choice(['x', 'y'])}" for _ in range(60)]
    (tmp_path / "all.csv").write_text("\n".join(["size,kind,label", *lines]))
    (tmp_path / "few.csv").write_text("kind,note,size,label\nb,hello,0.25,x\n")
    (tmp_path / "strange.csv").write_text("kind,size\nz,0.25\n")
    trained(tmp_path, "dataset=table", "dataset.path=all.csv", "dataset.label=label", "likelihood=columns")
    (tmp_path / "all.csv").unlink()
    columns, out = written(tmp_path, "score", "run", "few.csv", "score.k=5")
    assert [*columns["label"]] == ["x"] and "columns that the run does not have: note" in out
    model = vaekl.load(tmp_path / "run")
    rows = {"size": [0.25], "kind": ["b"]}
    assert float(columns["elbo_nats"][0]) == pytest.approx(model.elbo(rows).item(), rel=1e-9)
    assert float(columns["iwae_nats"][0]) == pytest.approx(model.log_prob(rows, k=5).item(), rel=1e-9)
    refused(typed(tmp_path, "encode", "run", "strange.csv"), "column kind of strange.csv holds 'z'", "a, b, c")


WRONG = [
    (("encode", "run", "nowhere.npy"), ("nowhere.npy does not exist",)),
    (("encode", "run", "mine.npy", "parts.npz"), ("one run and one file",)),
    (("encode", "run", "mine.npy", "dataset=digits"), ("dataset=digits names other data, and so does mine.npy",)),
    (("encode", "run", "mine.npy", "encode.split=test"), ("encode.split=test is of the run's own data", "mine.npy")),
    (("encode", "run", "mine.npy", "--format", "xls"), ("encode.format must be npz, csv or parquet",)),
    (("score", "run", "wrong.npy"), ("wrong.npy has the shape [3, 1, 7, 8]", "trained on images of 1×8×8")),
    (("score", "run", "bright.npy"), ("bright.npy holds values from", "the levels 0 to 16")),
    (("score", "run", "between.npy"), ("between the levels k/16",)),
    (("score", "run", "rows.csv"), ("rows.csv is a table, and this run was trained on images",)),
    (("score", "run", "mine.npy", "score.out=mine.npy"), ("score.out=mine.npy is there already",)),
]


@pytest.mark.parametrize(("words", "parts"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_what_does_not_fit_is_refused_and_nothing_is_written(words, parts, folder):
    np.save(folder / "wrong.npy", DIGITS[:3, :7])
    np.save(folder / "bright.npy", DIGITS[:3] + 5)
    np.save(folder / "between.npy", DIGITS[:3] / 17)
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    before = contents(folder)
    refused(typed(folder, *words), *parts)
    assert contents(folder) == before


def test_another_file_of_the_same_name_takes_no_file_s_place(folder, tmp_path):
    np.save(tmp_path / "mine.npy", DIGITS[20:22])
    first = typed(folder, "encode", "run", "mine.npy").out.split(": ")[0]
    kept = (folder / first).read_bytes()
    second = typed(folder, "encode", "run", str(tmp_path / "mine.npy")).out.split(": ")[0]
    assert first != second and (folder / first).read_bytes() == kept
    columns, _ = written(folder, "encode", "run", "mine.npy", "encode.out=new/mine.npz")
    assert len(columns["mean"]) == 7


def test_a_full_disk_leaves_the_file_that_was_there(folder, monkeypatch):
    assert typed(folder, "encode", "run", "mine.npy").code == 0

    def half(file, **_):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", half)
    before = contents(folder)
    refused(typed(folder, "encode", "run", "mine.npy", "encode.seed=1"), "could not be written (the disk is full)")
    assert contents(folder) == before
