"""What a diagnosis rests on: plain numbers of one run, so that every sentence can be tested without training."""

from dataclasses import dataclass, field

from vaekl.measures.trend import Trend


@dataclass(frozen=True)
class Settings:
    """What the run's files say of how it was trained.

    Args:
        likelihood: the family's name.
        scale_power: s in ln C = −s ln φ + const; None where φ is no scale.
        has_constant: whether ln C may be another number than 0.
        discrete: whether the family gives probabilities to values.
        weighting: its name.
        fits_dispersion: whether the weighting finds φ.
        drops_constant: whether the loss lacks ln C.
        weighs_kl: whether the weighting, and not a control, makes λ another number than 1.
        control: its name.
        has_one_weight: whether λ is one number, times the schedule.
        holds_target: whether the control moves λ until something is at a target.
        support: of the data as they are stored: binary, levels, counts, unit_interval or real; empty if not known.
        dequantized: whether noise was added to whole values, so that a density of them bounds their probability.
        learning_rate: optim.lr.
        step: the last step of the checkpoint.
        steps: how many the run was to have.
        longer: the command that gives it more steps; empty where it cannot go on as one that had them from the start.
        finished: whether it was trained to its end.
        schedule: the KL's multiplier in the last step of training.
        restores: how often training went back to a checkpoint after a loss that was not finite.
    """

    likelihood: str = "gaussian"
    scale_power: float | None = 0.5
    has_constant: bool = True
    discrete: bool = False
    weighting: str = "learned_precision"
    fits_dispersion: bool = True
    drops_constant: bool = False
    weighs_kl: bool = False
    control: str = "information_weight"
    has_one_weight: bool = True
    holds_target: bool = False
    support: str = "levels"
    dequantized: bool = False
    learning_rate: float = 1e-3
    step: int = 1000
    steps: int = 1000
    longer: str = "vaekl resume 'outputs/a run' trainer.steps=2000"
    finished: bool = True
    schedule: float = 1.0
    restores: int = 0


@dataclass(frozen=True)
class Judged:
    """Figures of some images, nats per example where no unit is named.

    Args:
        elbo: of the implied density.
        kl: of all latents.
        kl_per_latent: [Z].
        dispersion: φ; a geometric mean where there are several.
        calibrated_dispersion: the φ that would be best for this decoder on these images; None where φ is no scale.
        implied_sigma: root of the density's average variance, on the scale of the data.
        rmse: of its mean.
        active: latents whose posterior mean has variance above 0.01.
        information_weight: λ.
        iwae: the importance-weighted bound of some of the images.
        iwae_elbo: the ELBO of the same images.
        fitted_gain: what the ELBO of some images gains if q(z|x) is fitted to each of them; None if not measured.
    """

    elbo: float
    kl: float
    kl_per_latent: tuple[float, ...]
    dispersion: float
    calibrated_dispersion: float | None
    implied_sigma: float
    rmse: float
    active: int
    information_weight: float
    iwae: float
    iwae_elbo: float
    fitted_gain: float | None = None


@dataclass(frozen=True)
class Aggregate:
    """The latents of all training images together: q(z) = 1/N Σ q(z|x).

    Args:
        information: I(x; z), at most ln N, nats.
        marginal_kl: KL(q(z) ‖ p(z)), nats.
        gaussian_kl: the same of the normal distribution with the mean and covariance of q(z), nats.
        mean: of the samples of each latent, [Z].
        std: their standard deviation, [Z].
        std_of_means: that of the posterior means, [Z].
        overall_std: the root of the average variance of all latents.
        samples_distance: of decoded prior samples from the nearest training example, over that of reconstructions.
    """

    information: float
    marginal_kl: float
    gaussian_kl: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    std_of_means: tuple[float, ...]
    overall_std: float
    samples_distance: float


@dataclass(frozen=True)
class Structure:
    """What linear models say that latents could explain, in units of the density's own noise.

    Args:
        data: eigenvalues of the data's covariance over the noise variance of each value, the largest first.
        rest: those of the covariance of what the model leaves that noise of as many images and values would not have,
            over their mean.
        held: what latents for these directions would add to the ELBO of images that were not trained on, nats.
    """

    data: tuple[float, ...]
    rest: tuple[float, ...]
    held: float = 0.0


@dataclass(frozen=True)
class Linear:
    """The best linear VAE of as many latents for the training images, on test images, nats per example.

    Args:
        elbo: its ELBO.
        ahead: by how much that is above the model's.
        error: the standard error of this difference.
    """

    elbo: float
    ahead: float
    error: float


@dataclass(frozen=True)
class Trial:
    """What some further steps change in the ELBO, nats.

    Args:
        steps: how many.
        split: of which images: valid, or train where there are none.
        by_rate: what the learning rate was multiplied by -> the change.
        errors: the standard errors of these changes, over the images.
        without_weight: the change of the ELBO under λ = 1; None where λ is 1.
    """

    steps: int
    by_rate: dict[float, float] = field(default_factory=dict)
    without_weight: float | None = None
    errors: dict[float, float] = field(default_factory=dict)
    split: str = "valid"


@dataclass(frozen=True)
class Log:
    """What metrics.csv says.

    Args:
        trend: what still moved at the end.
        valid_trend: change of the validation ELBO for each 100 steps; None where it stood still, or there is none.
        progress: by how much the training ELBO rose from the first row to the last, nats; None without two rows. Of a
            run whose φ or λ is drawn for each step it is the validation ELBO.
        best_valid: the best validation ELBO.
        judged_valid: that of the weights which are judged; None where there is no validation.
    """

    trend: Trend
    valid_trend: float | None = None
    progress: float | None = None
    best_valid: float | None = None
    judged_valid: float | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything that the causes are read off.

    Args:
        name: of the run.
        resume: the command that goes on with it.
        example: what one example is called.
        dims: D, values of an example.
        latents: Z.
        train_images: N.
        looked_at: how many test images, and how many training images, the figures are of.
        settings: how it was trained.
        test: figures of test images.
        train: of training images.
        aggregate: the latents of the training images together.
        structure: what linear models could explain.
        trial: what further steps change; None if none were tried.
        log: of its training.
        seen_before: the share of the test images that are training images too.
        all_alike: whether all training images are one and the same.
        linear: a linear model to compare with; None where there is none for this density.
    """

    name: str
    resume: str
    example: str
    dims: int
    latents: int
    train_images: int
    looked_at: tuple[int, int]
    settings: Settings
    test: Judged
    train: Judged
    aggregate: Aggregate
    structure: Structure
    trial: Trial | None
    log: Log
    seen_before: float = 0.0
    all_alike: bool = False
    linear: Linear | None = None


@dataclass(frozen=True)
class Cause:
    """One thing that went wrong.

    Args:
        cause: in two or three words.
        nats: what it costs, nats per example, as far as the evidence says.
        sentence: the evidence, with its figure.
        cure: a command or a setting.
        certain: whether it follows from the run's files alone; such causes stand first.
    """

    cause: str
    nats: float
    sentence: str
    cure: str
    certain: bool = False
