"""`import vaekl`: instant, complete for configs and users, and independent of where the modules behind it lie."""

import ast
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from cli_helpers import finished, trained
from forks import Fork

import vaekl

ROOT = Path(__file__).parents[1]
STUB = ROOT / "vaekl" / "__init__.pyi"


def targets():
    """Every name of vaekl's that a config calls."""
    contents = [yaml.safe_load(file.read_text(encoding="utf-8")) or {} for file in (ROOT / "conf").glob("*/*.yaml")]
    return sorted({target for content in contents if (target := content.get("_target_", "")).startswith("vaekl.")})


def test_import_brings_nothing_heavy_along():
    code = (
        "import sys, vaekl; print(sorted({'torch', 'numpy', 'hydra', 'omegaconf', 'yaml', 'rich'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout == "[]\n"


def test_the_stub_and_the_module_agree():
    imports = [node for node in ast.parse(STUB.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in imports for alias in node.names]
    assert sorted(vaekl.__all__) == sorted(names) and len(set(names)) == len(names)
    assert all(alias.asname == alias.name for node in imports for alias in node.names)  # re-exported to type checkers
    for name in names:
        thing = getattr(vaekl, name)
        if isinstance(thing, ModuleType):
            assert thing is sys.modules[f"vaekl.{name}"]
            continue
        assert thing.__name__ == name and thing.__module__.startswith("vaekl.")
    assert set(names) <= set(dir(vaekl))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="NoSuchThing"):
        vaekl.NoSuchThing  # noqa: B018
    assert vaekl.__version__[0].isdigit()


@pytest.mark.parametrize("target", targets())
def test_configs_name_the_public_face(target):
    assert target.removeprefix("vaekl.") in vaekl.__all__


def in_house(house, *words):
    """`vaekl WORDS` by the vaekl of another folder."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "vaekl"]:
        del sys.modules[name]
    sys.path.insert(0, str(house))
    networks, cli = import_module("vaekl.networks"), import_module("vaekl.cli")
    assert Path(networks.__file__).is_relative_to(house)
    return cli.main(words)


def test_a_run_folder_outlives_the_modules_behind_it(tmp_path):
    run = trained(tmp_path, "likelihood=gaussian")
    house = tmp_path / "house"
    shutil.copytree(ROOT / "vaekl", house / "vaekl")
    shutil.copytree(ROOT / "conf", house / "conf")
    # the networks and the densities move to other packages, under other names
    (house / "vaekl/model/nets").rename(house / "vaekl/networks")
    (house / "vaekl/model/likelihoods").rename(house / "vaekl/data/densities")
    for file in [*(house / "vaekl").rglob("*.py"), house / "vaekl/__init__.pyi"]:
        text = own = file.read_text(encoding="utf-8")
        for before, after in (("model.nets", "networks"), ("model.likelihoods", "data.densities")):
            text = text.replace(f"vaekl.{before}", f"vaekl.{after}").replace(f"from .{before}", f"from .{after}")
        text = text.replace("from vaekl.model import likelihoods", "from vaekl.data import densities as likelihoods")
        if text != own:  # the others stay compiled
            file.write_text(text, encoding="utf-8")
    answer = finished(
        Fork(in_house, house, "eval", str(run), "eval.images=5", "eval.k=1", "eval.knn=false", folder=tmp_path)
    )
    assert answer.code == 0, answer.err
    assert "gaussian" in (run / "config.yaml").read_text(encoding="utf-8")
