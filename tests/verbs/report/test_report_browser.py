"""The page in a real browser: it sorts, asks no network, and runs no script but its own."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from browser import command, needs_browser, tab
from report_cases import Page

pytestmark = [needs_browser, pytest.mark.xdist_group("report")]


def dumped(tmp_path: Path, address: str, *flags: str) -> str:
    """The page's DOM after its scripts have run."""
    words = command(tmp_path / "profile", *flags, "--dump-dom", address)
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def column(text: str, place: int) -> list[float]:
    return [float(row[place][1]) for row in Page(text).tables["table-groups"][1:]]


@pytest.mark.nightly
@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_tables_sort(made, tmp_path, direction):
    address = (made / "sweep/report/report.html").as_uri()
    text = dumped(tmp_path, f"{address}#sort=table-groups:5:{direction}")
    values = column(text, 5)
    assert len(values) == 4 and values == sorted(values, reverse=direction == "descending")
    assert [attrs["aria-sort"] for tag, attrs in Page(text).tags if tag == "th" and attrs.get("aria-sort") == direction]


def asked_for(tmp_path: Path, address: str) -> tuple[str, list[str]]:
    """The DOM, and the addresses that were looked for outside this machine's files."""
    log = tmp_path / "net.json"
    text = dumped(tmp_path, address, f"--log-net-log={log}")
    events = json.loads(log.read_text())
    kinds = {number: name for name, number in events["constants"]["logEventTypes"].items()}
    started = [event.get("params", {}) for event in events["events"] if kinds[event["type"]] == "URL_REQUEST_START_JOB"]
    # what the browser asks for its own sake (the time, a dictionary) has no page as its origin
    urls = [str(params.get("url")) for params in started if params.get("initiator") != "not an origin"]
    return text, [url for url in urls if url.startswith(("http:", "https:", "ws:", "wss:", "ftp:"))]


def test_nothing_is_asked_of_any_network(made, tmp_path):
    text, urls = asked_for(tmp_path, (made / "sweep/report/report.html").as_uri())
    assert "vaekl report: sweep" in text and not urls


@pytest.mark.nightly
def test_the_log_shows_what_is_asked_of_a_network(tmp_path):
    (tmp_path / "other.html").write_text('<img src="http://vaekl.invalid/x.png">')
    _, urls = asked_for(tmp_path, (tmp_path / "other.html").as_uri())
    assert urls == ["http://vaekl.invalid/x.png"]


def test_a_script_that_got_in_would_not_run(made, tmp_path):
    page = (made / "sweep/report/report.html").read_text(encoding="utf-8")
    for name, script in (("evil", "<script>document.title = 'hacked'</script>"), ("good", "")):
        (tmp_path / f"{name}.html").write_text(page.replace("</main>", f"{script}</main>"), encoding="utf-8")
        text = dumped(tmp_path, (tmp_path / f"{name}.html").as_uri() + "#sort=table-groups:5:descending")
        assert "<title>vaekl report: sweep</title>" in text and 'aria-sort="descending"' in text


_FIGURES = """
return all('figure').map(figure => ({
    title: figure.id || figure.querySelector('figcaption')?.textContent.slice(0, 40),
    images: [...figure.querySelectorAll('img')].filter(image => image.complete && image.naturalWidth > 50).length,
    drawings: [...figure.querySelectorAll('svg')].filter(shown)
        .map(svg => [...svg.querySelectorAll('path, use, text, image')].filter(shown).length),
}));
"""


def drawn(page):
    """Whether a figure has a loaded picture, or a drawing of several parts that are on the screen."""
    return [figure["images"] > 0 or max(figure["drawings"], default=0) > 5 for figure in page.ask(_FIGURES)]


def test_every_figure_is_drawn_and_a_click_sorts(made, tmp_path):
    kept = [tmp_path / "report.png"]
    if "VAEKL_ARTIFACTS" in os.environ:
        kept.append(Path(os.environ["VAEKL_ARTIFACTS"]).absolute() / "report.png")
    with tab(tmp_path / "profile") as page:
        page.open((made / "sweep/report/report.html").as_uri())
        page.until("return document.readyState == 'complete' && all('figure').length > 0")
        figures = drawn(page)
        assert len(figures) >= 7 and all(figures), page.ask(_FIGURES)
        values = "return all('#table-groups tbody tr').map(row => Number(row.cells[5].dataset.value))"
        click = "const head = all('#table-groups th')[5]; (head.querySelector('button') ?? head).click(); return true"
        orders = [page.ask(click) and page.ask(values) for _ in range(2)]
        assert sorted(orders[0]) in orders and sorted(orders[0], reverse=True) in orders and orders[0] != orders[1]
        assert page.picture(*kept).size == (1440, 1000) and not page.complaints
        # a figure that is missing would have been noticed
        page.ask("all('figure svg, figure img')[0].remove(); return true")
        assert not all(drawn(page))


@pytest.mark.nightly
@pytest.mark.parametrize("width", [400, 500, 800, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_at_any_width_and_figures_follow_the_scheme(made, tmp_path, width, scheme):
    with tab(tmp_path / "profile", width=width) as page:
        page("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.open((made / "sweep/report/report.html").as_uri())
        page.until("return document.readyState == 'complete' && all('figure').length > 0")
        assert page.ask("return document.documentElement.scrollWidth") <= width
        right = page.ask("return Math.max(...all('figure svg').map(one => one.getBoundingClientRect().right))")
        assert right <= width
        letters = page.ask("return all('figure svg text').map(text => getComputedStyle(text).fill)")
        ink = {"light": "rgb(27, 31, 35)", "dark": "rgb(227, 231, 234)"}
        other = ink["light" if scheme == "dark" else "dark"]
        assert ink[scheme] in letters and other not in letters
        assert page.ask("return all('#ruler svg g').filter(part => part.querySelector(':scope > title')).length") >= 4
        assert not page.complaints
