"""`vaekl audit dataset=NAME`: how many latents of a linear VAE survive each β_KL, before anything is trained."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import inf, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaekl import __version__
from vaekl.system.errors import VaeklError
from vaekl.system.files import made_folder, replacing
from vaekl.system.terminal import printable, show
from vaekl.verbs.audit.parse import pairs, parts, positive_number, size
from vaekl.verbs.audit.prediction import Forecast, Row
from vaekl.verbs.audit.sigma import PixelScale
from vaekl.verbs.audit.text import number, one

if TYPE_CHECKING:
    from vaekl.data import Data
    from vaekl.verbs.audit.spectrum import Vector

_OWN_KEYS = ("latents", "beta_kl", "output_dir")
_DATA_KEYS = ("dataset", "dataset.*", "transform", "transform.*", "data_dir", "valid", "split_seed")
_LATENTS = 8
#: largest covariance: of more values an image than this, it is that of so many images at most
_MOST = 4096
#: images in a batch of the passes over the data
_CHUNK = 1000


def forecast(words: Sequence[str]) -> Forecast:
    """Print the table and write `audit_NAME.png` and `audit_NAME.json`; nothing is written before all is known.

    Raises:
        VaeklError: one sentence for any mistake in the words.
    """
    flags, plain = _flags(words)
    options = pairs(plain, [*_OWN_KEYS, *_DATA_KEYS], hint=" in a forecast of collapse")
    if "dataset" not in options:
        raise VaeklError("dataset is missing: say which, as in dataset=digits.")
    latents = size("latents", options["latents"]) if "latents" in options else None
    betas = [positive_number("beta_kl", text) for text in parts(options["beta_kl"])] if "beta_kl" in options else None
    if betas == []:
        raise VaeklError("beta_kl needs at least one value, as in beta_kl=[0.01,0.1].")
    for key, value in options.items():
        if key not in _OWN_KEYS and "," in value and value[:1] not in ("[", "{", "'", '"'):
            raise VaeklError(
                f"a forecast is of one data set, so {key}={value} must be one value: leave the others away."
            )
    folder = Path(options.get("output_dir") or "outputs")
    data = _data([word for word in plain if word.partition("=")[0] not in _OWN_KEYS] + flags)
    # of few values fewer are wanted, since as many latents leave no noise
    latents = latents or max(1, min(_LATENTS, data.spec.dims - 1))
    result = predict(data, options["dataset"], latents, betas)
    show(table(result))
    _write(result, folder)
    return result


def predict(data: "Data", name: str, latents: int, betas: Sequence[float] | None = None) -> Forecast:
    """The forecast for the training images as the likelihood sees them.

    Args:
        data: what a run would train on.
        name: of the data set, for the files.
        latents: Z.
        betas: values of β_KL to look at; None takes ten that are spread over the spectrum.

    Raises:
        VaeklError: there are no latents left over, or the images are all alike.
    """
    from vaekl.verbs.audit import spectrum

    dims, spec = data.spec.dims, data.spec
    if latents >= dims:
        raise VaeklError(
            f"latents={latents} explain every one of the {dims:,} values of {one(spec.example)} of {name}, which "
            "leaves no noise: choose fewer."
        )
    values, images = _spectrum(data)
    if not values[0] > 0:
        raise VaeklError(
            f"the training {spec.example}s of {name} are all alike, so nothing can be explained: check them."
        )
    spread = spec.facts()["spread"] or 1.0
    chosen = sorted(betas if betas is not None else spectrum.grid(values, latents), reverse=True)
    rows = [
        Row(
            beta_kl=beta,
            sigma=sqrt(beta) * spread,
            eigenvalues_above=spectrum.above(values, beta),
            survivors=spectrum.survivors(values, beta, latents),
            elbo_nats=spectrum.elbo(values, beta, latents) - spec.log_volume,
        )
        for beta in chosen
    ]
    phi = spectrum.noise_variance(values, latents)
    return Forecast(
        dataset=name,
        protocol=spec.protocol,
        spread=spread,
        level_width=spec.level_width,
        support=spec.support,
        shape=spec.shape,
        example=spec.example,
        images=images,
        train_images=len(data.train),
        latents=latents,
        noise_variance=phi,
        elbo_nats=spectrum.elbo(values, phi, latents) - spec.log_volume,
        rows=rows,
        eigenvalues=values.tolist(),
    )


def table(result: Forecast) -> str:
    """What is printed; σ in grey levels only where the data have any."""
    scale = PixelScale.of_data(vars(result))
    shape = "×".join(map(str, result.shape))
    lines = [
        f"vaekl {__version__}: a linear VAE with likelihood=gaussian on {result.dataset}, {result.latents} latents",
        f"  data           {result.train_images:,} training {result.example}s of {shape}; {result.protocol}",
    ]
    if result.images < result.train_images:
        lines.append(f"                 the covariance is that of {result.images:,} of them, chosen by a seed")
    top = ", ".join(number(value) for value in result.eigenvalues[:6])
    total = sum(result.eigenvalues)
    lines += [
        f"  eigenvalues    {top}, ...; total variance {number(total)}",
        f"  noise          φ = {number(result.noise_variance)} for {result.latents} latents (probabilistic PCA), "
        f"σ = {scale.words(sqrt(result.noise_variance) * result.spread)}",
        f"  ELBO           {_nats(result.elbo_nats)} nats per {result.example} there, the best of all φ",
        "",
        f"  {'β_KL = φ':>10}  {'σ':>8}  {'grey levels  ' if scale.level else ''}{'eigenvalues > φ':>15}  "
        f"{'latents that survive':>20}  {'best ELBO, nats':>15}",
    ]
    for row in result.rows:
        levels = f"{row.sigma / scale.level:>11.1f}  " if scale.level else ""
        lines.append(
            f"  {row.beta_kl:>10.4g}  {row.sigma:>8.4g}  {levels}{row.eigenvalues_above:>15,}  "
            f"{f'{row.survivors} of {result.latents}':>20}  {_nats(row.elbo_nats):>15}"
        )
    return "\n".join(lines)


def _nats(value: float) -> str:
    return "∞" if value == inf else f"{value:,.2f}".replace("-", "−")


def _flags(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """`--config-dir DIR`, and all other words."""
    flags: list[str] = []
    plain: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.partition("=")[0] not in ("--config-dir", "-cd"):
            plain.append(word)
            continue
        flags.append(word)
        if "=" not in word and rest:
            flags.append(rest.pop(0))
    return flags, plain


def _data(words: list[str]) -> "Data":
    """The data of `vaekl train WORDS likelihood=gaussian`."""
    from vaekl.config.job import single

    job = single([*words, "likelihood=gaussian", "model=linear"])

    from vaekl.run.build_data import build_likelihood_and_data
    from vaekl.run.config import RunConfig

    return build_likelihood_and_data(RunConfig.of(job.content))[1]


def _spectrum(data: "Data") -> "tuple[Vector, int]":
    """The eigenvalues of the training images' covariance, and how many images it is of."""
    import torch

    from vaekl.data import generator
    from vaekl.verbs.audit.spectrum import eigenvalues

    split, count = data.train, len(data.train)
    index = torch.arange(count)
    if data.spec.dims > _MOST and count > _MOST:
        order = torch.randperm(count, generator=generator("audit", 0))
        index = order[:_MOST].sort().values

    def batches() -> "Iterable[Vector]":
        # the same noise in every pass: dequantized values are drawn anew at each batch
        noise = generator("audit noise", 0)
        for part in index.split(_CHUNK):
            yield split.batch(part, noise).flatten(1).double().numpy()

    return eigenvalues(batches), len(index)


def _write(result: Forecast, folder: Path) -> None:
    from vaekl.verbs.audit.picture import draw

    made_folder(folder, option="output_dir")
    picture, numbers = folder / f"audit_{result.dataset}.png", folder / f"audit_{result.dataset}.json"
    with replacing(picture, "picture") as partial:
        draw(result, partial)
    with replacing(numbers, "file") as partial:
        partial.write_text(json.dumps(_finite(asdict(result)), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    show("\n" + "\n".join(f"  {printable(str(file))}" for file in (picture, numbers)))


def _finite(content: Any) -> Any:
    """The same with null where JSON has no word for infinity."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if content == inf else content
