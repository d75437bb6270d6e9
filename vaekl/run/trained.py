"""A trained model by itself: what `vaekl.load` returns, for arrays of the user's own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaekl.data import DataSpec, Split, batch_slices, generator
from vaekl.data.converted import StoredImages, converted, in_order
from vaekl.data.ondisk import Array
from vaekl.data.own_rows import rows_of
from vaekl.data.transforms import Transform
from vaekl.distributions import of
from vaekl.distributions.rescaled import Rescaled
from vaekl.measures import latents, pictures, ruler
from vaekl.measures.elbo import batch_limit
from vaekl.measures.importance import Bounds, LogLikelihood, importance_bounds
from vaekl.measures.single import NoiseBy, finite, noise_by
from vaekl.model.vae import VAE
from vaekl.run.build_data import check_support
from vaekl.store.schema import Results
from vaekl.system.checks import whole
from vaekl.system.errors import InputError, VaeklError, first_line

#: the least σ whose square is above 0 in float32: a normal distribution of PyTorch takes no less
_LEAST_STD = torch.finfo(torch.float32).tiny ** 0.5


@dataclass(frozen=True)
class TrainedVAE:
    """A trained model, which takes arrays as its user has them; `vaekl.load` makes it.

    x is an array of NumPy or a tensor of N examples: images [N, C, H, W], [N, H, W, C] or, of one channel, [N, H, W];
    vectors [N, D]; of a run on a table a DataFrame, or any other table that pyarrow takes. Of a run on levels, numbers
    of a whole type are these levels, and floats always the shades k/(K − 1) in [0, 1] of its K levels; other runs take
    counts and numbers as they are. What training did to the
    values is done to them: `seed` draws the noise of dequantization, and equal seeds give equal figures. x is looked at
    in batches and may be mapped from a file. What is not of the run's shape and kind is a `VaeklError`, a `ValueError`.

    Figures are those of `vaekl eval` for the same images and seed if it was loaded with noise="eval", else the same up
    to the noise. They come back on the CPU, float64, one for each
    example in the order of x; distributions are on `device`.

    Args:
        path: the run folder.
        config: the resolved config.
        results: the figures of a finished run's test, as `results.test.elbo_nats`; else None.
        model: the networks, the likelihood and the weighting, in evaluation mode: a `torch.nn.Module`.
        stored: what its data are before the transform.
        transform: what is done to them.
        weights: the name of the checkpoint that the weights are from, such as last.pt.
        step: at which it was written.
        noise: rows: an example's noise is a function of its values as stored and the seed, so that its figures are the
            same alone and beside others, to the rounding of float32; eval: as in `vaekl eval`, by its place.
    """

    path: Path
    config: dict[str, Any]
    results: Results | None
    model: VAE
    stored: DataSpec
    transform: Transform
    weights: str = ""
    step: int = 0
    noise: NoiseBy = "rows"

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def latents(self) -> int:
        """Z, how many latents there are."""
        return self.model.latents

    def encode(self, x: Any, seed: int = 0) -> Distribution:
        """q(z|x): the posterior of each example.

        Args:
            x: N examples.
            seed: of the noise of dequantization.

        Returns:
            Independent normals, batch_shape [N] and event_shape [Z]: `.mean` and `.stddev` are [N, Z]; no σ is
            below 1e-19.

        Raises:
            InputError: x is none of the run's kind, or so far from its data that the encoder gives no number.
        """
        posterior = latents.posterior(self.model, self.split(x), self._noise(seed))
        # clones may be used in a computation with gradients, which what was made for inference may not
        mean, std = (part.clone().to(self.device) for part in (posterior.mean, posterior.log_std.exp()))
        finite(torch.cat([mean, std], 1), "q(z|x)", self.model)
        return Independent(Normal(mean, std.clamp(min=_LEAST_STD)), 1)

    @torch.no_grad()
    def decode(self, z: Any, x: Any = None) -> Distribution:
        """p(x|z) of each latent, of the values that `prepare` gives.

        Args:
            z: [N, Z].
            x: of a run with dataset.offset=total N rows, whose totals the rates are in proportion to; None takes the
                mean total of training. Other runs do not look at it.

        Returns:
            A distribution of `vaekl.distributions`, batch_shape [N] and event_shape S, such as (C, H, W): `.mean` is
            [N, *S], `.log_prob(run.prepare(x))` [N] in nats.

        Raises:
            InputError: z has another shape, or is not finite; x has another N.
        """
        z = self._latents(z)
        rows = None if x is None or self.model.spec.mean_total is None else self.prepare(x)
        if rows is not None and len(rows) != len(z):
            raise InputError(f"x has {len(rows):,} rows and z {len(z):,}: give the row of each latent.")
        parts = batch_slices(len(z), batch_limit(self.model), drop_last=False)
        eta = torch.cat([self.model.decode(z[part], None if rows is None else rows[part]) for part in parts])
        law: Distribution = of(self.model.likelihood, eta, self.model.weighting.dispersion)
        if (scaling := self.model.spec.scaling) is not None:
            law = Rescaled(law, scaling.center.to(self.device), scaling.spread.to(self.device))
        return Independent(law, len(self.stored.shape))

    @torch.no_grad()
    def prepare(self, x: Any, seed: int = 0) -> Tensor:
        """x as the density of `decode` sees it: dequantized, binarized or whatever the run does to its values.

        Args:
            x: N examples.
            seed: of the noise of dequantization.

        Returns:
            [N, *S] on `device`; standardized values are on their own scale.
        """
        return self._prepared(self.split(x), seed)

    def reconstruct(self, x: Any, seed: int = 0) -> Tensor:
        """The mean of p(x|z) at the mean of q(z|x).

        Args:
            x: N examples.
            seed: of the noise of dequantization.

        Returns:
            Float32 with the axes of x: pictures and levels as shades in [0, 1], other values on their own scale.
        """
        array, back = self._with_axes(x)
        split = self.as_split(converted(array, self.stored, "x"), "x")
        rows = None if self.model.spec.mean_total is None else self._prepared(split, seed)
        mean = latents.posterior(self.model, split, self._noise(seed)).mean
        return back(pictures.decoded(self.model, mean, inputs=rows))

    def sample(self, n: int, seed: int = 0, mean: bool = False) -> Tensor:
        """Draws from the model: z ~ N(0, 1), x ~ p(x|z); those of `vaekl sample` for the same seed.

        Args:
            n: how many.
            seed: of z and of x.
            mean: the means of p(x|z) in the place of draws from it.

        Returns:
            [n, *S], float32, such as [n, C, H, W]: levels as shades in [0, 1], other values on their own scale.
        """
        z = pictures.prior(whole(n, "n", 1), self.latents, generator("sample prior", seed))[:n]
        return pictures.decoded(self.model, z, None if mean else generator("sample prior decoder", seed, self.device))

    def elbo(self, x: Any, seed: int = 0) -> Tensor:
        """The ELBO of each example, a bound on ln p(x) from one sample of q(z|x), [N], nats; higher is better.

        Args:
            x: N examples.
            seed: of all noise.

        Raises:
            InputError: some are so far from the run's data that there is no number for them; so in `log_prob`.
        """
        return finite(self._bounds(x, ruler.log_density(self.model), 1, seed).elbo, "the ELBO", self.model)

    def log_prob(self, x: Any, k: int = 100, seed: int = 0) -> Tensor:
        """ln p(x) of each example by the importance-weighted bound, [N], nats; low values are anomalies.

        Args:
            x: N examples.
            k: samples of q(z|x); the more, the tighter the bound.
            seed: of all noise.

        Source: Burda, Grosse, Salakhutdinov 2016, equation 8.
        """
        return finite(self._bounds(x, ruler.log_density(self.model), k, seed).bound[k], "ln p(x)", self.model)

    def bits_per_dim(self, x: Any, k: int = 1, seed: int = 0) -> Tensor:
        """−log2 P(x)/D of each example's levels on the fair ruler, [N], bits; lower is better.

        Args:
            x: N examples.
            k: samples of q(z|x); 1 gives the bound of the ELBO, more the importance-weighted one.
            seed: of all noise.

        Raises:
            VaeklError: the values of the run are no levels.
        """
        spec = self.model.spec
        if reason := ruler.why_no_ruler(spec, self.model.likelihood):
            raise VaeklError(f"there are no bits/dim: {reason}; take log_prob, which is in nats.")
        bounds = self._bounds(x, ruler.log_mass(self.model), k, seed)
        masses = finite(bounds.elbo if k == 1 else bounds.bound[k], "ln P(x)", self.model)
        return ruler.bits_per_dim(masses, spec)

    def split(self, x: Any, title: str = "x") -> Split:
        """Examples of the user's own as a split of the run's data, for vaekl's own measures.

        Args:
            x: N examples.
            title: how a sentence names them.

        Raises:
            InputError: they are not of the run's shape or kind.
        """
        return self.as_split(converted(self._with_axes(x, title)[0], self.stored, title), title)

    def as_split(self, images: StoredImages, title: str) -> Split:
        """The same for images as the run stores its own.

        Args:
            images: [N, *S].
            title: how a sentence names them.

        Raises:
            InputError: they are outside of the likelihood's support.
        """
        split = Split(images.to(self.device), None, self.transform)
        try:
            check_support(self.model.likelihood, split, self.model.spec, generator("support", 0, self.device))
        except VaeklError as error:
            raise InputError(f"{title} does not fit: {error}") from error
        return split

    @torch.no_grad()
    def _prepared(self, split: Split, seed: int) -> Tensor:
        noise, scaling = self._noise(seed), self.model.spec.scaling
        parts = []
        for part in self._parts(split):
            values = split.batch(part, noise)
            self.model.noise(len(values), noise)  # so that the next batch has the noise that it has in `elbo`
            parts.append(values if scaling is None else scaling.original(values))
        return torch.cat(parts)

    def _latents(self, z: Any) -> Tensor:
        """A user's latents, float32 on `device`.

        Raises:
            InputError: they are none.
        """
        wanted = f"this run has {self.latents} latents: give [N, {self.latents}]"
        try:
            rows: Tensor = torch.as_tensor(z).detach().to(self.device, torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"z is no array of numbers ({first_line(error)}), and {wanted}.") from error
        if rows.ndim != 2 or rows.shape[1] != self.latents or not len(rows):
            raise InputError(f"z has the shape {list(rows.shape)}, and {wanted}.")
        if count := int((~rows.isfinite()).sum()):
            raise InputError(f"z has {count:,} values that are NaN or infinite: remove or replace them.")
        return rows

    def _with_axes(self, x: Any, title: str = "x") -> tuple[Array, Callable[[Tensor], Tensor]]:
        return in_order(rows_of(x, self.stored, title), title, self.stored)

    def _parts(self, split: Split) -> list[slice]:
        return batch_slices(len(split), batch_limit(self.model), drop_last=False)

    def _noise(self, seed: int) -> torch.Generator:
        return noise_by(self.noise, self.model, whole(seed, "seed"))

    def _bounds(self, x: Any, log_likelihood: LogLikelihood, k: int, seed: int) -> Bounds:
        return importance_bounds(self.model, self.split(x), log_likelihood, [whole(k, "k", 1)], self._noise(seed))
