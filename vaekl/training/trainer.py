"""The loop: steps, and between them logs, validations and checkpoints. What those write is the callbacks' business."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from math import inf, nan
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, get_total_norm

from vaekl.data import Data, batches_of, generator
from vaekl.model.vae import LEDGER, VAE, LossAndLedger
from vaekl.system import distributed
from vaekl.training.average import MovingAverage
from vaekl.training.callback import Callback
from vaekl.training.compile import Compiler
from vaekl.training.divergence import check_optimizer, check_parameters, check_rows
from vaekl.training.graph import Recorder
from vaekl.training.judging import ledger_of, log_figures, validate
from vaekl.training.plan import Plan
from vaekl.training.saved_state import check_state, restore_noise, with_versions_of
from vaekl.training.schedules import LearningRateSchedule, Schedule
from vaekl.training.stack import Batch
from vaekl.training.timer import Due, Timer


class Trainer:
    """Minimises a weighting's loss over a data set and tells its callbacks how it goes.

    Of several processes each computes a share of every batch; all draw the whole batch's noise, so that their number
    changes nothing. Only the first has callbacks.

    Args:
        model: on the device where it is trained.
        optimizer: of the model's parameters; its learning rates are those at a factor of 1.
        schedule: the KL's multiplier at each step.
        lr_schedule: the factor of the learning rates at each step.
        data: on the same device.
        plan: how long, and how often something happens.
        seed: of the order of the images and of all noise.
        callbacks: called in this order.

    Attributes:
        step: how many steps were taken.
        restores: how often the run went back to a checkpoint, its learning rates halved each time.
        rows: the means of `LEDGER` of the steps since the last log, [log_every, 5], on the device.
        best_elbo: the best validation's, nats, or L_K of an objective of K samples; `stale_validations`, how many have
            followed it; the one at the end, if no multiple of `valid_every`, counts where it makes `best.pt` anew.
        stop_requested: whether the run is to end after its step.
        take: takes a step together with other runs, for one that is trained in a stack; None for one alone.
        feed: takes stored images and gives where a stack will put the batch; None where the run draws itself.
        gradient_norm: of the last step that looked at it.
        last_x: the images of the last step, [B, *S].
    """

    def __init__(
        self,
        model: VAE,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        lr_schedule: LearningRateSchedule,
        data: Data,
        plan: Plan,
        seed: int,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.model, self.optimizer, self.schedule, self.lr_schedule = model, optimizer, schedule, lr_schedule
        self.data, self.plan, self.seed, self.callbacks = data, plan, seed, callbacks
        for group in optimizer.param_groups:
            group["lr"] = float(group["lr"])  # as the steps write it, and as a checkpoint has it
        self.full_rates: list[float] = [group["lr"] for group in optimizer.param_groups]
        self.device = next(model.parameters()).device
        self.generator = generator("noise", seed, self.device)
        self.networks = [*model.encoder.parameters(), *model.decoder.parameters()]
        self.average = None if plan.ema is None else MovingAverage(model, plan.ema)
        # this process's part of each batch, and how much of the batch that is
        batch_size = min(plan.batch_size, len(data.train))
        self.share = distributed.share(batch_size)
        self.weight = (self.share.stop - self.share.start) / batch_size
        self.objective: nn.Module = LossAndLedger(model)
        self.compiler = Compiler(self.objective, self.device, plan.compile if plan.compile != "graph" else False)
        self.recorder = Recorder(self) if plan.compile == "graph" else None
        self.rows = torch.full((plan.log_every, len(LEDGER)), nan, device=self.device)
        self.step = self.restores = 0
        self.best_elbo, self.stale_validations, self.stop_requested = -inf, 0, False
        self.gradient_norm: Tensor | None = None
        self.take: Callable[[Batch], Tensor] | None = None
        self.feed: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
        self.last_x = torch.empty(0)
        self._clock, self._timer = (0, time.perf_counter()), Timer(plan.save_minutes)

    @property
    def judged(self) -> VAE:
        """The weights that are validated and tested: the moving average if there is one."""
        return cast(VAE, self.average.module) if self.average is not None else self.model

    @property
    def out_of_patience(self) -> bool:
        """Whether early stopping has ended the run."""
        return self.plan.patience is not None and self.stale_validations >= self.plan.patience

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.step >= self.plan.total_steps or self.out_of_patience

    def request_stop(self) -> None:
        """End the run after its step."""
        self.stop_requested = True

    def fit(self) -> None:
        """Train from the current step to the end, or until a stop is requested.

        Raises:
            DivergedError: something is not finite any more.
        """
        self.model.train()
        self.objective = distributed.averaging(self.objective)
        try:
            self.tell(lambda callback: callback.started(self))
            self._clock = (self.step, time.perf_counter())
            self._timer.start(self.step)
            with closing(self.data.train.stream(self.batches_to_come())) as batches:
                for stored in batches:
                    if self.compiler.decide(self.plan.total_steps - self.step):
                        self._compile_with(stored)
                    else:
                        self.train_step(stored)
                    last = self.step == self.plan.total_steps
                    if self.step % self.plan.log_every == 0 or last:
                        self._log()
                    if self.step % self.plan.valid_every == 0 or last:
                        self._validate()
                    due = self._timer.due(self.stop_requested)
                    if due == Due.STOP or self.finished:
                        break
                    self._do_what_is(due)
            self._prepare_checkpoint()
        except BaseException:
            if distributed.is_first():  # the others may have ended
                for callback in self.callbacks:
                    callback.failed(self)
            raise
        self.tell(lambda callback: callback.paused(self))

    def _do_what_is(self, due: Due) -> None:
        """Tell how it goes, or save as a run that is stopped does; the steps to come are what they would have been."""
        if due == Due.PROGRESS:
            progress = self._timer.progress(ledger_of(self)["elbo_nats"], self.step, self.plan)
            self.tell(lambda callback: callback.progressed(self, progress))
        elif due == Due.CHECKPOINT:
            self._prepare_checkpoint()
            self.tell(lambda callback: callback.saving(self))

    def _compile_with(self, stored: Tensor) -> None:
        before = time.perf_counter()
        self.train_step(stored)
        seconds = time.perf_counter() - before
        self.tell(lambda callback: callback.compiled(self, seconds))

    def train_step(self, stored: Tensor) -> None:
        """One step of the optimiser; nothing in it waits for the device.

        Args:
            stored: images as the data set stores them, [B, *S].
        """
        if self.recorder is not None and self.take is None:
            ledger = self.recorder.step(stored)
        else:
            ledger = self.advance(stored, self.schedule(self.step))
        self.rows[self.step % self.plan.log_every] = ledger
        self.step += 1

    def advance(
        self, stored: Tensor, schedule: float | Tensor, rates: Sequence[float | Tensor] | None = None
    ) -> Tensor:
        """What a step does, without its being counted; returns the means of `LEDGER`, [5].

        Args:
            stored: images as the data set stores them, [B, *S].
            schedule: the KL's multiplier.
            rates: the learning rate of each group of parameters; None for those of the step.
        """
        x, noise = self.drawn(stored) if self.feed is None else self.feed(stored)
        self.last_x = x
        batch = Batch(x, noise, schedule)
        ledger = self.take_alone(batch, rates) if self.take is None else self.take(batch)
        if self.average is not None:
            self.average.update_parameters(self.model)
        return ledger

    def drawn(self, stored: Tensor) -> tuple[Tensor, Tensor]:
        """The images as the model sees them, [B, *S], and the noise of their posteriors, [B, Z] or [B, K, Z]."""
        x = self.data.train.transform(stored, self.generator)
        return x, self.model.training_noise(len(x), self.generator)

    def take_alone(self, batch: Batch, rates: Sequence[float | Tensor] | None = None) -> Tensor:
        """The gradient of a batch and a step along it; returns the means of `LEDGER`, [5].

        Args:
            batch: what it is taken with.
            rates: the learning rate of each group of parameters; None for those of the step.
        """
        x, noise, schedule = batch
        # torch.compile takes a float for a constant and would compile again for each new value
        if self.compiler.decision and not isinstance(schedule, Tensor):
            schedule = torch.full((), schedule, device=self.device)
        self.optimizer.zero_grad()  # first: what is computed next takes the memory that this leaves
        loss, ledger = self.objective(x[self.share], noise[self.share], schedule)
        distributed.weighted(loss, self.weight).backward()
        if self.plan.clip_norm is not None:
            self.gradient_norm = clip_grad_norm_(self.networks, self.plan.clip_norm)
        elif self.plan.logs_after(self.step + 1):
            self.gradient_norm = get_total_norm([p.grad for p in self.networks if p.grad is not None])
        for group, rate in zip(self.optimizer.param_groups, rates or self.rates(self.step), strict=True):
            group["lr"] = rate
        self.optimizer.step()
        self.compiler.keep_buffers()
        return cast(Tensor, ledger if self.weight == 1 else ledger * self.weight)

    def rates(self, step: int) -> list[float]:
        """The learning rate of each group of parameters."""
        factor = self.lr_schedule(step) * 0.5**self.restores
        return [rate * factor for rate in self.full_rates]

    def batches_to_come(self) -> Iterator[Tensor]:
        """Indices [B] of the images of each batch to come; the incomplete last batch of an epoch is left out."""
        steps = range(self.step, self.step if self.finished else self.plan.total_steps)
        return batches_of(self.data.train, self.plan.batch_size, self.seed, steps)

    def _log(self) -> None:
        figures = log_figures(self, self._clock)
        self.tell(lambda callback: callback.logged(self, figures))
        self._clock = (self.step, time.perf_counter())

    def _validate(self) -> None:
        """Judge the held-out images; the callbacks save a checkpoint."""
        self._prepare_checkpoint()
        evaluation, improved = validate(self)
        self.tell(lambda callback: callback.validated(self, evaluation, improved))
        self._timer.saved()
        self._clock = (self.step, time.perf_counter())

    def tell(self, hook: Callable[[Callback], None]) -> None:
        """Call a hook of every callback; an error in one of them ends every process."""

        def call() -> None:
            for callback in self.callbacks:
                hook(callback)

        distributed.on_first(call)

    def _prepare_checkpoint(self) -> None:
        """Give the first process, which saves, the whole batches' rows; refuse to save what is not finite."""
        distributed.bring_to_first(self.rows)
        rows = self.rows[: self.plan.since_log(self.step)]
        distributed.on_first(lambda: check_rows(rows, self.step, self.model))
        check_parameters(self.model, self.step)
        check_optimizer(self.optimizer, self.model, self.step)

    def state_dict(self) -> dict[str, Any]:
        """Everything from which `fit` would go on as if it had never stopped."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "restores": self.restores,
            "compiled": self.compiler.decision,
            "threads": torch.get_num_threads(),
            "data": self.data.digest,
            "device": self.device.type,
            "generator": self.generator.get_state().cpu(),
            "rows": self.rows,
            "best_elbo": self.best_elbo,
            "stale_validations": self.stale_validations,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`.

        Raises:
            MisfitError: this run cannot have saved such a state; nothing of it is loaded.
        """
        own = self.state_dict()
        check_state(state, own, self.model, self.optimizer, self.plan)
        self.step, self.restores = state["step"], state["restores"]
        self.model.load_state_dict(with_versions_of(own["model"], state["model"]))
        if self.average is not None:
            self.average.load_state_dict(with_versions_of(own["average"], state["average"]))
        self.optimizer.load_state_dict(state["optimizer"])
        self.compiler.decision = state["compiled"]
        restore_noise(self.generator, state, self.seed)
        self.rows[: len(state["rows"])].copy_(state["rows"])
        if not distributed.is_first():
            self.rows.zero_()
        self.best_elbo, self.stale_validations = state["best_elbo"], state["stale_validations"]
