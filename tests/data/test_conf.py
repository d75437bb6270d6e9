from pathlib import Path

import pytest
from hydra.utils import get_method, get_object, instantiate
from omegaconf import OmegaConf

from vaekl.data.sources.embedded import digits
from vaekl.data.splits import Data
from vaekl.system.errors import VaeklError

CONF = Path(__file__).parents[2] / "conf"
DATASETS, TRANSFORMS = sorted((CONF / "dataset").glob("*.yaml")), sorted((CONF / "transform").glob("*.yaml"))


def load(path: Path):
    return OmegaConf.create({"data_dir": None, "it": OmegaConf.load(path)}).it


@pytest.mark.parametrize("path", DATASETS + TRANSFORMS, ids=lambda path: path.stem)
def test_every_file_says_what_it_is_and_names_what_exists(path):
    assert path.read_text().startswith("# ")
    target = load(path)["_target_"]
    assert callable(get_object(target))


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.stem)
def test_dataset_files_give_only_arguments_that_exist(path):
    arguments = OmegaConf.to_container(load(path), resolve=True)
    function = get_method(arguments.pop("_target_"))
    assert arguments["name"] == path.stem
    assert set(arguments) <= set(function.__code__.co_varnames[: function.__code__.co_argcount])


@pytest.mark.parametrize("path", TRANSFORMS, ids=lambda path: path.stem)
def test_every_transform_runs_on_digits(path):
    transform = instantiate(load(path))
    if path.stem == "standardize":  # which is for real values
        with pytest.raises(VaeklError, match="needs real values"):
            Data.from_source(digits(), transform, ("real",))
        return
    data = Data.from_source(digits(), transform, ("unit_interval",))
    assert data.test.batch(slice(4)).shape == (4, 1, 8, 8)


@pytest.mark.parametrize("name", ["digits", "patches"])
def test_embedded_sets_come_from_their_files(name):
    assert instantiate(load(CONF / "dataset" / f"{name}.yaml")).spec.name == name
