"""`vaekl export --to onnx` and `--to torch-export`: networks that other programs run as the model does."""

import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from cli_helpers import contents, refused, trained
from cli_helpers import vaekl as typed
from sklearn.datasets import load_digits

import vaekl
from vaekl.model.vae import VAE

DIGITS = load_digits().images[:9, None].astype(np.float32)
#: PyTorch alone: vaekl cannot be imported
COLLEAGUE = """
import sys
sys.modules["vaekl"] = None
import torch
folder = sys.argv[1]
about = {"vaekl.json": ""}
decoder = torch.export.load(f"{folder}/decoder.pt2", extra_files=about).module()
encoder = torch.export.load(f"{folder}/encoder.pt2").module()
x, z = torch.load(f"{folder}/inputs.pt")
torch.save((encoder(x), decoder(z), about["vaekl.json"]), f"{folder}/outputs.pt")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    trained(folder, "likelihood=gaussian", "transform=dequantize")
    return folder


def by_onnx(folder, x, z):
    outputs = []
    for name, words in (("encoder", {"x": x}), ("decoder", {"z": z})):
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        arrays = session.run(names, {key: value.numpy() for key, value in words.items()})
        outputs.append(dict(zip(names, map(torch.from_numpy, arrays), strict=True)))
    return *outputs, session.get_modelmeta().custom_metadata_map


def by_pytorch(folder, x, z):
    about = {"vaekl.json": ""}
    decoder = torch.export.load(folder / "decoder.pt2", extra_files=about).module()
    return torch.export.load(folder / "encoder.pt2").module()(x), decoder(z), json.loads(about["vaekl.json"])


def by_a_colleague(folder, x, z):
    torch.save((x, z), folder / "inputs.pt")
    subprocess.run([sys.executable, "-c", COLLEAGUE, str(folder)], check=True, env={}, cwd=folder)
    encoded, decoded, about = torch.load(folder / "outputs.pt")
    return encoded, decoded, json.loads(about)


def assert_same(outputs, expected):
    assert list(outputs) == list(expected)
    for name, value in expected.items():
        assert torch.allclose(outputs[name], value, rtol=1e-5, atol=1e-5, equal_nan=True), name


@pytest.mark.parametrize(("to", "ending", "computed"), [("onnx", "onnx", by_onnx), ("torch-export", "pt2", by_pytorch)])
def test_another_program_computes_what_the_model_does(to, ending, computed, folder):
    answer = typed(folder, "export", "run", "--to", to, f"export.out={to}")
    assert answer.code == 0 and answer.out.startswith(f"{to}: last.pt at step 4 as encoder.{ending} and"), answer
    assert not answer.err
    place = folder / to
    files = {f"encoder.{ending}", f"decoder.{ending}", "config.yaml", "facts.json", "results.json", "README.md"}
    assert set(contents(place)) == files
    run, z = vaekl.load(folder / "run"), torch.randn(5, 4)
    encoded, decoded, about = computed(place, torch.from_numpy(DIGITS / 16), z)
    with torch.no_grad():
        mean, log_std = run.model.encode(torch.from_numpy((DIGITS + 0.5) / 17))
    law = run.decode(z)
    assert_same(encoded, {"mean": mean, "log_std": log_std})
    assert_same(decoded, {"eta": run.model.decode(z).detach(), "mean": law.mean, "variance": law.variance})
    assert about["likelihood"] == "gaussian"
    assert json.loads(about["dispersion"]) == run.model.weighting.dispersion.tolist()
    assert json.loads(about["shape"]) == [1, 8, 8] and about["latents"] == "4"
    assert "(k + U)/17, U at its mean 1/2" in about["x"] and about["x"] in (place / "README.md").read_text("utf-8")
    # where the code lies here is nobody's business
    assert not any(b"site-packages" in data or b"vaekl/model" in data for data in contents(place).values())
    with pytest.raises(vaekl.VaeklError, match=rf"programs without vaekl \(--to {to}\), .*export --to safetensors"):
        vaekl.load(place)


def branching(self, z, x=None):
    return self.decoder(z) if z.sum() > 0 else self.decoder(-z)


def noisy(self, x):
    mean, log_std = self.encoder(x)
    return mean + torch.rand_like(mean), log_std


@pytest.mark.parametrize(
    ("method", "instead", "says"),
    [
        ("decode", branching, "the decoder cannot be exported as torch-export (Could not guard on data-dependent"),
        ("encode", noisy, "the encoder as torch-export differs from the model's by"),
    ],
)
def test_networks_that_are_no_graph_are_refused(method, instead, says, folder, monkeypatch):
    monkeypatch.setattr(VAE, method, instead)
    before = contents(folder)
    refused(typed(folder, "export", "run", "--to", "torch-export", "export.out=other"), says, "--to safetensors")
    assert contents(folder) == before and not (folder / ".other.partial").exists()


@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_library_is_named(library, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    refused(typed(folder, "export", "run", "--to", "onnx"), f"needs {library},", 'pip install "vaekl[onnx]"')
    assert not (folder / "run" / "export").exists()


TABLE = "a,b,c,d\n" + "".join(
    f"{row * 0.37 % 5:.3f},{row % 7},{'xyz'[row % 3]},{['no', 'yes'][row % 2]}\n" for row in range(60)
)


@pytest.mark.nightly
@pytest.mark.parametrize("to", ["onnx", "torch-export"])
@pytest.mark.parametrize(
    "words",
    [
        ("model=conv", "model.width=4", "model.hidden=16", "likelihood=gaussian", "likelihood.scale=decoder"),
        ("dataset=table", "dataset.path=rows.csv", "dataset.missing=mask", "likelihood=columns"),
        ("dataset=wine", "likelihood=student_t"),
        ("dataset=digits_counts", "dataset.offset=total", "likelihood=negative_binomial"),
        ("likelihood=bernoulli", "transform=binarize", "transform.mode=stochastic"),
        ("likelihood=bernoulli", "transform=binarize"),
        *[(f"likelihood={family}",) for family in ("categorical", "discretized_logistic", "logistic_mixture")],
        *[(f"likelihood={family}",) for family in ("beta", "logit_normal", "truncated_gaussian", "censored_gaussian")],
        ("transform=warp", "transform.gamma=-0.2", "likelihood=cb"),
    ],
    ids=lambda words: words[0] if len(words) == 1 else "-".join(word.split("=")[-1] for word in words),
)
def test_every_kind_of_run(words, to, tmp_path):
    (tmp_path / "rows.csv").write_text(TABLE + ",3,x,no\n")
    trained(tmp_path, *words)
    answer = typed(tmp_path, "export", "run", "--to", to, "export.out=other")
    assert answer.code == 0, answer.err
    run, z = vaekl.load(tmp_path / "run"), torch.randn(5, 4)
    stored, spec = run.stored, run.model.spec
    x = torch.rand(7, *stored.shape)
    if stored.levels is not None:
        levels = (x * (stored.levels - 1)).round()
        x, seen = levels / (stored.levels - 1), levels
        if spec.dequantized or "warped" in spec.protocol:
            seen = (levels + 0.5) / stored.levels
        elif spec.support == "unit_interval":
            seen = x
        elif spec.support == "binary":
            x, seen = (levels % 2,) * 2 if words[-1].endswith("stochastic") else (x, (x >= 0.5).float())
        if "warped" in spec.protocol:
            seen = ((seen - 0.2) / 0.6).clamp(0, 1)
    elif spec.scaling is not None:
        x[0, 0] = torch.nan if stored.has_missing else 0.5
        seen = (x - spec.scaling.center) / spec.scaling.spread
    else:
        x = seen = (9 * x).round()
    encoded, decoded, _ = {"onnx": by_onnx, "torch-export": by_a_colleague}[to](tmp_path / "other", x, z)
    with torch.no_grad():
        mean, log_std = run.model.encode(seen)
        eta = run.model.decode(z)
        moments = run.model.moments(eta)
    assert_same(encoded, {"mean": mean, "log_std": log_std})
    assert_same(decoded, {"eta": eta, "mean": moments[0], "variance": moments[1]})
