"""The documentation as a site: built strictly, and read in a browser from the disk, asking for nothing elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from browser import needs_browser, tab

ROOT = Path(__file__).parents[1]
of_one_build = pytest.mark.xdist_group("site")

#: elements wider than the screen that no box around them scrolls
WIDE = """
const width = document.documentElement.clientWidth;
const scrolls = element => element && element !== document.body &&
    (getComputedStyle(element).overflowX !== 'visible' || scrolls(element.parentElement));
return all('.md-content *').filter(element => element.getBoundingClientRect().right > width + 1)
    .filter(element => !scrolls(element.parentElement)).map(element => element.outerHTML.slice(0, 200));
"""
SEARCH = """
const field = document.querySelector('.md-search__input');
field.focus();
field.value = 'effective_beta_kl';
field.dispatchEvent(new Event('keyup'));
"""


def test_every_page_has_its_place():
    places = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split()
    assert [page.name for page in ROOT.glob("docs/*.md") if f"docs/{page.name}" not in places] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


@needs_browser
@pytest.mark.nightly
@of_one_build
@pytest.mark.parametrize("width", [400, 800, 1600])
def test_every_page_fits_and_asks_for_no_network(site, tmp_path, width):
    pages = [page for page in sorted(site.rglob("*.html")) if page.name != "404.html"]  # that one is a server's
    assert len(pages) > 25
    with tab(tmp_path, width) as page:
        for file in pages:
            page.open(file.as_uri())
            page.until("return location.protocol === 'file:' && document.readyState === 'complete'")
            assert page.ask(WIDE) == [], file
        assert page.complaints == []
        assert [address for address in page.addresses if not address.startswith(("file:", "data:", "about:"))] == []


@needs_browser
@pytest.mark.nightly
@of_one_build
def test_the_search_needs_no_server_and_dark_is_dark(site, tmp_path):
    with tab(tmp_path) as page:
        page("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        page.open((site / "index.html").as_uri())
        page.until("return document.body && document.body.dataset.mdColorScheme === 'slate'")
        page.until("return document.querySelector('iframe') && typeof __index === 'object'")
        page.ask(SEARCH)
        hits = page.until("return all('.md-search-result__link').map(link => link.href)")
        assert any("reference/weightings.html" in hit for hit in hits)
        assert page.complaints == []
