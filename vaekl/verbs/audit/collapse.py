"""`vaekl audit dataset=NAME`: how many latents of a linear VAE survive each β_KL, before anything is trained."""

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import inf, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaekl import __version__
from vaekl.system.errors import VaeklError
from vaekl.system.files import replacing, unwritable
from vaekl.verbs.audit.card import number
from vaekl.verbs.audit.loss import GREY_LEVELS
from vaekl.verbs.audit.parse import pairs, parts, positive_number, size

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from vaekl.data import Data
    from vaekl.verbs.audit.spectrum import Vector

_OWN = ("latents", "beta_kl", "output_dir")
_OF_THE_DATA = ("dataset", "dataset.*", "transform", "transform.*", "data_dir", "valid", "split_seed")
_LATENTS = 8
#: a covariance of more values, or as many images beside each other, is left to a subsample
_MOST = 4096
_CHUNK = 1000


@dataclass(frozen=True)
class Row:
    """What one β_KL lets survive; ELBO in nats per image, the best that a linear VAE has at this φ."""

    beta_kl: float
    sigma: float
    eigenvalues_above: int
    survivors: int
    elbo_nats: float


@dataclass(frozen=True)
class Forecast:
    """The spectrum of a data set and what follows from it.

    Args:
        dataset: its name.
        protocol: what was done to the stored values.
        shape: (C, H, W).
        images: how many the covariance is of.
        train_images: how many there are.
        latents: Z.
        noise_variance: probabilistic PCA's φ for Z latents.
        elbo_nats: of probabilistic PCA at that φ, nats per image.
        rows: one a β_KL.
        eigenvalues: λ₁ ≥ λ₂ ≥ ..., [D].
    """

    dataset: str
    protocol: str
    shape: tuple[int, ...]
    images: int
    train_images: int
    latents: int
    noise_variance: float
    elbo_nats: float
    rows: list[Row]
    eigenvalues: list[float]


def forecast(words: Sequence[str]) -> Forecast:
    """Print the table and write `audit_NAME.png` and `audit_NAME.json`; nothing is written before all is known.

    Raises:
        VaeklError: one sentence for any mistake in the words.
    """
    flags, plain = _flags(words)
    given = pairs(plain, [*_OWN, *_OF_THE_DATA], hint=" in a forecast of collapse")
    if "dataset" not in given:
        raise VaeklError("dataset is missing: say which, as in dataset=digits.")
    latents = size("latents", given["latents"]) if "latents" in given else _LATENTS
    betas = [positive_number("beta_kl", text) for text in parts(given["beta_kl"])] if "beta_kl" in given else None
    if betas == []:
        raise VaeklError("beta_kl needs at least one value, as in beta_kl=[0.01,0.1].")
    for key, value in given.items():
        if key not in _OWN and "," in value and value[:1] not in ("[", "{", "'", '"'):
            raise VaeklError(
                f"a forecast is of one data set, so {key}={value} must be one value: leave the others away."
            )
    folder = Path(given.get("output_dir") or "outputs")
    data = _data([word for word in plain if word.partition("=")[0] not in _OWN] + flags)
    found = predict(data, given["dataset"], latents, betas)
    print(table(found))
    _write(found, folder)
    return found


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
    from vaekl.verbs.audit import spectrum as of

    dims, spec = data.spec.dims, data.spec
    if latents >= dims:
        raise VaeklError(
            f"latents={latents} explain every one of the {dims:,} values of an image of {name}, which leaves no noise: "
            "choose fewer."
        )
    values, images = _spectrum(data)
    if not values[0] > 0:
        raise VaeklError(f"the training images of {name} are all alike, so nothing can be explained: check them.")
    chosen = sorted(betas if betas is not None else of.grid(values, latents), reverse=True)
    rows = [
        Row(b, sqrt(b), of.above(values, b), of.survivors(values, b, latents), of.elbo(values, b, latents))
        for b in chosen
    ]
    phi = of.noise_variance(values, latents)
    return Forecast(
        dataset=name,
        protocol=spec.protocol,
        shape=spec.shape,
        images=images,
        train_images=len(data.train),
        latents=latents,
        noise_variance=phi,
        elbo_nats=of.elbo(values, phi, latents),
        rows=rows,
        eigenvalues=values.tolist(),
    )


def table(found: Forecast) -> str:
    """What is printed."""
    shape = "×".join(map(str, found.shape))
    lines = [
        f"vaekl {__version__}: a linear VAE with likelihood=gaussian on {found.dataset}, {found.latents} latents",
        f"  data           {found.train_images:,} training images of {shape}; {found.protocol}",
    ]
    if found.images < found.train_images:
        lines.append(f"                 the covariance is that of {found.images:,} of them, chosen by a seed")
    top = ", ".join(number(value) for value in found.eigenvalues[:6])
    total = sum(found.eigenvalues)
    lines += [
        f"  eigenvalues    {top}, ...; total variance {number(total)}",
        f"  noise          φ = {number(found.noise_variance)} for {found.latents} latents (probabilistic PCA), "
        f"σ = {_sigma(sqrt(found.noise_variance))}",
        f"  ELBO           {_nats(found.elbo_nats)} nats per image there, the best of all φ",
        "",
        f"  {'β_KL = φ':>10}  {'σ':>8}  {'grey levels':>11}  {'eigenvalues > φ':>15}  {'latents that survive':>20}  "
        f"{'best ELBO, nats':>15}",
    ]
    for row in found.rows:
        lines.append(
            f"  {row.beta_kl:>10.4g}  {row.sigma:>8.4g}  {row.sigma * GREY_LEVELS:>11.1f}  "
            f"{row.eigenvalues_above:>15,}  {f'{row.survivors} of {found.latents}':>20}  {_nats(row.elbo_nats):>15}"
        )
    return "\n".join(lines)


def _nats(value: float) -> str:
    return "∞" if value == inf else f"{value:,.2f}".replace("-", "−")


def _sigma(sigma: float) -> str:
    return f"{sigma:.4g} = {sigma * GREY_LEVELS:.1f} grey levels of {GREY_LEVELS}"


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
    from vaekl.config import compose

    found: list[Data] = []

    def build(cfg: "DictConfig", path: Path) -> None:
        from vaekl.run import start

        found.append(start.build_data(cfg, start.build_likelihood(cfg)))

    # Hydra makes a job's folder, and there is no run here to keep
    with tempfile.TemporaryDirectory() as scratch:
        fixed = ["likelihood=gaussian", "model=linear", "run_name=audit", f"hydra.run.dir='{scratch}'"]
        compose.run_with_hydra(build, [*words, *fixed])
    return found[0]


def _spectrum(data: "Data") -> "tuple[Vector, int]":
    """The eigenvalues of the training images' covariance, and how many images it is of."""
    import torch

    from vaekl.data import seed_of
    from vaekl.verbs.audit.spectrum import eigenvalues

    split, count = data.train, len(data.train)
    index = torch.arange(count)
    if data.spec.dims > _MOST and count > _MOST:
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed_of("audit", 0)))
        index = order[:_MOST].sort().values

    def batches() -> "Iterable[Vector]":
        # the same noise in every pass: dequantized values are drawn anew at each batch
        generator = torch.Generator().manual_seed(seed_of("audit noise", 0))
        for part in index.split(_CHUNK):
            yield split.batch(part, generator).flatten(1).double().numpy()

    return eigenvalues(batches), len(index)


def _write(found: Forecast, folder: Path) -> None:
    from vaekl.verbs.audit.picture import draw

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VaeklError(unwritable(folder, "folder", error)) from error
    picture, numbers = folder / f"audit_{found.dataset}.png", folder / f"audit_{found.dataset}.json"
    with replacing(picture, "picture") as partial:
        draw(found, partial)
    with replacing(numbers, "file") as partial:
        partial.write_text(json.dumps(_finite(asdict(found)), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n  {picture}\n  {numbers}")


def _finite(content: Any) -> Any:
    """The same with null where JSON has no word for infinity."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if content == inf else content
