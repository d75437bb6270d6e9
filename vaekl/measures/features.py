"""How generated images compare with real ones in the features of a network: Fréchet distance and inception score."""

import math
import socket
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vaekl.data import seed_of
from vaekl.data.sources.staging import CONNECT_SECONDS
from vaekl.model.modes import evaluating
from vaekl.system.errors import VaeklError, first_line
from vaekl.system.libraries import torch_fidelity, torchmetrics

_SPLITS = 10
#: the smallest ln p of a class: averaged over a million images, e^−690 is still a normal float64, and 0 · ln 0 is NaN
_LOWEST = -690.0


@dataclass(frozen=True)
class Scores:
    """Generated images as a network sees them.

    Args:
        frechet: the Fréchet distance of Gaussians fitted to features of real and generated images, FID in Inception's;
            0 for equal moments. With few images it is biased upwards: compare equal numbers of them only.
        inception_mean: exp of the mutual information between image and class, from 1 to the number of classes;
            averaged over the parts that the images were split into.
        inception_std: over those parts; None for a single one.
        real: how many real images there were.
        generated: how many generated ones.
    """

    frechet: float
    inception_mean: float
    inception_std: float | None
    real: int
    generated: int

    def figures(self) -> dict[str, float | None]:
        """The scores and counts by name."""
        return vars(self).copy()


@torch.inference_mode()
def scores(real: Iterable[Tensor], generated: Iterable[Tensor], network: nn.Module, seed: int = 0) -> Scores:
    """Both scores, by torchmetrics, in float64 on the CPU.

        frechet = ‖m − m'‖² + tr(S + S' − 2 (S S')^½),    inception = exp(mean KL(p(y|x) ‖ p(y)))

    The inception score is that of 10 random parts of the generated images, or of all of them where there are below 100.

    Args:
        real: batches [B, C, H, W] in [0, 1]; values outside are clamped.
        generated: the same.
        network: from such a batch to features [B, F] and logits [B, K], such as `inception()` or a `classifier`.
        seed: of the random parts.

    Raises:
        VaeklError: fewer than two images on either side, or features that are not finite.

    Source: Heusel et al. 2017; Salimans et al. 2016, section 4 (their deviation divides by 10, this by 9).
    """
    counts = {True: 0, False: 0}
    frechet: Any = None
    logits: list[Tensor] = []
    with evaluating(network):
        for is_real, batches in ((True, real), (False, generated)):
            for batch in batches:
                features, batch_logits = _features(network, batch, "real" if is_real else "generated")
                if frechet is None:
                    frechet = torchmetrics("image.fid").FrechetInceptionDistance(_Precomputed(features.shape[1]))
                frechet.update(features, real=is_real)
                counts[is_real] += len(batch)
                if not is_real:
                    logits.append(batch_logits)
    if min(counts.values()) < 2:
        raise VaeklError(
            "FID and inception score compare two real with two generated images at least, but there are "
            f"{counts[True]} and {counts[False]}: raise eval.images or eval.generated."
        )
    mean, std = _inception_score(torch.cat(logits), seed)
    # rounding can leave equal moments at −1e-14
    return Scores(max(0.0, frechet.compute().item()), mean, std, counts[True], counts[False])


class Inception(nn.Module):
    """Images [B, 1 or 3, H, W] in [0, 1] -> features [B, 2048] and logits [B, 1008] of InceptionV3.

    The network, its weights and the resizing to 299 × 299 are those of the original TensorFlow implementation, so that
    figures compare with published ones; logits are without the bias, as there.
    """

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, 2048] and logits [B, 1008]; a single channel is repeated, and values are rounded to bytes."""
        if x.shape[1] not in (1, 3):
            raise VaeklError(
                f"Inception sees pictures of 1 or 3 channels, not of {x.shape[1]}: set eval.features=classifier."
            )
        rgb = x.expand(-1, 3, -1, -1)
        features, logits = self.extractor((rgb * 255).round().to(torch.uint8))
        return features, logits


def inception() -> Inception:
    """InceptionV3 by torch-fidelity, which fetches its weights into the cache of torch.hub on first use.

    Raises:
        VaeklError: the extra `vaekl[fid]` is not installed, or the weights are missing and cannot be fetched.
    """
    library = torch_fidelity("feature_extractor_inceptionv3")
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(library.URL_INCEPTION_V3).name
    is_there = file.is_file()
    before = socket.getdefaulttimeout()
    # a firewall that drops packets silently would otherwise be waited for without end
    socket.setdefaulttimeout(CONNECT_SECONDS)
    try:
        extractor = library.FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"])
    except Exception as error:  # whatever urllib, torch.hub and unpickling make of it
        if is_there:
            fault = f"cannot be read ({first_line(error)}); delete it to have it fetched again"
        else:
            fault = f"are missing and could not be fetched ({first_line(error)}); put {library.URL_INCEPTION_V3} there"
        raise VaeklError(
            f"the weights of Inception, {file}, {fault}, or set eval.features=classifier, which needs no download."
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return Inception(extractor).eval()


class _Precomputed(nn.Module):
    """Takes a network's place where its features are computed already, so that one pass serves both scores."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def _features(network: nn.Module, batch: Tensor, side: str) -> tuple[Tensor, Tensor]:
    """Features and logits of a batch, float64 on the CPU."""
    x = batch.to(next(network.parameters(), batch).device).float().clamp(0, 1)
    features, logits = (part.cpu().double() for part in network(x))
    # x is checked too: Inception rounds it to bytes, where NaN becomes 0
    if x.isnan().any() or not (features.isfinite().all() and logits.isfinite().all()):
        raise VaeklError(
            f"the {side} images have no FID or inception score, because they or their features are not finite: "
            "find out with eval.features=none whether the model's other figures are."
        )
    return features, logits


def _inception_score(logits: Tensor, seed: int) -> tuple[float, float | None]:
    """Mean and deviation of the score over parts of logits [N, K], float64."""
    splits = _SPLITS if len(logits) >= _SPLITS**2 else 1
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message=".*save all extracted features")
        warnings.filterwarnings("ignore", message=".*degrees of freedom")  # of a single part
        torch.default_generator.manual_seed(seed_of("inception", seed))
        score = torchmetrics("image.inception").InceptionScore(_Precomputed(logits.shape[1]), splits=splits)
        score.update((logits - logits.amax(1, keepdim=True)).clamp(min=_LOWEST))
        mean, std = (value.item() for value in score.compute())
    return mean, None if math.isnan(std) else std
