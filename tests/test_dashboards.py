"""TensorBoard's pages of a sweep in a real browser: the promised charts, tables and pictures are on the screen."""

import json
import os
import time
import urllib.parse
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browser import needs_browser, tab
from cli_helpers import SMALL, results, vaekl
from tensorboard_helpers import LEDGER, PICTURES, tensorboard

pytestmark = [needs_browser, pytest.mark.xdist_group("dashboards")]

LIKELIHOODS, SEEDS = ("cb", "gaussian"), ("0", "1")
# a card's heading and its curves: what Plottable calls a line, with a colour and at least two points
CARDS = """
    return all('CARD').map(card => ({
        title: piercing(card.shadowRoot).find(part => part.localName === 'figcaption').textContent.trim(),
        lines: piercing(card.shadowRoot).filter(part => part.matches('path.line') && part.getAttribute('stroke')
            && /^M[^M]+L/.test(part.getAttribute('d'))).length,
        width: card.getBoundingClientRect().width,
    }))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The run folders of a small sweep."""
    folder = tmp_path_factory.mktemp("dashboards")
    words = [f"likelihood={','.join(LIKELIHOODS)}", f"seed={','.join(SEEDS)}", "trainer.steps=12"]
    answer = vaekl(folder, "train", "-m", *SMALL[:2], *words, *SMALL[3:], "hydra/launcher=basic")
    assert answer.code == 0, answer.err
    return sorted(path.parent for path in folder.rglob("results.json"))


@pytest.fixture(scope="module")
def served(runs):
    """TensorBoard on the sweep's folder, as the README says."""
    with tensorboard(runs[0].parent) as address:
        yield address.when_loaded([run.name for run in runs])


@pytest.fixture
def shown(served, tmp_path, request):
    """A function that opens a page; what is on the screen at the end is kept."""
    name = request.node.name.removeprefix("test_")

    @contextmanager
    def opened(place, width=1440, height=1000):
        with tab(tmp_path / "profile", width, height) as page:
            page.open(f"{served.address}/{place}")
            try:
                yield page
            finally:
                kept = os.environ.get("VAEKL_ARTIFACTS")
                page.picture(*(Path(folder) / f"{name}.png" for folder in (tmp_path, kept) if folder))
            assert not page.complaints
            assert page.addresses and all(address.startswith(served.address) for address in page.addresses)

    return opened


def coloured(image):
    """How many pixels are neither black, grey nor white: a canvas says nothing of what is drawn on it."""
    return int((np.ptp(np.asarray(image).astype(int), axis=2) > 60).sum())


def wait_until(true, seconds=40):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.nightly
def test_time_series(shown, runs):
    """The page that opens by itself: runs by what differs, and pictures; any curve can be pinned on top."""
    pinned = [{"plugin": "scalars", "tag": f"valid/{tag}"} for tag in ("elbo_nats", "bits_per_dim")]
    with shown(f"?pinnedCards={urllib.parse.quote(json.dumps(pinned))}") as page:
        names = page.until("return all('runs-data-table tb-data-table-content-row').map(row => row.innerText.trim())")
        assert sorted(names) == [run.name for run in runs]
        assert {name.rpartition("_")[0] for name in names} == {
            f"likelihood={likelihood},seed={seed}" for likelihood in LIKELIHOODS for seed in SEEDS
        }
        page.until("return all('image-card img').length && all('image-card img').every(img => img.naturalWidth > 0)")
        page.until("return all('metrics-pinned-view line-chart canvas').length === 2")
        boxes = page.ask("""
            return all('metrics-pinned-view line-chart canvas').map(canvas => canvas.getBoundingClientRect()).map(
                box => [box.left, box.top, box.right, box.bottom])
        """)
        wait_until(lambda: all(coloured(page.picture().crop(box)) > 300 for box in boxes))


@pytest.mark.nightly
def test_custom_scalars(shown, runs):
    """It opens on the ledger: four parts of every run, drawn, and said in the title."""
    with shown("#custom_scalars", height=1300) as page:
        script = CARDS.replace("CARD", "tf-custom-scalar-multi-line-chart-card")
        drawn = "(() => {" + script + "})()"
        page.until(f"const cards = {drawn}; return cards.length === 7 && cards.every(card => card.lines > 0)")
        first, second, *others = page.ask(script)
        for card, split in ((first, "train"), (second, "valid")):
            assert card["title"] == f"{split}: ELBO = −E/φ + ln C − KL, nats" and card["width"] > 200
            # the smoothed line and, pale, the one below it
            assert card["lines"] == 2 * len(LEDGER) * len(runs)
        assert [card["title"] for card in others] == [
            "ELBO (nats)", "bits/dim", "KL (nats)", "effective β_KL", "implied σ beside RMSE",
        ]  # fmt: skip
        headings = "return all('tf-category-paginated-view').flatMap(v => piercing(v.shadowRoot).filter("
        assert page.ask(headings + "part => part.matches('.heading')).map(part => part.innerText))")[0].startswith(
            "ELBO ledger"
        )


@pytest.mark.nightly
def test_images(shown, runs):
    """Every picture of every run, drawn as wide as its card."""
    with shown("#images", height=1400) as page:
        script = """
            return all('tf-image-loader').map(card => {
                const image = piercing(card.shadowRoot).find(part => part.matches('img'));
                return {tag: card.tag, run: card.run, pixels: image ? image.naturalWidth : 0,
                    width: image ? image.getBoundingClientRect().width : 0};
            })
        """
        loaded = f"const cards = (() => {{ {script} }})(); return cards.every(card => card.pixels) && cards.length"
        seen = {}
        for count, onward in ((12, "next"), (4, "previous")):
            page.until(f"return (() => {{ {loaded} }})() === {count}")
            seen |= {(card["tag"], card["run"]): card for card in page.ask(script)}
            page.ask(f"all('paper-button').find(button => /{onward} page/i.test(button.innerText)).click()")
        page.until(f"return (() => {{ {loaded} }})() === 12")
        assert set(seen) == {(f"images/{name}", run.name) for name in PICTURES for run in runs}
        assert all(card["pixels"] == 8 * 34 + 2 and 250 < card["width"] < 500 for card in seen.values())


def test_scalars(shown, runs):
    """The tests as points, then every curve of training, each with its unit in its name."""
    with shown("#scalars", height=2400) as page:
        script = CARDS.replace("CARD", "tf-scalar-card")
        drawn = "card.title.startsWith('train/') && card.lines === " + str(2 * len(runs))
        page.until(f"return (() => {{ {script} }})().filter(card => {drawn}).length === 12")
        titles = [card["title"].partition("tag:")[0].strip() for card in page.ask(script)]
        assert titles == sorted(titles)
        assert {"test/elbo_nats", "test/bits_per_dim", "train/elbo_nats", "train/bits_per_dim"} < set(titles)


@pytest.mark.nightly
def test_hparams(shown, runs):
    """What was swept comes first, then the figures of validation and test; nobody has to tick a box for them."""
    with shown("#hparams", width=2300) as page:
        table = """
            return all('vaadin-grid').flatMap(grid => [...grid.shadowRoot.querySelectorAll('thead tr, tbody tr')].map(
                row => [...row.children].map(cell => cell.querySelector('slot').assignedNodes()
                    .map(node => node.innerText.trim()).join(''))))
        """
        page.until(f"return (() => {{ {table} }})().filter(row => row[0] && row[2]).length === {len(runs) + 1}")
        head, *rows = page.ask(table)
    assert head[2:4] == ["likelihood", "seed"]
    figures = ["test/elbo_nats", "test/bits_per_dim", "valid/elbo_nats", "valid/bits_per_dim", "test/effective_beta_kl"]
    assert head[7:] == figures
    by_name = {row[0]: row for row in rows}
    for run in runs:
        row, record = by_name[run.name], results(run)
        assert row[2:4] == [record["choices"]["likelihood"], str(record["seed"])]
        for text, (split, tag) in zip(row[7 : len(head)], (name.split("/") for name in figures), strict=True):
            assert float(text) == pytest.approx(record[split][tag], rel=1e-4)


@pytest.mark.nightly
def test_projector(served, shown, runs):
    """The test images as points with their labels and pictures, of every run."""
    names = served("plugin/projector/runs")
    assert sorted(names) == [run.name for run in runs]
    (embedding,) = served("plugin/projector/info", run=names[0])["embeddings"]
    assert embedding["tensorName"] == "test posterior means" and embedding["tensorShape"] == [360, 4]
    with shown("data/plugin/projector/projector_binary.html") as page:
        page.until("return all('vz-projector-data-panel').length > 0")
        page.until("return all('div').some(part => /Points: *360/.test(part.textContent))")
        wait_until(lambda: coloured(page.picture()) > 300)
        # the page by itself, which TensorBoard shows in a frame, has no icon
        page.complaints[:] = [text for text in page.complaints if "favicon.ico" not in text]
