"""What Hydra writes into a sweep's folder, which may come from a stranger."""

import pytest
import yaml

from vaekl.store import UnreadableError, sweep_folder


def write(folder, name, content):
    (folder / name).write_text(content if isinstance(content, str) else yaml.safe_dump(content))


def test_the_best_of_a_search(tmp_path):
    assert sweep_folder.search_result(tmp_path) is None
    write(
        tmp_path, "optimization_results.yaml", {"name": "optuna", "best_params": {"optim.lr": 0.01}, "best_value": -3.5}
    )
    assert sweep_folder.search_result(tmp_path) == ({"optim.lr": 0.01}, -3.5)


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "best_value: 1.0", {"best_params": {}, "best_value": "x"}, {"best_params": [], "best_value": 1.0},
        {"best_params": {}, "best_value": float("inf")}, "a: &a [1]\nb: *a", "!!python/object:os.system {}", "\xff: [",
        "best_params: {1: 2}\nbest_value: 1.0", "!!set {a}", "[" * 100_000,
    ],
    ids=lambda content: str(content)[:20],
)  # fmt: skip
def test_a_result_that_is_none(content, tmp_path):
    """Whatever it is, it is refused at once: the last one took PyYAML's scanner three quarters of a minute."""
    write(tmp_path, "optimization_results.yaml", content)
    with pytest.raises(UnreadableError, match=r"optimization_results\.yaml cannot be read \(.*\): take it away\.$"):
        sweep_folder.search_result(tmp_path)


def test_the_words_that_hydra_was_to_sweep(tmp_path):
    with pytest.raises(FileNotFoundError):
        sweep_folder.planned_words(tmp_path)
    write(tmp_path, "multirun.yaml", {"hydra": {"overrides": {"task": ["seed=0,1", "likelihood=cb"]}}})
    assert sweep_folder.is_planned(tmp_path)
    assert sweep_folder.planned_words(tmp_path) == ["seed=0,1", "likelihood=cb"]


@pytest.mark.parametrize("content", ["", "[]", "hydra: 3", {"hydra": {"overrides": {"task": 3}}}, "{"], ids=str)
def test_words_that_are_none(content, tmp_path):
    write(tmp_path, "multirun.yaml", content)
    with pytest.raises(UnreadableError, match=r"multirun\.yaml"):
        sweep_folder.planned_words(tmp_path)


def test_a_search_draws_as_many_trials_as_when_it_was_begun(tmp_path):
    assert sweep_folder.drawn_at_once(tmp_path, lambda: 3) == 3
    assert sweep_folder.drawn_at_once(tmp_path, lambda: 8) == 3
