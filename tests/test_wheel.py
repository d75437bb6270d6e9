"""The wheel that a user gets: built through the sdist, installed away from the repository, and used there.

PyTorch is not installed a second time: the new environment finds the libraries in the one that runs the tests.
"""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# one worker builds, and runs all of this file
pytestmark = pytest.mark.xdist_group("wheel")


class Installed(NamedTuple):
    """An environment that holds the wheel, and how to run a command of it."""

    site_packages: Path
    scripts: Path

    def __call__(self, *command: str | Path, cwd: Path, code: int = 0) -> str:
        """The command's output, after checking its exit code; nothing of the tests' own environment leads back."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        script, *arguments = map(str, command)
        ran = subprocess.run(
            [self.scripts / script, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    base = tmp_path_factory.mktemp("wheel")
    dist, environment = base / "dist", base / "venv"
    # `build` makes the sdist, and the wheel from what the sdist holds
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(ROOT)]
    built = subprocess.run(build, cwd=base, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = dist.glob("*.whl")

    venv.create(environment, with_pip=False)
    paths = {"base": str(environment), "platbase": str(environment)}
    vaekl = Installed(*(Path(sysconfig.get_path(name, "venv", vars=paths)) for name in ("purelib", "scripts")))
    pip = [sys.executable, "-m", "pip", "--python", str(vaekl.scripts / "python"), "install"]
    put = subprocess.run([*pip, "--no-index", "--no-deps", str(wheel)], cwd=base, capture_output=True, text=True)
    assert put.returncode == 0, put.stdout + put.stderr
    # folders named in a .pth come after the environment's own, and the .pth files in them (vaekl's editable install
    # in the checkout has one) are not read
    folders = [path for path in sys.path if path.endswith("-packages")]
    (vaekl.site_packages / "libraries.pth").write_text("\n".join(folders), encoding="utf-8")
    return vaekl


def test_the_wheel_is_what_runs(installed: Installed, tmp_path: Path) -> None:
    code = (
        "import vaekl, vaekl.config.groups as g, sys, json; print(json.dumps([vaekl.__file__, str(g.CONF), sys.path]))"
    )
    package, conf, path = json.loads(installed("python", "-c", code, cwd=tmp_path))
    assert Path(package) == installed.site_packages / "vaekl" / "__init__.py"
    assert Path(conf) == installed.site_packages / "vaekl" / "conf"
    assert str(ROOT) not in path


def test_the_wheel_holds_the_whole_package_and_nothing_else(installed: Installed) -> None:
    def files(folder: Path, *suffixes: str) -> set[str]:
        return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.suffix in suffixes}

    code = (".py", ".html", ".css", ".js")
    assert files(installed.site_packages / "vaekl", *code) == files(ROOT / "vaekl", *code)
    assert files(installed.site_packages / "vaekl" / "conf", ".yaml") == files(ROOT / "conf", ".yaml")
    owned = {path.name for path in installed.site_packages.iterdir()}
    assert not owned & {"conf", "tests", "docs", "outputs"}


def test_help_lists_the_options_that_the_wheel_ships(installed: Installed, tmp_path: Path) -> None:
    assert "vaekl train" in installed("vaekl", "--help", cwd=tmp_path)
    options = installed("vaekl", "train", "--help", cwd=tmp_path)
    for file in [*(ROOT / "conf").glob("likelihood/*.yaml"), *(ROOT / "conf").glob("experiment/*.yaml")]:
        assert file.stem in options


@pytest.mark.nightly  # by day the next test trains, with options of a user's
def test_trains_outside_the_repository(installed: Installed, tmp_path: Path) -> None:
    installed("vaekl", "train", "trainer.steps=2", "trainer.device=cpu", cwd=tmp_path)
    assert len(list(tmp_path.glob("outputs/*/results.json"))) == 1


@pytest.mark.nightly
def test_takes_the_options_of_a_folder_of_the_user(installed: Installed, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for name, text in {
        "model/tiny.yaml": "# my model\n_target_: my_nets.tiny\nlatents: 3\n",
        "experiment/short.yaml": "# @package _global_\ndefaults:\n  - override /model: tiny\ntrainer:\n  steps: 2\n",
    }.items():
        (mine / name).parent.mkdir(parents=True)
        (mine / name).write_text(text, encoding="utf-8")
    (tmp_path / "my_nets.py").write_text(
        "from vaekl import mlp\n\n\ndef tiny(shape, outputs, latents):\n"
        "    return mlp(shape, outputs, latents, hidden=[7])\n",
        encoding="utf-8",
    )
    assert "my model" in installed("vaekl", "train", "--config-dir", mine, "--help", cwd=tmp_path)
    installed("vaekl", "train", "--config-dir", mine, "experiment=short", "trainer.device=cpu", cwd=tmp_path)
    (run,) = tmp_path.glob("outputs/*tiny*")
    assert json.loads((run / "results.json").read_text(encoding="utf-8"))
    refusal = installed("vaekl", "train", "--config-dir", mine, "model=tinny", cwd=tmp_path, code=1)
    assert "tiny" in refusal
    assert "Traceback" not in refusal
