"""What a forecast holds: the spectrum of a data set, and what each β_KL lets survive."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What one β_KL lets survive; σ and the best ELBO of a linear VAE there, nats per example, on the user's scale."""

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
        spread: what standardized values were divided by, 1 for all others; σ is on the user's scale.
        level_width: the distance between neighbouring grey levels on [0, 1]; None for data without any.
        support: of the values, as in `DataSpec`.
        shape: of one example.
        example: what one is called.
        images: how many the covariance is of.
        train_images: how many there are.
        latents: Z.
        noise_variance: probabilistic PCA's φ for Z latents.
        elbo_nats: of probabilistic PCA at that φ, nats per example.
        rows: one a β_KL.
        eigenvalues: λ₁ ≥ λ₂ ≥ ..., [D].
    """

    dataset: str
    protocol: str
    spread: float
    level_width: float | None
    support: str
    shape: tuple[int, ...]
    example: str
    images: int
    train_images: int
    latents: int
    noise_variance: float
    elbo_nats: float
    rows: list[Row]
    eigenvalues: list[float]
