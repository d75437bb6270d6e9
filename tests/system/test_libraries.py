"""A torch and a torchvision that are no pair are named in one sentence with the cure."""

import sys

import pytest

from vaekl.cli import main
from vaekl.system import libraries
from vaekl.system.errors import VaeklError


@pytest.mark.parametrize(
    "failure",
    [
        "raise RuntimeError('operator torchvision::nms does not exist')",
        "raise ImportError('libtorchvision.so: undefined symbol')",
    ],
)
def test_a_torchvision_that_does_not_fit_this_torch(failure, tmp_path, monkeypatch, capsys):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(failure, encoding="utf-8")
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAEKL_DATA_DIR", str(tmp_path / "data"))

    assert main(["train", "dataset=mnist", "trainer.steps=2"]) == 1
    message = capsys.readouterr().err.strip()
    assert "\n" not in message
    assert failure.split("'")[1] in message
    assert "pip install" in message
    assert "torch torchvision" in message
    assert not list(tmp_path.glob("outputs/*"))


def test_a_torchmetrics_that_does_not_load_gets_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(VaeklError, match=r"^torchmetrics does not load \(.*\): .*pip install.*torchmetrics`\.$"):
        libraries.torchmetrics("image.fid")
