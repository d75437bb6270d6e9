"""The curves of a report hold the figures of their runs, beside exact lines."""

import io
import statistics
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from msgspec.structs import replace as replace_fields
from report_cases import load

from vaekl.run.load import load_run
from vaekl.store.evaluation_schema import CurvePoint
from vaekl.verbs.report import build, figures, latent_kl, measure, style
from vaekl.verbs.report.calibration import calibration
from vaekl.verbs.report.collect import collect
from vaekl.verbs.report.groups import grouped
from vaekl.verbs.report.vector import HOVER

#: its runs are trained once
pytestmark = pytest.mark.xdist_group("report")


def gaussians(folder):
    """The groups whose ELBOs can be compared with each other."""
    return [group for group in grouped(collect([folder / "sweep"])) if "gaussian" in group.name]


def test_iso_lines_are_lines_of_equal_elbo(made):
    groups = gaussians(made)
    with matplotlib.rc_context(style.STYLE):
        figure = figures.rate_distortion(groups, style.Colours(groups), 3.25)
    (axes,) = figure.axes
    lines = [line for line in axes.lines if line.get_gid() == "iso"]
    labels = [float(text.get_text().replace("−", "-").replace(",", "")) for text in axes.texts]
    assert len(lines) >= 2
    for line, elbo in zip(lines, labels, strict=True):
        distortion, rate = map(np.asarray, line.get_data())
        assert -distortion - rate == pytest.approx(np.full(2, elbo))
    drawn = [line.get_data() for line in axes.lines if len(line.get_xdata()) == 1]
    for group in groups:
        point = (group.stats["distortion_nats"].mean, group.stats["rate_nats"].mean)
        assert any(point == pytest.approx((x[0], y[0])) for x, y in drawn)


def test_what_cannot_be_compared_shares_no_axis_and_one_point_is_no_figure(made):
    groups = grouped(collect([made / "sweep"]))
    with matplotlib.rc_context(style.STYLE):
        colours = style.Colours(groups)
        drawn = build._figures(groups, measure.Shown(), colours, 3.25)
        alone = figures.rate_distortion([group for group in groups if "cb" in group.name], colours, 3.25)
    # the continuous Bernoulli is alone with its density on [0, 1]
    assert alone is None and "rate_distortion_2" not in drawn and "elbo_against_beta_2" not in drawn
    assert "density on the real line" in drawn["rate_distortion"][1]
    labels = [text.get_text() for text in drawn["rate_distortion"][0].legends[0].get_texts()]
    assert labels and not any("cb" in label for label in labels)


def test_a_multirate_run_is_a_curve(made):
    (run,) = [run for run in collect([made / "sweep"]) if run.name == "learned_0"]
    points = [CurvePoint(t, r, d, -r - d, 0.1, 2) for t, r, d in ((1.0, 2.0, -10.0), (0.1, 8.0, -18.0))]
    group = grouped([replace(run, evaluation=replace_fields(run.evaluation, curve=points))])
    with matplotlib.rc_context(style.STYLE):
        figure = figures.rate_distortion(group, style.Colours(group), 3.25)
        svg = style.rendered(figure, "svg").decode()
    (curve,) = [line for line in figure.axes[0].lines if line.get_gid() == "curve"]
    assert list(curve.get_xdata()) == [-18.0, -10.0] and list(curve.get_ydata()) == [8.0, 2.0]
    assert "<title>learned_0, θ = 0.1: R = 8, D = -18, ELBO = 10 nats</title>" in svg


@pytest.mark.filterwarnings("error")
def test_a_legend_of_many_lines_leaves_the_axes_their_room(made):
    one = grouped(collect([made / "sweep"]))[0]
    groups = [replace(one, settings={"optim.lr": rate / 1000}) for rate in range(40)]
    with matplotlib.rc_context(style.STYLE):
        figure = figures.rate_distortion(groups, style.Colours(groups), 3.25)
        figure.savefig(io.BytesIO())
    height = figure.axes[0].get_position().height * figure.get_figheight()
    assert height > 1.3 and len(figure.legends[0].get_texts()) == 40


def test_the_theory_line_is_probabilistic_pca_on_the_test_images(tmp_path):
    words = ("model=linear", "likelihood=gaussian", "weighting=fixed_beta", "transform=scale", "trainer.steps=4")
    run = tmp_path / "linear"
    from cli_helpers import vaekl

    answer = vaekl(tmp_path, "train", f"hydra.run.dir={run}", *words, "model.latents=3", "weighting.beta=0.3")
    assert answer.code == 0, answer.err
    groups = grouped(collect([run]))
    theories = measure.load_groups(groups, 4, 0, "cpu").theories
    assert len(theories) == 1
    loaded = load_run(run, "cpu")
    train_images, test_images = (
        loaded.split(p).batch(slice(0, None)).flatten(1).double().numpy() for p in ("train", "test")
    )
    # an independent source: the density of N(mean, W Wᵀ + φ I) by scipy
    from scipy.stats import multivariate_normal

    values, vectors = np.linalg.eigh(np.cov(train_images.T, bias=True))
    phi, mean = 0.3, train_images.mean(0)
    kept = vectors[:, -3:][:, values[-3:] > phi]
    weights = kept * np.sqrt(values[-3:][values[-3:] > phi] - phi)
    law = multivariate_normal(mean, weights @ weights.T + phi * np.eye(64))
    _, train_line, test_line = figures.theory_line(theories[0], phi, phi, 1)
    assert test_line[0] == pytest.approx(law.logpdf(test_images).mean(), rel=1e-8)
    assert train_line[0] == pytest.approx(law.logpdf(train_images).mean(), rel=1e-8)
    with matplotlib.rc_context(style.STYLE):
        figure = figures.elbo_against_beta(groups, theories, style.Colours(groups), 3.25)
    black = next(line for line in figure.axes[0].lines if str(line.get_label()).startswith("exact"))
    at = np.abs(np.asarray(black.get_xdata()) - phi).argmin()
    assert black.get_ydata()[at] == pytest.approx(theories[0].test_elbo(black.get_xdata()[at]))


def test_the_kl_spectrum_is_sorted_and_averaged_over_seeds(made):
    group = next(group for group in grouped(collect([made / "sweep"])) if "cb" in group.name)
    spectra = [sorted(load(made / f"sweep/cb_{s}/results.json")["test"]["kl_per_latent_nats"])[::-1] for s in (0, 1)]
    assert latent_kl.mean_spectrum(group) == pytest.approx(
        [statistics.fmean(pair) for pair in zip(*spectra, strict=True)]
    )


def test_every_row_of_pictures_has_the_same_latents_and_images(made):
    groups = grouped(collect([made / "sweep"]))
    rows = measure.load_groups(groups, 4, 0, "cpu").rows
    assert [row.group for row in rows] == [group.label for group in groups]
    assert all(np.array_equal(row.inputs, rows[0].inputs) for row in rows)
    assert measure.latents(4, 3, 0).equal(measure.latents(4, 5, 0)[:, :3])
    assert rows[0].means.shape == (4, 8, 8, 1)
    # the first test image, dequantized: (k + U)/17
    stored = load_run(made / "sweep/cb_0", "cpu").data.test.images[0, 0].numpy()
    assert np.abs(rows[0].inputs[0, :, :, 0] - (stored + 0.5) / 17).max() <= 0.5 / 17 + 1e-6


def test_runs_of_one_strategy_are_told_apart_by_their_weight_where_they_share_a_colour(made):
    groups = grouped(collect([made / "sweep"]))
    with matplotlib.rc_context(style.STYLE):
        colours = style.Colours(groups)
        figure = calibration(groups, colours, 3.25)
    (axes,) = figure.axes
    (colour,) = {colours.colour(group) for group in groups if "fixed_beta" in group.name}
    labels = {text.get_text(): text.get_color() for text in axes.texts}
    assert labels == {"β_KL 0.1": colour, "β_KL 1": colour}
    (legend,) = figure.legends
    names = {
        text.get_text(): line.get_color() for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    drawn = [line.get_color() for line in axes.lines if str(line.get_gid()).startswith(HOVER)]
    assert set(names.values()) == set(drawn) and len(names) == 3 and len(drawn) == 8
