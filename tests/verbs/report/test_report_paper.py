"""What people put into papers: the verdict, the vector graphics, the table in LaTeX."""

import re
import subprocess
from dataclasses import replace
from shutil import which
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib
import pytest
from report_cases import load

from vaekl.verbs.report import latex, style
from vaekl.verbs.report.collect import collect
from vaekl.verbs.report.groups import Stat, grouped
from vaekl.verbs.report.vector import inlined
from vaekl.verbs.report.verdict import verdict

pytestmark = pytest.mark.xdist_group("report")


@pytest.fixture(scope="module")
def groups(made):
    """The groups of the sweep, best first."""
    return grouped(collect([made / "sweep"]))


def with_stats(group, **stats):
    return replace(group, stats=group.stats | stats)


def test_the_best_comes_first_with_its_lead_against_the_seeds(groups):
    first = with_stats(groups[0], ruler_bits_per_dim=Stat(2, 2.0, 0.03))
    for mean, error, words in (
        (2.5, 0.04, "by 0.5000 ± 0.0500, 10.0 standard errors of the seeds."),
        (2.05, 0.04, "by 0.0500 ± 0.0500, which is within the spread of the seeds."),
        (2.5, None, "by 0.5000; without a second seed of both nothing says whether that is chance."),
    ):
        second = with_stats(groups[1], ruler_bits_per_dim=Stat(2, mean, error))
        sentence = verdict([second, first], [])[0]
        assert sentence.startswith(f"{first.label} is best on the fair ruler: 2.0000 ± 0.0300 bits/dim, ahead of ")
        assert second.label in sentence and sentence.endswith(words)


def test_who_is_not_calibrated_not_converged_or_has_a_hole_is_named_with_the_figure(groups):
    runs = [SimpleNamespace(finished=True, moving=moving, name="slow") for moving in ("φ still falling by 9 %", "")]
    odd = with_stats(
        groups[0],
        sigma_over_rmse=Stat(1, 1.5, None),
        marginal_kl_nats=Stat(1, 30.0, None),
        rate_nats=Stat(1, 40.0, None),
    )
    fine = with_stats(groups[1], sigma_over_rmse=Stat(1, 1.02, None), marginal_kl_nats=Stat(1, 1.0, None))
    text = " ".join(verdict([odd, fine], runs))
    assert f"Not calibrated: {odd.label} (σ/RMSE 1.50); 1 is calibrated." in text
    assert "Not converged: 1 of 2 runs (slow: φ still falling by 9 %)" in text
    assert f"{odd.label} 30.0 of 40.0 nats" in text and f"{fine.label} 1.0" not in text
    calm = " ".join(verdict([fine, with_stats(fine, sigma_over_rmse=Stat(1, 0.95, None))], runs[1:]))
    assert "All are calibrated: σ/RMSE is 0.95 to 1.02." in calm and "converged" not in calm and "Prior" not in calm


def test_without_anything_to_compare_the_verdict_says_so(groups):
    assert verdict([], []) == ["No run is finished: there is nothing to compare."]
    assert "there is no other group to compare it with" in verdict(groups[:1], [])[0]


EVIL = '<script>alert(1)</script>\x1b[2J & "x" $y$ \\input{z}'


def test_a_drawing_is_a_part_of_the_page_and_titles_are_text():
    with matplotlib.rc_context(style.STYLE):
        figure, axes = style.panel(3.25)
        (line,) = axes.plot([1, 2], [3, 4], "o-", color=style.PALETTE[0], label=EVIL)
        style.hover(line, EVIL)
        axes.set_title(EVIL)
        svg = style.rendered(figure, "svg")
    part = inlined(svg, "one-", EVIL)
    root = ElementTree.fromstring(svg)
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == [EVIL.replace("\x1b", "\\x1b")]
    assert "<script" not in part and "http:" not in part and "style" not in part and "metadata" not in part
    assert set(re.findall(r' id="([^"]*)"', part)) == set(re.findall(r"#(one-[^)\"]+)", part))
    # the colours that the style sheet turns round in dark mode are attributes
    assert f'stroke="{style.PALETTE[0]}"' in part and f'stroke="{style.INK}"' in part


def test_figures_have_the_width_of_a_column_and_their_colours_have_a_dark_side(made):
    root = ElementTree.parse(made / "sweep/report/figures/kl_spectrum.svg").getroot()
    assert root.get("width") == "234pt"  # 3.25 inches of 72 points
    page = (made / "sweep/report/report.html").read_text(encoding="utf-8")
    used = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', page))
    assert used and used <= set(style.DARK) and all(f"[fill='{colour}']" in page for colour in style.DARK)
    sizes = {float(size) for size in re.findall(r'font-size="([\d.]+)px"', page)}
    assert sizes <= {6, 7, 8} and 8 in sizes


def test_the_table_for_latex_has_the_figures_and_escapes_names(made, groups):
    text = (made / "sweep/report/figures/table.tex").read_text(encoding="utf-8")
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}", r"\caption{", r"$\pm$", r"\textbf{"):
        assert part in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 5 and len({line.count("&") for line in rows}) == 1
    kl = [load(made / f"sweep/cb_{seed}/eval.json")["rate"]["marginal_kl_nats"] for seed in (0, 1)]
    assert f"{sum(kl) / 2:.2f}".replace("-", "$-$") in next(row for row in rows if row.startswith("cb "))
    hostile = latex.escaped("a_b & 5 % $x$ \\input{/etc/passwd} #1 ~^")
    assert latex.escaped('"é日Ą') == r"\symbol{34}éU+65E5U+0104"  # pdflatex has no letter for the last two
    assert not re.search(r"(?<!\\)[&%#_]", hostile) and r"\input" not in hostile


@pytest.mark.nightly
@pytest.mark.skipif(which("pdflatex") is None, reason="pdflatex is not installed: apt-get install texlive-latex-base")
def test_the_table_compiles_with_any_name_in_it(groups, tmp_path):
    """The table of the sweep in a minimal document, and every letter that a name or a caption may hold."""
    signs = "".join(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x250), *latex._ESCAPED])) + "αΔ∞≥日本‘’“”—€"
    hostile = replace(groups[0], settings={key: f"{value}{signs[:95]}" for key, value in groups[0].settings.items()})
    table = latex.table([hostile, *groups[1:]], f"Signs: {signs} \\input{{/etc/passwd}}")
    (tmp_path / "table.tex").write_text(table, encoding="utf-8")
    lines = [
        r"\documentclass{article}",
        r"\usepackage{booktabs,graphicx}",
        r"\begin{document}",
        r"\input{table}",
        r"\end{document}",
    ]
    (tmp_path / "paper.tex").write_text("\n".join(lines), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=200)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
    assert "undefined" not in done.stdout and "Missing character" not in (tmp_path / "paper.log").read_text("latin-1")


def test_the_same_figure_gives_the_same_file():
    def drawn(kind):
        with matplotlib.rc_context(style.STYLE):
            figure, axes = style.panel(3.25)
            axes.plot([1, 2], [3, 4])
            return style.rendered(figure, kind)

    for kind in ("svg", "pdf", "png"):
        assert drawn(kind) == drawn(kind)
    assert b"/Type3" not in drawn("pdf")
