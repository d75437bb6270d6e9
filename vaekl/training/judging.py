"""What a trainer judges itself by between its steps: the figures of a log, and whether a validation is its best."""

import time
from math import nan
from typing import TYPE_CHECKING

from vaekl.data import generator
from vaekl.measures.bits import bits_per_dim
from vaekl.measures.elbo import Evaluation, evaluate, judge
from vaekl.model.control.check import checked_multiplier
from vaekl.model.vae import ledger_means
from vaekl.system import distributed
from vaekl.training.divergence import check_gradient, check_rows, check_validation

if TYPE_CHECKING:
    from vaekl.training.trainer import Trainer

#: figures of an evaluation that are logged of the last training batch
JUDGED = (
    "dispersion", "implied_sigma", "rmse", "beta_kl", "effective_beta_kl", "information_weight", "active_units",
)  # fmt: skip


def ledger_of(trainer: "Trainer") -> dict[str, float]:
    """Means of the ledger and the ELBO over the steps since the last log."""
    rows = distributed.total(trainer.rows[: trainer.plan.since_log(trainer.step)]).cpu().double()
    check_rows(rows, trainer.step, trainer.model)
    return ledger_means(rows)


def log_figures(trainer: "Trainer", clock: tuple[int, float]) -> dict[str, float]:
    """Average the ledger over the steps since the last log, and judge the last batch as an evaluation would.

    Args:
        trainer: after a step.
        clock: a step before it, and when that had been taken.
    """
    ledger, model, last_x = ledger_of(trainer), trainer.model, trainer.last_x
    # the ledger was waited for: all steps are done by now
    steps, seconds = trainer.step - clock[0], time.perf_counter() - clock[1]
    if trainer.gradient_norm is not None:
        check_gradient(trainer.gradient_norm, trainer.step, model)
    schedule, stream = trainer.schedule(trainer.step - 1), generator("log", trainer.seed, trainer.device)
    checked_multiplier(model.control, schedule, f" at step {trainer.step}")
    last_batch = judge(model, [last_x], stream, schedule, with_loss=False).figures()
    figures = {name: last_batch[name] for name in JUDGED} | ledger
    bits = bits_per_dim(figures["elbo_nats"], trainer.data.spec, model.likelihood.discrete)
    return figures | {
        **({"bits_per_dim": bits} if bits is not None else {}),
        "schedule": schedule,
        **({"target_kl_nats": target} if (target := model.control.target_kl) is not None else {}),
        "learning_rate": trainer.rates(trainer.step - 1)[0],
        **({"restores": trainer.restores} if trainer.restores else {}),
        "gradient_norm": trainer.gradient_norm.item() if trainer.gradient_norm is not None else nan,
        "images_per_second": steps * len(last_x) / seconds,
    }


def validate(trainer: "Trainer") -> tuple[Evaluation | None, bool]:
    """Judge the held-out images, if there are any, and note whether they are the best so far."""
    if trainer.data.valid is None:
        return None, False
    schedule, improved = trainer.schedule(trainer.step - 1), False
    noise = generator("valid", trainer.seed, trainer.device)
    evaluation = evaluate(trainer.judged, trainer.data.valid, noise, schedule)
    check_validation(evaluation.elbo, trainer.step)
    # before the KL has its full weight the loss is not the ELBO's, which may fall without harm
    if schedule == 1:
        bound = evaluation.elbo if trainer.model.objective.samples == 1 else -evaluation.loss
        improved = bound > trainer.best_elbo
        # a run with more steps does not validate here; but where best weights are kept, these stay the best
        is_extra = trainer.step % trainer.plan.valid_every != 0
        if not is_extra or (improved and trainer.plan.patience is not None):
            trainer.best_elbo = max(trainer.best_elbo, bound)
            trainer.stale_validations = 0 if improved else trainer.stale_validations + 1
    return evaluation, improved
