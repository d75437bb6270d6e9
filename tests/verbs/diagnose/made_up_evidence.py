"""Evidence of a run with nothing wrong, and what makes something else of it."""

from dataclasses import replace

from vaekl.measures.trend import Trend
from vaekl.verbs.diagnose.evidence import Aggregate, Evidence, Judged, Log, Settings, Structure, Trial

#: figures of a run with nothing wrong: 64 values, 8 latents of which five are used
FINE = Judged(
    elbo=24.0, kl=10.0, kl_per_latent=(2.5, 2.5, 2.0, 2.0, 1.0, 0.0, 0.0, 0.0), dispersion=0.01,
    calibrated_dispersion=0.01, implied_sigma=0.1, rmse=0.1, active=5, information_weight=1.0, iwae=25.5,
    iwae_elbo=24.0,
)  # fmt: skip
GOOD = Evidence(
    name="outputs/a run", resume="vaekl resume 'outputs/a run'", example="image", dims=64, latents=8, train_images=1000,
    looked_at=(360, 1000),
    settings=Settings(), test=FINE, train=FINE,
    aggregate=Aggregate(5.0, 5.0, 0.4, (0.1,) * 8, (0.5,) * 8, (0.4,) * 8, 0.5, 1.2),
    structure=Structure((60.0, 50.0, 40.0, 30.0, 20.0, 10.0, 5.0, 4.0), (2.0, 1.5)),
    trial=Trial(60, {0.1: 0.1, 1.0: -1.0, 10.0: -30.0, 100.0: -900.0}),
    log=Log(Trend(None, None), progress=40.0, best_valid=23.0, judged_valid=23.0),
)  # fmt: skip
#: of a model none of whose latents says anything
COLLAPSED = replace(FINE, elbo=-4.0, kl=0.1, kl_per_latent=(0.1, *[0.0] * 7), active=0, iwae=-4.0, iwae_elbo=-4.0)
LEFT = Structure((9.0, 8.0, 7.0, 5.0, 4.0, 3.0, 2.0, 1.5), (9.0, 8.0, 7.0, 5.0, 4.0, 3.0, 2.0), 11.0)


def with_settings(**changes):
    return {"settings": replace(Settings(), **changes)}


def of_both(judged, **changes):
    judged = replace(judged, **changes)
    return {"test": judged, "train": judged}


FIXED = {"weighting": "fixed_dispersion", "fits_dispersion": False}
