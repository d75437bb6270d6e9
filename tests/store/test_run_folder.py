"""What makes a folder a run's."""

from vaekl.store import fingerprint


def test_a_fingerprint_is_the_run_s_and_not_its_place_s():
    config = {"seed": 0, "trainer": {"device": "cpu", "steps": 3}, "dataset": {"name": "mnist", "root": "/a"}}
    elsewhere = {
        **config,
        "output_dir": "b",
        "trainer": {"device": "cuda", "steps": 3},
        "dataset": {"name": "mnist", "root": "/b"},
    }
    assert fingerprint(config) == fingerprint(elsewhere)
    for changed in (
        {"seed": 1},
        {"trainer": {"device": "cpu", "steps": 4}},
        {"dataset": {"name": "kmnist", "root": "/a"}},
    ):
        assert fingerprint(config) != fingerprint({**config, **changed})
