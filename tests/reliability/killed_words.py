"""What is typed in tests of kills: runs of a second that write all that a run may."""

SEED = 20
#: no checkpoint lies at the end of an epoch (12 steps) or of a line of the log; most lie in the middle of both
SHORT = (
    "model.hidden=[16]", "model.latents=4", "trainer.steps=60", "trainer.valid_every=15", "trainer.log_every=6",
)  # fmt: skip
RUN = ("train", "hydra.run.dir=run", *SHORT)
PATIENT = (
    "likelihood=gaussian", "weighting=learned_precision", "trainer.patience=1", "trainer.valid_every=4", "optim.lr=0.3",
)  # fmt: skip
#: diverges some times in the first steps
RESTORED = (
    "likelihood=gaussian", "weighting=fixed_beta", "weighting.beta=0.001", "optim=sgd", "optim.lr=1",
    "trainer.on_nan=restore",
)  # fmt: skip
#: diverges before its first checkpoint, twice after the second one, and once after the third
LATE = (
    *RESTORED, "optim.lr=30", "lr_schedule.warmup_steps=50",
)  # fmt: skip
SWEEP = (
    "train", "-m", "seed=0,1", "hydra/launcher=basic", "hydra.sweep.dir=sweep", *SHORT, "trainer.steps=20",
)  # fmt: skip
