"""What only a GPU can show: it agrees with the CPU, no step waits for it, and runs of all kinds end as they should.

`make gpu` runs these first. VAEKL_TEST_DEVICE=cpu runs those that a CPU can run, so that they are known to run at all.
"""

import json
import os
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from cli_helpers import SMALL, vaekl
from helpers import data_of, model_of, trainer_of

from vaekl.config.groups import options
from vaekl.config.job import single
from vaekl.model.likelihoods import ContinuousBernoulli, Gaussian
from vaekl.model.weighting import FixedBeta, OptimalPrecision
from vaekl.run import build_data
from vaekl.run.build import build
from vaekl.run.config import RunConfig
from vaekl.store import checkpoint
from vaekl.system.console import Console
from vaekl.training import stack
from vaekl.training.schedules import LinearSchedule

DEVICE = torch.device(os.environ.get("VAEKL_TEST_DEVICE", "cuda"))
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE.type == "cuda" and not torch.cuda.is_available(), reason="needs a GPU"),
]
needs_cuda = pytest.mark.skipif(DEVICE.type != "cuda", reason="is of a GPU alone")

DATA = data_of()
DATA_OF = {
    "bernoulli": ["transform=binarize"],
    "columns": ["dataset=wine"],
    **{family: ["dataset=digits_counts"] for family in ("poisson", "negative_binomial", "zinb")},
}
FAMILIES = sorted(set(options("likelihood")) - {"auto", "custom"})


def built(*words):
    """The trainer of a run of these words, on the CPU."""
    own = ["model.hidden=[32]", "model.latents=4", "trainer.batch_size=32", "trainer.steps=20", "trainer.device=cpu"]
    job = single([*own, *words])
    return build(RunConfig.of(job.content), job.path, Console(), callbacks=[]).trainer


@pytest.fixture
def waiting():
    """`waiting("error")` lets whatever waits for the GPU fail until the end of the test; on a CPU it does nothing."""
    if DEVICE.type != "cuda":
        yield lambda _: None
        return
    yield torch.cuda.set_sync_debug_mode
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_weights_images_and_noise_give_the_elbo_and_gradient_of_the_cpu(family):
    trainer = built(f"likelihood={family}", *DATA_OF.get(family, []))
    model = trainer.model.train()
    x = trainer.data.train.batch(slice(0, 32), torch.Generator().manual_seed(0))
    noise = torch.randn(len(x), model.latents, generator=torch.Generator().manual_seed(1))
    figures = []
    for own, place in ((model, "cpu"), (deepcopy(model).to(DEVICE), DEVICE)):
        terms = own(x.to(place), noise.to(place))
        own.loss(terms, 1.0).backward()
        gradient = torch.cat([weight.grad.flatten() for weight in own.parameters()])
        figures.append((terms.elbo.detach().cpu(), (gradient / gradient.norm()).cpu()))
    (elbo, gradient), (on_device, gradient_there) = figures
    # of about 100 nats, sums of 64 values in float32 keep five digits
    torch.testing.assert_close(on_device, elbo, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(gradient_there, gradient, rtol=1e-3, atol=1e-4)


def on_device(make, seed=0, **options):
    """A trainer there."""
    model = make(seed).to(DEVICE)
    return trainer_of(DATA.to(DEVICE), model, optimizer="fused adam", seed=seed, **options)[0]


def cb(seed, beta=0.5):
    family = ContinuousBernoulli()
    return model_of(DATA.spec, family, FixedBeta(family, DATA.spec.shape, beta=beta), seed=seed)


def optimal(seed):
    family = Gaussian()
    return model_of(DATA.spec, family, OptimalPrecision(family, DATA.spec.shape), seed=seed)


@needs_cuda
@pytest.mark.parametrize("family", FAMILIES)
def test_no_step_waits_for_the_gpu(family, waiting):
    words = [*DATA_OF.get(family, []), "trainer.ema=0.9", "trainer.clip_norm=1", "schedule=linear"]
    job = single([f"likelihood={family}", "trainer.steps=20", *words, "trainer.device=cuda"])
    trainer = build(RunConfig.of(job.content), job.path, Console(), callbacks=[]).trainer
    trainer.model.train()
    stored = trainer.data.train.stored(slice(0, 100))
    trainer.train_step(stored)  # libraries set themselves up
    waiting("error")
    for _ in range(3):
        trainer.train_step(stored)


def in_a_stack(trainers, fit):
    def run(number):
        with stack.joined(trainers[number]):
            fit(trainers[number])

    words = []
    stack.train([partial(run, number) for number in range(len(trainers))], words.append)
    assert words == []


@pytest.mark.parametrize("make", [cb, optimal])
def test_a_step_of_a_stack_waits_for_nothing(make, waiting):
    def steps(trainer):
        trainer.model.train()
        stored = trainer.data.train.stored(slice(0, 8))
        for number in range(12):
            if number in (2, 11):  # the first steps may wait: libraries set themselves up, and gradients are compared
                waiting("error" if number == 2 else "default")
            trainer.train_step(stored)

    in_a_stack([on_device(make, seed) for seed in range(3)], steps)


@pytest.mark.parametrize("make", [cb, optimal])
def test_runs_of_a_stack_end_as_they_would_alone(make):
    together, alone = ([on_device(make, seed, clip_norm=1.0) for seed in range(3)] for _ in range(2))
    in_a_stack(together, lambda trainer: trainer.fit())
    for one, other in zip(together, alone, strict=True):
        other.fit()
        torch.testing.assert_close(one.model.state_dict(), other.model.state_dict(), rtol=1e-3, atol=1e-5)


@needs_cuda
@pytest.mark.parametrize("make", [cb, optimal])
def test_recorded_steps_of_a_stack_are_those_of_runs_alone(make):
    together = [on_device(make, seed, clip_norm=1.0, compile="graph") for seed in range(3)]
    in_a_stack(together, lambda trainer: trainer.fit())
    for seed, one in enumerate(together):
        alone = on_device(make, seed, clip_norm=1.0)
        alone.fit()
        torch.testing.assert_close(one.model.state_dict(), alone.model.state_dict(), rtol=1e-3, atol=1e-5)


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    whole, first, second = (on_device(cb, ema=0.9) for _ in range(3))
    whole.fit()
    first.plan = replace(first.plan, total_steps=10)
    first.fit()
    checkpoint.save(tmp_path / "last.pt", first.state_dict())
    second.load_state_dict(checkpoint.load(tmp_path / "last.pt"))
    assert second.step == 10
    second.fit()
    torch.testing.assert_close(second.model.state_dict(), whole.model.state_dict(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(second.judged.state_dict(), whole.judged.state_dict(), rtol=1e-4, atol=1e-6)


def test_runs_of_a_stack_have_one_copy_of_the_images():
    words = [f"trainer.device={DEVICE}", "trainer.steps=3"]
    jobs = [single([*words, f"seed={seed}"]) for seed in (0, 1)]
    with build_data.shared():
        one, other = (build(RunConfig.of(job.content), job.path, Console(), callbacks=[]).trainer for job in jobs)
    assert one.data.train.images.device.type == DEVICE.type
    assert one.data.train.images.data_ptr() == other.data.train.images.data_ptr()


@needs_cuda
@pytest.mark.parametrize(("make", "how"), [(cb, "graph"), (optimal, "graph"), (optimal, True)])
def test_compiled_and_recorded_steps_are_those_of_an_eager_run(make, how):
    eager, compiled = (on_device(make, compile=way, schedule=LinearSchedule(20, steps=16)) for way in (False, how))
    eager.fit()
    compiled.fit()
    torch.testing.assert_close(compiled.model.state_dict(), eager.model.state_dict(), rtol=1e-3, atol=1e-5)


def test_a_stacked_sweep_from_the_command_to_its_evaluation(tmp_path):
    """In a process of its own, since a sweep forks, which CUDA does not survive where it was used before."""
    words = [*SMALL, "seed=0,1,2", "sweep.stack=3", f"trainer.device={DEVICE}", f"hydra.sweep.dir={tmp_path}/sweep"]
    command = [sys.executable, "-m", "vaekl", "train", "-m", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "1 stack of 3" in ended.stdout
    assert not (tmp_path / "sweep" / "logs" / "stacks.log").exists()
    runs = sorted(path.parent for path in tmp_path.glob("sweep/*/results.json"))
    assert len(runs) == 3
    quick = ["eval.k=1,5", "eval.ais_steps=4", "eval.ais_images=4", f"eval.device={DEVICE}"]
    assert vaekl(tmp_path, "eval", str(runs[0]), *quick).code == 0
    assert vaekl(tmp_path, "sample", str(runs[0]), f"sample.device={DEVICE}").code == 0
    alone = tmp_path / "alone"
    same = [f"seed={json.loads((runs[0] / 'results.json').read_text())['seed']}", f"trainer.device={DEVICE}"]
    assert vaekl(tmp_path, "train", *SMALL, *same, f"hydra.run.dir={alone}").code == 0
    elbos = [json.loads((run / "results.json").read_text())["test"]["elbo_nats"] for run in (runs[0], alone)]
    assert elbos[0] == pytest.approx(elbos[1], rel=1e-4)
