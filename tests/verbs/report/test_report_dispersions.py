"""φ of each column in a report: its name, its kind, and seeds folded."""

from types import SimpleNamespace

from vaekl.store.schema import ChannelDispersion
from vaekl.verbs.report.dispersions import learned, rows_of
from vaekl.verbs.report.groups import Group


def run(phi, nu):
    """What a finished run's test holds of a table with one column of numbers."""
    column = ChannelDispersion(kind="numeric", dispersion=phi, implied_sigma=10 * phi)
    return SimpleNamespace(
        test=SimpleNamespace(dispersion_by_channel={"column age": column}, learned_options={"df": nu})
    )


def group(*runs):
    return Group({"model.latents": 2}, runs, runs, {})


def test_seeds_are_folded_for_each_column():
    (row,) = rows_of([group(run(0.2, 4.0), run(0.4, 6.0))])
    assert row.words == ("model.latents=2", "column age", "numeric", "0.3 ± 0.1", "3 ± 1")
    (alone,) = rows_of([group(run(0.2, 4.0))])
    assert alone.words[3:] == ("0.2", "2")
    assert learned([group(run(0.2, 4.0), run(0.4, 6.0))]) == ["model.latents=2 learned likelihood.df: 5 ± 1."]


def test_a_group_without_such_columns_has_no_row():
    nothing = SimpleNamespace(test=SimpleNamespace(dispersion_by_channel={}, learned_options={}))
    assert rows_of([group(nothing), group()]) == [] and learned([group(nothing)]) == []
