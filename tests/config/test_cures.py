"""Sentences whose cure must be the one that helps."""

import pytest

from vaekl.cli import main


def said(capsys, *words: str) -> str:
    assert main(["train", *words]) == 1
    return capsys.readouterr().err


def test_a_transform_that_took_the_levels_away_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "use transform=levels" in said(capsys, "likelihood=categorical", "transform=scale")
    # nothing gives a Gaussian's real line back to a Bernoulli
    assert "transform=levels" not in said(capsys, "likelihood=bernoulli")


@pytest.mark.parametrize(("content", "kind"), [(b"junk", "is no .npz file"), (b"\x80\x04junk", "is a pickle")])
def test_a_file_that_is_no_npz_is_not_said_to_need_pickle(content, kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.npz").write_bytes(content)
    message = said(capsys, "dataset=npz", "dataset.path=bad.npz")
    assert kind in message
    assert "allow_pickle" not in message


def test_figures_without_bits_per_dim_say_why(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["train", "likelihood=gaussian", "trainer.steps=2"]
    assert main([*words, "transform=scale"]) == 0
    assert "no bits/dim" in capsys.readouterr().out
    assert main([*words, "transform=dequantize", "seed=1"]) == 0
    assert "no bits/dim" not in capsys.readouterr().out
