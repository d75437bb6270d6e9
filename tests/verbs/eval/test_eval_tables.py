"""The tables of `vaekl eval` fit a line of a log, no figure is cut, and σ/RMSE is of values with one unit."""

import json
from io import StringIO

import pytest
from cli_helpers import trained, vaekl

from vaekl.system.console import Console
from vaekl.verbs.eval.table import comparison, run_table, width_for


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What `eval.json` holds of a run on digits."""
    run = trained(tmp_path_factory.mktemp("tables"), "likelihood=gaussian")
    answer = vaekl(run.parent, "eval", str(run), "eval.k=1,5")
    assert answer.code == 0 and max(map(len, answer.out.splitlines()[:-1])) <= 100, answer
    return json.loads((run / "eval.json").read_text())


def printed(tables, width):
    lines = StringIO()
    for table in tables:
        Console(lines, width=width).print(table, width=width_for(table, width))
    return lines.getvalue()


def test_a_table_too_wide_for_a_line_is_two_of_the_same_figures(report):
    choices = report["choices"] | {"control": "capacity"}
    reports = [report, report | {"run": "a_run_with_a_name_of_a_length_that_no_line_has_place_for", "choices": choices}]
    wide, narrow = (printed(comparison(reports, width), width) for width in (300, 100))
    assert max(map(len, narrow.splitlines())) <= 100 < max(map(len, wide.splitlines()))
    figures = [cell.strip() for cell in wide.splitlines()[3].split("│")[2:-1]]
    assert len(figures) == 16 and all(f" {cell} " in narrow for cell in figures)
    assert narrow.count("σ/RMSE") == 1 and "capacity" in narrow


def test_no_figure_is_cut_in_a_line_that_is_too_short_for_it(report):
    large = report | {"elbo": report["elbo"] | {"elbo_nats": -123456789012.25, "kl_nats": 987654321098.5}}
    assert "-123,456,789,012.25" in printed(comparison([large], 40), 40)
    assert "-123,456,789,012.250 ± " in printed([run_table(large)], 40)


def test_values_with_units_of_their_own_have_a_ratio_each(report):
    both = {"all": report["calibration"]["all"] | {"sigma_over_rmse": 0.777}}
    both |= {
        f"column {name}": report["calibration"]["all"] | {"sigma_over_rmse": ratio}
        for name, ratio in (("a", 0.5), ("b", 2))
    }
    differing = report | {"calibration": both, "units_differ": True}
    table = printed([run_table(differing)], 120)
    assert "0.777" not in table and "= 0.500" in table and "= 2.000" in table
    assert "0.777" not in printed(comparison([differing], 300), 300)
    assert "0.777" in printed(comparison([differing | {"units_differ": False}], 300), 300)
