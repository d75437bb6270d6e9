"""The table of the groups for a paper in LaTeX, with the rules of booktabs, and the captions as text."""

from collections.abc import Sequence
from unicodedata import normalize

from vaekl.system.terminal import printable
from vaekl.verbs.report.groups import COLUMNS, Group, swept
from vaekl.verbs.report.write import cell, counted

#: what of the table is printed; speed and size are the machine's and stay in the page
_PRINTED = {
    "ruler_bits_per_dim": "bits/dim",
    "elbo_nats": "ELBO",
    "rate_nats": "$R$",
    "distortion_nats": "$D$",
    "marginal_kl_nats": r"$\mathrm{KL}(q(z)\,\|\,p(z))$",
    "active_units": "active",
    "sigma_over_rmse": r"$\sigma$/RMSE",
    "effective_beta_kl": r"$\beta_{\mathrm{KL}}$",
}
TABLE_CAPTION = (
    "Means over seeds ± standard error. ELBO = −D − R, rate R and distortion D in nats per example, comparable only "
    "on the same data, protocol and support; bits/dim of the integers on the fair ruler, comparable between "
    "likelihoods. Bold: the best of those that can be compared."
)
#: an accent that the default font lacks, and what it has beside ASCII and accented letters
_OGONEK, _LETTERS = "\u0328", "ßæøÆØœŒłŁı‘’“”—€"
_ESCAPED = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    | {'"': r"\symbol{34}", "`": r"\textasciigrave{}"}
    | {"−": "$-$", "±": r"$\pm$", "–": "--", "·": r"$\cdot$", "×": r"$\times$", "…": r"\ldots{}", "‖": r"$\|$"}
    | {"φ": r"$\varphi$", "σ": r"$\sigma$", "β": r"$\beta$", "λ": r"$\lambda$", "θ": r"$\theta$", "Σ": r"$\Sigma$"}
    | {"√": r"$\surd$", "∈": r"$\in$", "≤": r"$\leq$", "≥": r"$\geq$", "½": r"$\frac12$", "²": r"$^2$", "→": r"$\to$"}
)  # fmt: skip


def escaped(text: str) -> str:
    r"""Text that LaTeX prints as it is.

    >>> print(escaped("weighting.beta=0.1, 50 % of λ_1"))
    weighting.beta=0.1, 50 \% of $\lambda$\_1
    """
    return "".join(_ESCAPED.get(ord(letter)) or _in_latex(letter) for letter in printable(text))


def _in_latex(letter: str) -> str:
    """A letter that pdflatex prints in its default font, or the number of one that it would refuse."""
    parts = normalize("NFD", letter)
    is_accented = letter < "\u0180" and len(parts) == 2 and parts[0].isascii() and parts[1] != _OGONEK
    return letter if letter.isascii() or is_accented or letter in _LETTERS else f"U+{ord(letter):04X}"


def table(groups: Sequence[Group], caption: str) -> str:
    """A `table` environment; bold is the best of those that can be compared."""
    keys = swept(groups)
    columns = [column for column in COLUMNS if column.key in _PRINTED and any(g.stats[column.key] for g in groups)]
    heads = [*map(escaped, keys), "$n$", *(_PRINTED[column.key] for column in columns)]
    lines = []
    for group in groups:
        cells = [escaped(str(value)) for value in group.settings.values()] + [escaped(counted(group))]
        for column in columns:
            stat = group.stats[column.key]
            mean, error = cell(column, stat) if stat else ("–", "")
            bold = column.key in group.best
            text = escaped(mean)
            shown = rf"\textbf{{{text}}}" if bold else text
            cells.append(f"{shown} {escaped(error)}".strip())
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{escaped(caption)}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%  shrunk where it is too wide",
            rf"\begin{{tabular}}{{{'l' * len(keys)}{'r' * (1 + len(columns))}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def captions(by_name: dict[str, str]) -> str:
    """The captions by the names of the figures' files, as plain text."""
    return "\n\n".join(f"{name}\n{printable(caption)}" for name, caption in by_name.items()) + "\n"
