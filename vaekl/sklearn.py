"""A VAE with scikit-learn's conventions: fit, transform, inverse_transform, score_samples.

    from vaekl.sklearn import VAETransformer
    z = VAETransformer(n_components=8, random_state=0).fit_transform(X)

It is built and trained by what `vaekl train` is built and trained by; nothing is written.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from vaekl.config.job import single
from vaekl.config.words import words_of
from vaekl.data.sources.build import Part, build_source
from vaekl.measures.pictures import decoded
from vaekl.run.build import build
from vaekl.run.config import RunConfig
from vaekl.run.trained import TrainedVAE
from vaekl.system.caller import undisturbed
from vaekl.system.checks import whole
from vaekl.system.console import Console
from vaekl.system.errors import InputError, VaeklError

Rows = NDArray[Any]
_MOST_SEED = 2**31
#: rows that are looked at together, always as many: sums in float32 depend on how many there are
_BLOCK = 64
#: keys of the config that arguments stand for
_BY_ARGUMENT = {
    "likelihood": "likelihood",
    "weighting": "weighting",
    "model": "model",
    "model.latents": "n_components",
    "trainer.steps": "steps",
    "trainer.batch_size": "batch_size",
    "trainer.device": "device",
    "optim.lr": "learning_rate",
}
#: keys of data other than X, of rows that are held out of it, and of a folder that is not written
_WITHOUT_EFFECT = (
    "dataset", "data_dir", "valid", "split_seed", "trainer.patience", "init", "experiment", "tracker", "output_dir",
    "run_name", "hydra", "--again",
)  # fmt: skip


class VAETransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A variational autoencoder of rows [N, D]: its latents as features, its bound on ln p(x) as a score.

    Args:
        n_components: how many latents, Z.
        likelihood: the family of p(x|z); "auto" takes one by what the values are (see `vaekl train --help`).
        weighting: what becomes of φ and ln C in the loss.
        model: the networks: "mlp" or "linear".
        kind: what the values stand for: "real", "counts", "levels", or "image" for grey levels and shades; "auto" takes
            floats as real numbers, and whole numbers as what they look like.
        steps: how many batches it is trained on.
        batch_size: rows in a batch.
        learning_rate: of the networks.
        overrides: more words of `vaekl train`, such as ["control=capacity", "model.hidden=[64]"]; none
            that an argument stands for, or of data, folders and trackers, which fit does not have.
        k: samples of the posterior in the importance-weighted bound of `score_samples`.
        device: auto, cpu or cuda.
        random_state: of weights, order and noise; None draws another each time.

    Attributes:
        model_: the trained `vaekl.TrainedVAE`.
        n_features_in_: D.

    Source: Kingma, Welling 2014; Burda, Grosse, Salakhutdinov 2016 for `score_samples`.
    """

    def __init__(
        self,
        n_components: int = 8,
        *,
        likelihood: str = "auto",
        weighting: str = "auto",
        model: str = "mlp",
        kind: str = "auto",
        steps: int = 2000,
        batch_size: int = 100,
        learning_rate: float = 0.001,
        overrides: Sequence[str] = (),
        k: int = 100,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.likelihood = likelihood
        self.weighting = weighting
        self.model = model
        self.kind = kind
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.overrides = overrides
        self.k = k
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "VAETransformer":  # noqa: N803  (scikit-learn's names)
        """Train on rows.

        Args:
            X: [N, D] of numbers.
            y: is not looked at.

        Raises:
            ValueError: X or a setting is not what it must be.
        """
        rows = self._checked(X, reset=True)
        seed = int(check_random_state(self.random_state).randint(_MOST_SEED))
        try:
            whole(self.k, "k", 1)
            settings = {key: getattr(self, argument) for key, argument in _BY_ARGUMENT.items()}
            words = [*words_of(settings | {"seed": seed, "valid": 0}), *self._further_words()]
            with undisturbed():
                self.model_ = self._trained(rows, words)
        except InputError:
            raise
        except VaeklError as error:
            raise InputError(str(error)) from error
        self._n_features_out = self.model_.latents
        return self

    def transform(self, X: Any) -> Rows:  # noqa: N803
        """The means of q(z|x), [N, Z]; X [N, D]."""
        check_is_fitted(self)
        rows = self._checked(X)
        z = _by_blocks(lambda block: self.model_.encode(block).mean.cpu(), self._as_fitted(rows))
        return z.astype(rows.dtype if rows.dtype.kind == "f" else np.float64)

    def inverse_transform(self, X: Any) -> Rows:  # noqa: N803
        """The means of p(x|z) in the values of the data, [N, D]; X holds z, [N, Z]."""
        check_is_fitted(self)
        fitted, stored = self.model_, self.model_.stored
        z = torch.as_tensor(np.asarray(X, np.float32))
        if z.ndim != 2 or z.shape[1] != fitted.latents:
            raise InputError(f"X has the shape {list(z.shape)}: give [N, {fitted.latents}], the latents of N rows.")
        shades = decoded(fitted.model, z).numpy().astype(np.float64)
        if stored.support != "levels" or stored.levels is None:
            return shades
        # a shade of dequantized levels is (k + U)/K, of others k/(K − 1)
        if fitted.model.spec.dequantized:
            return (shades * stored.levels - 0.5).clip(0, stored.levels - 1)
        return shades * (stored.levels - 1)

    def score_samples(self, X: Any) -> Rows:  # noqa: N803
        """The importance-weighted bound on ln p(x) of each row, [N], nats; low values are anomalies. X [N, D]."""
        check_is_fitted(self)
        rows = self._as_fitted(self._checked(X))
        return _by_blocks(lambda block: self.model_.log_prob(block, k=self.k), rows)

    def score(self, X: Any, y: Any = None) -> float:  # noqa: N803
        """The mean of `score_samples`, nats: higher is better."""
        return float(self.score_samples(X).mean())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.non_deterministic = self.random_state is None
        return tags

    def _further_words(self) -> list[str]:
        """`overrides`, without those that would contradict an argument or do nothing.

        Raises:
            InputError: names the first of them.
        """
        if isinstance(self.overrides, str):
            raise InputError(f"overrides is the text {self.overrides!r}: give a list of words, [{self.overrides!r}].")
        for word in self.overrides:
            key = word.partition("=")[0].lstrip("+~")
            if argument := (_BY_ARGUMENT | {"seed": "random_state"}).get(key):
                raise InputError(f"overrides has {word}, for which there is an argument: set {argument}.")
            if any(key == other or key.startswith((f"{other}.", f"{other}/")) for other in _WITHOUT_EFFECT):
                raise InputError(
                    f"overrides has {word}, which fit has no use for, since it takes X alone: leave it away."
                )
        return list(self.overrides)

    def _trained(self, rows: Rows, words: Sequence[str]) -> TrainedVAE:
        cfg = RunConfig.of(single(words).content)
        # nothing is held out: what is tested in a run is tested by scikit-learn
        parts = {split: Part(rows, None, "X") for split in ("train", "test")}
        kind = "real" if self.kind == "auto" and rows.dtype.kind == "f" else self.kind
        source = build_source("X", parts, kind=kind)
        run = build(cfg, Path(), Console(file=io.StringIO()), source, callbacks=[])
        run.trainer.fit()
        data = run.trainer.data
        model = run.trainer.judged.eval()
        model.encoder, model.decoder = _InFloat64(model.encoder), _InFloat64(model.decoder)
        return TrainedVAE(Path(), dict(cfg.content), None, model, data.stored, data.train.transform)

    def _as_fitted(self, rows: Rows) -> Rows:
        """Rows on the scale that `fit` saw: levels are whole numbers there, whatever their type.

        Raises:
            InputError: some are not.
        """
        levels = self.model_.stored.levels
        if levels is None or rows.dtype.kind != "f":
            return rows
        if not (rows == np.rint(rows)).all():
            raise InputError(f"X holds fractions, and fit saw the levels 0 to {levels - 1}: give such.")
        return rows.astype(np.int64)

    def _checked(self, X: Any, reset: bool = False) -> Rows:  # noqa: N803
        """X as an array [N, D], as scikit-learn wants it checked."""
        try:
            from sklearn.utils.validation import validate_data
        except ImportError:  # before scikit-learn 1.6 it was a method
            return self._validate_data(X, reset=reset)  # type: ignore[no-any-return]
        rows: Rows = validate_data(self, X, reset=reset)
        return rows


def _by_blocks(figures: Callable[[Rows], Tensor], rows: Rows) -> Rows:
    """What is said of each row, to the last digit the same alone and beside others; the last block is filled up."""
    blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    full = [np.concatenate([block, np.repeat(block[:1], _BLOCK - len(block), 0)]) for block in blocks]
    return np.concatenate([figures(block).numpy()[: len(own)] for block, own in zip(full, blocks, strict=True)])


class _InFloat64(nn.Module):
    """A network that computes in float64: a row's float32 is then the same at any place among others.

    Args:
        net: of float32, whose weights it takes over.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.double()

    def forward(self, values: Tensor) -> Any:
        return self.net(values.double())
