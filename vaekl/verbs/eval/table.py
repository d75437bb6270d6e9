"""The tables that `vaekl eval` prints."""

from io import StringIO
from typing import Any

from rich.cells import cell_len
from rich.measure import Measurement
from rich.table import Table

from vaekl.run.summary import MOST_CHANNELS, with_error
from vaekl.system.console import Console
from vaekl.system.terminal import printable


def run_table(report: dict[str, Any]) -> Table:
    """The figures of one run, each with its unit and protocol.

    Args:
        report: what `eval.json` holds.
    """
    weights = report["weights"] + _unfinished(report)
    examples = f"{report['example']}s"
    other = f" of {printable(report['other_data'])}" if report["other_data"] else ""
    title = f"{printable(report['run'])}, {weights}: {report['images']:,} {report['split']} {examples}{other}"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("protocol")
    elbo, protocol = report["elbo"], report["protocol"]
    table.add_row("−E/φ, nats", f"{-elbo['energy_nats']:z,.3f}")
    table.add_row("ln C, nats", f"{elbo['log_norm_const_nats']:z,.3f}")
    table.add_row("−KL, nats", f"{-elbo['kl_nats']:z,.3f}")
    density = "; ".join((protocol["data"], protocol["likelihood"]))
    table.add_row("ELBO, nats", with_error(elbo["elbo_nats"], elbo.get("elbo_standard_error_nats"), 3), density)
    for row in report["iwae"]:
        table.add_row(f"IWAE bound, K = {row['k']:,}, nats", with_error(row["nats"], row["standard_error_nats"], 3))
    if ais := report.get("ais"):
        few = f"the first {ais['images']:,} {examples}, whose IWAE bound is {ais['iwae_of_these_images_nats']:,.3f}"
        what = f"{ais['steps']:,} distributions; {few}"
        table.add_row("AIS bound, nats", with_error(ais["nats"], ais["standard_error_nats"], 3), what)
    if "bits_per_dim" in elbo:
        table.add_row("bits/dim from the ELBO", f"{elbo['bits_per_dim']:.4f}", protocol["bits_per_dim"])
    if ruler := report.get("ruler"):
        bits = with_error(ruler["bits_per_dim"], ruler["standard_error_bits_per_dim"], 4)
        table.add_row("bits/dim on the fair ruler", bits, protocol["ruler"], style="bold")
        for row in ruler["iwae"]:
            if row["k"] > 1:
                table.add_row(f"  the same, IWAE, K = {row['k']:,}", f"{row['bits_per_dim']:.4f}")
    else:
        table.add_row("bits/dim on the fair ruler", "none", protocol["ruler"])
    table.add_section()
    rate = report["rate"]
    latents = len(elbo["kl_per_latent_nats"])
    table.add_row("active units", f"{elbo['active_units']} of {latents}", "variance of the posterior mean above 0.01")
    estimate = "; an estimate, which may be below 0"
    most = f"at most ln {rate['images']:,} = {rate['largest_mutual_information_nats']:.2f}"
    table.add_row("mutual information, nats", f"{rate['mutual_information_nats']:,.3f}", most)
    table.add_row(
        "marginal KL, nats", f"{rate['marginal_kl_nats']:,.3f}", f"KL(q(z) ‖ p(z)), the sum of the next two{estimate}"
    )
    table.add_row(
        "  total correlation, nats", f"{rate['total_correlation_nats']:,.3f}", f"KL(q(z) ‖ ∏ q(z_j)){estimate}"
    )
    table.add_row("  of single latents, nats", f"{rate['dimension_wise_kl_nats']:,.3f}", "Σ_j KL(q(z_j) ‖ p(z_j))")
    table.add_section()
    several = len(elbo["dispersions"] or ()) != 1
    table.add_row("dispersion φ", f"{elbo['dispersion']:.5g}", "geometric mean of several" if several else "")
    for option, value in elbo["learned_options"].items():
        table.add_row(f"learned likelihood.{option}", f"{value:.5g}")
    for name, figures in list(report["calibration"].items())[: 1 + MOST_CHANNELS]:
        if name == "all" and report["units_differ"]:
            continue
        what = "" if name == "all" else f", {printable(name)}"
        sigmas = f"{figures['implied_sigma']:.4f} / {figures['rmse']:.4f} = {_ratio(figures)}"
        table.add_row(f"implied σ / RMSE{what}", sigmas, "; ".join(_dispersion(report, name)))
    if (more := len(report["calibration"]) - MOST_CHANNELS - 1) > 0:
        table.add_row(f"  and of {more:,} more", "", "in the file")
    table.add_row("effective β_KL", f"{elbo['effective_beta_kl']:.5g}", "the KL's weight over the energy's")
    table.add_row("information weight λ", f"{elbo['information_weight']:.5g}", "what of that is no φ")
    if curve := report["reliability"]:
        what = f"|predicted − observed| frequency of {curve['groups']} groups of levels, {curve['images']:,} {examples}"
        table.add_row("calibration error of levels", f"{curve['error']:.5f}", what)
    table.add_section()
    if "knn_accuracy" in report:
        table.add_row("15-NN accuracy", f"{report['knn_accuracy']:.4f}", "posterior means, neighbours from train")
    if quality := report["quality"]:
        table.add_row("PSNR, dB", f"{quality['psnr_db']:.2f}", "mean of p(x|z) at the posterior's mean")
        table.add_row("SSIM", f"{quality['ssim']:.4f}", "the same")
    if scores := report.get("features"):
        table.add_row("Fréchet distance", f"{scores['frechet']:,.3f}", scores["protocol"])
        table.add_row("inception score", with_error(scores["inception_mean"], scores["inception_std"], 3), "the same")
    if points := report.get("curve"):
        table.add_section()
        for point in points:
            figures = (
                f"R {point['rate_nats']:,.2f}, D {point['distortion_nats']:z,.2f}, ELBO {point['elbo_nats']:z,.2f}"
            )
            what = f"rate R = KL and distortion D = −ln p(x|z), nats; RMSE {point['rmse']:.4f}"
            table.add_row(f"at θ = {point['theta']:.4g}", figures, f"{what}, {point['active_units']} active units")
    if report["moving"]:
        table.add_section()
        table.add_row("no answer yet", "", report["moving"])
    return _uncut(table)


def _dispersion(report: dict[str, Any], name: str) -> list[str]:
    """φ of a channel that has one of its own, the kind of a column, and the best φ as a weight of the KL."""
    own, figures = report["elbo"]["dispersion_by_channel"].get(name), report["calibration"][name]
    return [
        *([f"φ = {own['dispersion']:.5g}" + (f" ({own['kind']})" if own["kind"] else "")] if own else []),
        *([f"calibrated β_KL = {figures['calibrated_beta_kl']:.5g}"] if "calibrated_beta_kl" in figures else []),
    ]


def _weights(elbo: dict[str, Any]) -> list[str]:
    """λ and the effective β_KL."""
    return [f"{elbo[key]:.4g}" for key in ("information_weight", "effective_beta_kl")]


def _control(report: dict[str, Any]) -> str:
    return str(report["choices"].get("control") or "none")


def comparison(reports: list[dict[str, Any]], width: int) -> list[Table]:
    """A line for each run, best on the fair ruler first; where that is too wide, a table of runs and one of figures.

    Args:
        reports: what `eval.json` of each run holds.
        width: of a line, in letters.
    """
    last = float("inf")
    best_first = sorted(reports, key=lambda r: r["ruler"]["bits_per_dim"] if "ruler" in r else last)
    controlled = any(_control(report) != "none" for report in reports)
    samples = reports[0]["iwae"][-1]["k"]
    who = ["likelihood", "weighting", *(["control", "λ", "effective β_KL"] if controlled else []), "seed"]
    of_bounds = ["bits/dim, ruler", "from the ELBO", "ELBO", f"IWAE, K = {samples:,}", "KL"]
    what = [*of_bounds, "active", "σ/RMSE", "15-NN", "PSNR", "SSIM"]
    rows = [([_name(report), *_choices(report, controlled)], _figures(report)) for report in best_first]
    table = _table(["run", *who], what, [[*choices, *figures] for choices, figures in rows])
    if _measured(table).maximum <= width:
        return [table]
    runs = [[str(number), *choices] for number, (choices, _) in enumerate(rows, 1)]
    measured = [[str(number), *figures] for number, (_, figures) in enumerate(rows, 1)]
    return [_table(["", "run", *who], [], runs), _table([""], what, measured)]


def width_for(table: Table, width: int) -> int:
    """The width of a line, or more where figures would be cut."""
    return max(width, _measured(table).minimum)


def _measured(table: Table) -> Measurement:
    """How wide it would be on a console of any width."""
    console = Console(file=StringIO(), width=10_000)
    return Measurement.get(console, console.options, table)


def _table(words: list[str], figures: list[str], rows: list[list[str]]) -> Table:
    table = Table()
    for name in words:
        table.add_column(name, overflow="fold", min_width=20 if name == "run" else None)
    for name in figures:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return _uncut(table)


def _uncut(table: Table) -> Table:
    """The same with no name and no figure cut or folded: what is in `run` and `protocol` may be, and headings."""
    for column in table.columns:
        if column.header not in ("run", "protocol"):
            column.min_width = max(cell_len(str(cell)) for cell in column.cells)
    return table


def _name(report: dict[str, Any]) -> str:
    return printable(report["run"].rsplit("/", 1)[-1]) + _unfinished(report)


def _choices(report: dict[str, Any], controlled: bool) -> list[str]:
    return [
        report["choices"]["likelihood"],
        report["weighting"],
        *([printable(_control(report)), *_weights(report["elbo"])] if controlled else []),
        str(report["run_seed"]),
    ]


def _figures(report: dict[str, Any]) -> list[str]:
    elbo, quality = report["elbo"], report["quality"]
    return [
        f"{report['ruler']['bits_per_dim']:.4f}" if "ruler" in report else "none",
        f"{elbo['bits_per_dim']:.4f}" if "bits_per_dim" in elbo else "none",
        f"{elbo['elbo_nats']:,.2f}",
        f"{report['iwae'][-1]['nats']:,.2f}",
        f"{elbo['kl_nats']:,.2f}",
        str(elbo["active_units"]),
        "" if report["units_differ"] else _ratio(report["calibration"]["all"]),
        f"{report['knn_accuracy']:.3f}" if "knn_accuracy" in report else "",
        f"{quality['psnr_db']:.2f}" if quality else "",
        f"{quality['ssim']:.3f}" if quality else "",
    ]


def _unfinished(report: dict[str, Any]) -> str:
    return "" if report["finished"] else f" (unfinished, step {report['step']:,})"


def _ratio(figures: dict[str, Any]) -> str:
    return f"{figures['sigma_over_rmse']:.3f}" if figures["sigma_over_rmse"] is not None else "none"
