"""A family for each column of a table, by the kind of the column."""

from collections.abc import Callable
from math import inf

import torch
from torch import Tensor, nn

from vaekl.data.spec import DataSpec, Support
from vaekl.model.likelihoods.auto import named
from vaekl.model.likelihoods.base import Likelihood
from vaekl.system.checks import one_of
from vaekl.system.errors import VaeklError

#: which families a kind of column may have
_CHOICES = {
    "numeric": ("gaussian", "laplace"),
    "count": ("negative_binomial", "poisson"),
    "binary": ("bernoulli",),
}
#: the values that a kind of column takes, for a refusal
_VALUES = {"numeric": "finite numbers", "count": "whole numbers from 0 on", "binary": "0 or 1"}
#: how many values of a row a refusal names
_MOST_NAMED = 6


class Columns(Likelihood):
    """ln p(x | z) = Σ over the columns of ln p(column | z), each under a family of its kind.

    Numbers have a Gaussian, binary columns a Bernoulli, counts a negative binomial, and the K values of a column of
    categories, 0 or 1, a softmax over their K logits. Every column has its own ln C and its own φ, so that there is no
    weight of a column to tune: the φ of a column of numbers is its noise level. In columns without one, φ divides
    nothing. A missing value, NaN, is left out of E and of ln C.

    The columns and their kinds come from the data, so call `check_spec` first.

    Source: Ma, Tschiatschek, Turner, Hernández-Lobato, Zhang 2020 ("VAEM") for marginals of several kinds.
    """

    name = "columns"
    accepts: tuple[Support, ...] = ("mixed",)
    bounds = (-inf, inf)
    weighs_energy = False
    weighting = "learned_precision"
    dispersion_per = "value"
    leaves_out_missing = True
    dispersion_text = "one of each column: the noise level of a number, the overdispersion of a count"
    energy_text = "Σ E of each column"
    log_norm_const_text = "Σ ln C of each column"

    dispersion_mask: Tensor
    order_of_row: Tensor

    def __init__(self, numeric: str = "gaussian", count: str = "negative_binomial") -> None:
        """Choose the families; binary columns and categories have one each.

        Args:
            numeric: of columns of numbers.
            count: of columns of counts.
        """
        # a table of binary columns and categories alone has this support too, which other data have without kinds
        self.accepts = ("mixed", "binary")
        self.words = {"numeric": numeric, "count": count, "binary": "bernoulli"}
        for kind, word in self.words.items():
            one_of(word, f"likelihood.{kind}", _CHOICES[kind])
        self.parts_of_row = nn.ModuleList()

    @property
    def protocol(self) -> str:
        protocols = {f"{part.kind} columns: {part.family.protocol}" for part in self.blocks if part.family.protocol}
        clips = sorted(text for text in protocols if not text.endswith(super(Columns, self).protocol))
        return "; ".join(clips) if clips else super().protocol

    @property
    def support_text(self) -> str:
        return "columns of several kinds"

    def check_spec(self, spec: DataSpec) -> None:
        super().check_spec(spec)
        if not spec.kinds:
            raise VaeklError(
                f"likelihood={self.name} is for tables, whose columns have kinds, but dataset={spec.name} has none: "
                "use dataset=table, or likelihood=bernoulli."
            )
        parts: list[_Block] = []
        for kind, word in self.words.items():
            if places := [place for place, other in enumerate(spec.kind_of_values) if other == kind]:
                parts.append(_Block(kind, named(word), places, [spec.columns[place] for place in places]))
        start = 0
        for code in spec.codes:
            end = start + len(code.names)
            if code.kind == "categorical":
                parts.append(_Block(code.kind, _OneOf(), list(range(start, end)), [code.name]))
            start = end
        self.parts_of_row = nn.ModuleList(parts)
        self.outputs = max(part.family.outputs for part in parts)
        mask = torch.zeros(spec.shape, dtype=torch.bool)
        for part in parts:
            mask[part.places] = part.keeps_dispersion
        self.register_buffer("dispersion_mask", mask, persistent=False)
        order = torch.cat([part.places for part in parts]).argsort()
        self.register_buffer("order_of_row", order, persistent=False)

    @property
    def has_dispersion(self) -> Tensor | None:
        return self.dispersion_mask

    def check_support(self, x: Tensor) -> None:
        for part in self.blocks:
            part.check_support(x[:, part.places])

    def needs_every_value(self, spec: DataSpec) -> bool:
        return True  # a row that is of no category would have a probability above that of any that is

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        energy = self._joined(lambda part: part.energy(eta, x.nan_to_num(), dispersion))
        return energy.masked_fill(x.isnan(), 0)

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return self._joined(lambda part: part.log_norm_const(eta, dispersion))

    def log_prob(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return super().log_prob(eta, x, dispersion).masked_fill(x.isnan(), 0)

    def parts(self, eta: Tensor, x: Tensor, dispersion: Tensor, tempered: bool = True) -> tuple[Tensor, Tensor]:
        energy = self.energy(eta, x, dispersion).sum_to_size((len(x), *dispersion.shape))
        return energy, self.log_norm_const(eta, dispersion).masked_fill(x.isnan(), 0).sum(1)

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return self._joined(lambda part: part.family.mean(part.eta(eta), part.phi(dispersion)))

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return self._joined(lambda part: part.family.variance(part.eta(eta), part.phi(dispersion)))

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self._joined(lambda part: part.family.sample(part.eta(eta), part.phi(dispersion), generator))

    def first_eta(self, mean: Tensor, variance: float) -> Tensor | None:
        if mean.ndim != 1:
            return None
        eta = torch.zeros(self.outputs, *mean.shape, device=mean.device, dtype=mean.dtype)
        for part in self.blocks:
            first = part.family.first_eta(mean[part.places], variance)
            if first is not None:
                eta[: len(first), part.places] = first
        return eta

    @property
    def blocks(self) -> "list[_Block]":
        """The columns of each family, and each column of categories."""
        return list(self.parts_of_row)  # type: ignore[arg-type]

    def _joined(self, answer: "Callable[[_Block], Tensor]") -> Tensor:
        """The answers for the columns of each family, in the order of the row, [B, D]."""
        return torch.cat([answer(block) for block in self.blocks], 1)[:, self.order_of_row]


class _Block(nn.Module):
    """Some values of a row under one family."""

    places: Tensor

    def __init__(self, kind: str, family: Likelihood, places: list[int], columns: list[str]) -> None:
        super().__init__()
        self.kind, self.family, self.columns = kind, family, columns
        self.register_buffer("places", torch.tensor(places), persistent=False)
        #: whether φ is the family's; else it is 1, and E/φ is made to be E
        self.keeps_dispersion = family.scale_power is not None or not family.weighs_energy

    def check_support(self, values: Tensor) -> None:
        """Refuse values [B, d] that a column of this kind cannot have; NaN is a missing one.

        Raises:
            VaeklError: names the column, what it takes and what it holds.
        """
        if self.kind == "categorical":
            of_one = ((values == 1).sum(1) == 1) & ((values == 0).sum(1) == values.shape[1] - 1)
            fits = of_one | values.isnan().all(1)
            if not fits.all():
                held = [f"{value:.4g}" for value in values[~fits][0, :_MOST_NAMED].tolist()]
                more = ", ..." if values.shape[1] > _MOST_NAMED else ""
                what = f"one 1 and else 0 as the {values.shape[1]} values"
                raise _misfit(what, self.columns[0], f"({', '.join(held)}{more})")
            return
        lower, upper = self.family.bounds
        fits = (values >= lower) & (values <= upper)
        if self.family.discrete:
            fits &= values == values.round()
        if not (fits | values.isnan()).all():
            row, place = (~(fits | values.isnan())).nonzero()[0].tolist()
            raise _misfit(_VALUES[self.kind], self.columns[place], f"{values[row, place].item():.4g}")

    def eta(self, eta: Tensor) -> Tensor:
        """η of these values, [B, P, d]."""
        return eta[:, : self.family.outputs, self.places]

    def phi(self, dispersion: Tensor) -> Tensor:
        """φ of these values as the family takes it, [d]."""
        own = dispersion.expand(len(dispersion) if len(dispersion) > 1 else len(self.places))
        own = own[self.places] if len(dispersion) > 1 else own
        return own if self.keeps_dispersion else torch.ones_like(own)

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        energy = self.family.energy(self.eta(eta), x[:, self.places], self.phi(dispersion))
        if self.keeps_dispersion:
            return energy
        return energy * (dispersion[self.places] if len(dispersion) > 1 else dispersion)

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        own = self.eta(eta)
        if not self.family.has_constant:
            return torch.zeros_like(own[:, 0])
        return self.family.log_norm_const(own, self.phi(dispersion))


def _misfit(what: str, column: str, held: str) -> VaeklError:
    return VaeklError(
        f"likelihood=columns takes {what} of the column {column}, but a row holds {held}: give rows as the run's table "
        "has them."
    )


class _OneOf(Likelihood):
    """The K values of one column of categories, of which one is 1: −ln p = −Σ x ln softmax(a), one logit each."""

    name = "one_of"
    accepts = ("binary",)
    discrete = True
    energy_text = "−x ln softmax(a)"
    log_norm_const_text = "0"

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return -x * eta[:, 0].log_softmax(1)

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return torch.zeros_like(eta[:, 0])

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return eta[:, 0].softmax(1)

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        chance = eta[:, 0].softmax(1)
        return chance * (1 - chance)

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        drawn = torch.multinomial(eta[:, 0].softmax(1), 1, generator=generator)
        return torch.zeros_like(eta[:, 0]).scatter_(1, drawn, 1.0)

    def first_eta(self, mean: Tensor, variance: float) -> Tensor | None:
        return mean.clamp(min=1e-3).log().unsqueeze(0)
