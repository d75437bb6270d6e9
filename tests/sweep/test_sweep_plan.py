"""What a sweep's words mean, how it fills the machine, what it says beforehand and while it goes on."""

import io
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cli_helpers import SMALL, refused, vaekl

from vaekl.config.groups import CONF, options
from vaekl.config.job import single
from vaekl.config.overrides import is_sweep
from vaekl.run.build import build
from vaekl.run.config import RunConfig
from vaekl.store import RunFolder, manifest
from vaekl.sweep import display, parse, trial, trying, workers
from vaekl.sweep import plan as plans
from vaekl.system import cores, devices
from vaekl.system.console import Console
from vaekl.system.errors import StoppedError, VaeklError


@pytest.mark.parametrize(
    ("runs", "cores", "memory", "gpu", "at_once", "threads"),
    [
        (12, 4, 64e9, False, 4, 1),
        (2, 8, 64e9, False, 2, 4),
        (12, 16, 7e9, False, 4, 4),
        (12, 4, 1e9, False, 1, 4),
        (12, 4, 64e9, True, 1, 4),
        (1, 4, 64e9, False, 1, 4),
    ],
)
def test_the_plan_fills_the_machine_and_no_more(runs, cores, memory, gpu, at_once, threads, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(plans, "allowed_cores", lambda: cores)
    monkeypatch.setattr(plans, "free_memory", lambda: memory)
    plan = plans.plan(runs, 0, gpu, None)
    assert (plan.at_once, plan.threads) == (at_once, threads)
    assert f"{runs} runs, {at_once} at a time" in plan.text()


def test_finished_runs_need_no_worker_and_large_ones_leave_room(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(plans, "allowed_cores", lambda: 8)
    monkeypatch.setattr(plans, "free_memory", lambda: 10e9)
    large = plans.Trial(seconds=600, start=4, bytes=4e9, parameters=101_000_000, device="cpu")
    plan = plans.plan(12, 3, False, large)
    assert (plan.at_once, plan.threads) == (2, 4)
    # nine runs, two at a time, ten minutes each: five rounds
    assert plan.text().splitlines() == [
        "12 runs (3 of them finished before), 2 at a time with 4 threads each (10 GB of free memory)",
        "  on cpu, up to 101,000,000 parameters and 4.0 GB each; about 50 min",
    ]
    last = plans.plan(12, 10, False, None)
    assert (last.at_once, last.threads) == (2, plans.plan(12, 0, False, None).threads)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert plans.plan(12, 3, False, large).threads == plans.one_by_one(12, 3).threads == 3


@pytest.mark.parametrize(
    ("share", "size", "runs", "text"),
    [
        (0.25, 3, 6, "6 runs: 2 stacks of 3, 2 at a time with 1 thread each (2 cores)"),
        (0.25, 3, 5, "5 runs: 2 stacks of up to 3, 2 at a time with 1 thread each (2 cores)"),
        (1.05, 3, 6, "6 runs, 2 at a time with 1 thread each (2 cores)"),
    ],
)
def test_stacks_are_taken_where_they_are_faster_and_the_plan_says_by_how_much(share, size, runs, text, monkeypatch):
    monkeypatch.setattr(plans, "allowed_cores", lambda: 2)
    monkeypatch.setattr(plans, "free_memory", lambda: 64e9)
    trial = plans.Trial(50.0, 5.0, 1e9, 20_000, "cpu", in_steps=40.0, stacked=share, size=size)
    processes = plans.plan(runs, 0, False, trial)
    each = [list(range(start, min(start + size, runs))) for start in range(0, runs, size)]
    assert processes.seconds == 50 * 3
    chosen = plans.stack_size(processes, each)
    assert chosen == (size if share < 1 else 1)
    other = plans.in_stacks(processes, each)
    assert other.seconds == (10 + 40 * share) * size
    plan = replace(other, other=processes.seconds) if chosen > 1 else replace(processes, other=other.seconds)
    # ten seconds of each run are no steps
    times = "60 s, processes would take 2 min" if chosen > 1 else "2 min, stacks would take 3 min"
    assert plan.text() == f"{text}\n  on cpu, up to 20,000 parameters and 1.0 GB each; about {times}"


def test_runs_whose_numbers_differ_are_tried_once(monkeypatch):
    requests = []

    def tried(tasks, threads):
        requests.extend(task.args[1] for task in tasks)
        return [{"runs": [], "stack": {}}]

    monkeypatch.setattr(trying, "_tried", tried)
    runs = [["likelihood=cb", f"weighting.beta={beta}", f"seed={seed}"] for beta in (0.1, 1) for seed in (0, 1)]
    trying.tried([*runs, ["likelihood=cb", "weighting.per=value"], ["model=conv"]], [], 1, 1)
    assert requests[0] == [runs[-1], ["likelihood=cb", "weighting.per=value"], ["model=conv"]]


@pytest.mark.nightly
def test_a_trial_knows_sizes_and_times():
    base = ["model=linear", "model.latents=4", "likelihood=gaussian", "trainer.valid_every=500"]
    runs = [[*base, f"trainer.steps={steps}", f"seed={seed}"] for steps in (1000, 20000) for seed in (0, 1)]
    trial = trying.tried([*runs, ["model=nonsense"]], [], 1, 1)
    # means 64 -> 4 with biases, 4 standard deviations that are the same for every image, 4 -> 64 with biases, ln φ
    assert trial.parameters == 64 * 4 + 4 + 4 + 4 * 64 + 64 + 1
    assert trial.device == "cpu" and 2e8 < trial.bytes < 4e9
    assert 0 < trial.seconds < 3600


@pytest.mark.nightly
def test_a_trial_of_a_stack_has_as_many_runs_as_it_will_have():
    base = ["model.hidden=[16]", "model.latents=2", "weighting=fixed_beta"]
    runs = [[*base, f"weighting.beta={beta}"] for beta in (0.1, 0.2)]
    trial = trying.tried(runs, [], 1, 1, runs, 12)
    assert trial.size == 12 and trial.reason == "" and 0 < trial.stacked < 1


@pytest.mark.parametrize(("on_gpu", "size"), [(0, 12), (100, 7), (1000, 2)])
def test_a_trial_s_stack_fits_the_memory_of_a_gpu(on_gpu, size, monkeypatch):
    cost = {"parameters": 10, "gpu_bytes": on_gpu, "step": 0.1}
    monkeypatch.setattr(trial, "_cost", lambda *_: cost)
    monkeypatch.setattr(trial, "_free_on_gpu", lambda: 799.0)
    monkeypatch.setattr(trial, "_stacked", lambda runs, directories, size: {"size": size})
    request = {"stack": [["seed=0"], ["seed=1"]], "size": 12, "room": 1e12, "directories": [], "report": False}
    assert trial.costs(request, [["seed=0"]])["stack"] == {"size": size}


def test_a_process_that_has_used_the_gpu_forks_no_runs_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    answer = vaekl(tmp_path, "train", "-m", "seed=0,1", *SMALL, "trainer.device=cuda")
    refused(answer, "this process has used the GPU", "hydra/launcher=basic")


@pytest.mark.nightly
def test_a_trial_of_fewer_steps_takes_less_time():
    words = ["model=linear", "model.latents=4", "likelihood=gaussian", "trainer.valid_every=500"]
    short, long = (trying.tried([[*words, f"trainer.steps={steps}"]], [], 1, 1) for steps in (1000, 20000))
    assert 0 < short.seconds < long.seconds


def test_runs_that_cannot_be_tried_have_no_sizes(monkeypatch):
    monkeypatch.setattr(trying, "_costs", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    assert trying.tried([["seed=0"]], [], 1, 1) is None


def test_a_tried_run_has_the_threads_of_the_plan(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(devices, "free_cores", lambda *_: 7)
    monkeypatch.setattr(devices, "_MOST_THREADS", 7)

    def threads(request, runs):
        build(RunConfig.of(single([*SMALL, *runs[0]]).content), Path("none"), Console(io.StringIO()), callbacks=[])
        cost = {"step": 1.0, "steps": 1, "seconds": float(torch.get_num_threads()), "bytes": 1, "parameters": 1}
        return {"runs": [cost | {"device": "cpu"}], "stack": {}}

    monkeypatch.setattr(trying, "_costs", threads)
    # of one, since threads that were begun before a fork are missing after it
    assert trying.tried([["seed=0"]], [], 1, 1).seconds == 1
    assert "OMP_NUM_THREADS" not in os.environ


def test_stacks_whose_runs_are_finished_take_no_time(monkeypatch):
    monkeypatch.setattr(plans, "allowed_cores", lambda: 2)
    monkeypatch.setattr(plans, "free_memory", lambda: 64e9)
    trial = plans.Trial(50.0, 5.0, 1e9, 20_000, "cpu", in_steps=40.0, stacked=0.25, size=4, stack_bytes=2e9)
    each = [list(range(start, start + 4)) for start in range(0, 16, 4)]
    whole, nearly = (plans.in_stacks(plans.plan(16, finished, False, trial), each) for finished in (0, 12))
    assert whole.seconds == (10 + 40 * 0.25) * 4 * 2  # two rounds of two stacks of four
    assert nearly.seconds == whole.seconds / 2
    assert "2.0 GB a stack" in whole.text()


def test_stacks_that_memory_does_not_hold_are_not_beside_each_other(monkeypatch):
    monkeypatch.setattr(plans, "allowed_cores", lambda: 4)
    monkeypatch.setattr(plans, "free_memory", lambda: 10e9)
    trial = plans.Trial(50.0, 5.0, 1e9, 20_000, "cpu", in_steps=40.0, stacked=0.25, size=4, stack_bytes=4e9)
    assert plans.in_stacks(plans.plan(16, 0, False, trial), [[0] * 4] * 4).at_once == 2


def test_cores_and_memory_are_those_that_this_process_has(monkeypatch):
    assert 1 <= cores.allowed_cores() <= len(os.sched_getaffinity(0))
    assert 1e8 < cores.free_memory() < 1e14
    assert cores.memory_kills() >= 0
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert cores.allowed_cores() == 1


def test_words_are_runs():
    sweep = parse.read(["-m", "seed=0,1", "likelihood=cb,gaussian", "trainer.steps=7", "hydra.sweep.dir=x"], [])
    assert sweep.count() == 4 and sweep.runs()[0] == ["seed=0", "likelihood=cb", "trainer.steps=7"]
    assert parse.read(["-m", "schedule=glob(*)"], []).count() == len(options("schedule"))
    assert parse.read(["-m", "seed=range(3,8)"], []).count() == 5
    search = parse.read(
        ["-m", "weighting.beta=interval(0.1,2)", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=9"], []
    )
    assert search.count() == 9 and search.runs() == [["weighting.beta=0.1"]]


def test_the_same_words_mean_the_same_folder():
    def folder(*typed):
        return parse.read(["-m", *typed], []).folder()

    one = folder("seed=0,1", "likelihood=cb")
    assert one == folder("likelihood=cb", "seed=0,1") == folder("likelihood=cb", "seed=0,1", "hydra/launcher=basic")
    assert one != folder("seed=0,2", "likelihood=cb") and one.name.startswith("sweep_seed_")
    assert folder("seed=0,1", "output_dir=elsewhere").parent.name == "elsewhere"
    assert is_sweep(["-m", "seed=0,1", "-cd", "mine"]) and not is_sweep(["-m", "seed=0,1", "-c", "job"])
    assert len(folder(*(f"model.very_long_key_number_{i}=0,1" for i in range(40))).name) < 100


@pytest.mark.parametrize("name", options("sweep"))
def test_every_run_of_a_ready_made_sweep_composes(name, tmp_path):
    said, names = parse.expanded([f"sweep={name}"])
    sweep = parse.read(said, names)
    assert names == [name] and said[-1] == "-m" and sweep.count() >= 5
    assert sweep.folder().name.startswith(f"sweep_{name}_")
    for run in sweep.runs():
        assert vaekl(tmp_path, "train", *run, "--cfg", "job", "--resolve").code == 0, run


def test_the_beta_curve_spans_four_decades():
    (beta,) = [o for o in parse.read(*parse.expanded(["sweep=beta_curve"])).overrides if o.is_sweep_override()]
    values = [float(value) for value in beta.sweep_string_iterator()]
    assert (min(values), max(values)) == (1e-4, 1.0) and len(values) == 9


def test_a_ready_made_sweep_gives_way_to_what_is_typed(tmp_path):
    said, _ = parse.expanded(["sweep=likelihoods,seeds", "seed=7,8", "dataset=mnist"])
    assert "seed=7,8" in said and "seed=0,1,2,3,4" not in said and "dataset=mnist" in said
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/mine.yaml").write_text("# my own\nseed: 3,4\ntrainer.patience: null\n")
    said, _ = parse.expanded(["sweep=mine", "--config-dir", str(tmp_path)])
    assert said[:2] == ["seed=3,4", "trainer.patience=null"]
    with pytest.raises(VaeklError, match=r"sweep=likelihood is not one of .* \(did you mean likelihoods\?\)"):
        parse.expanded(["sweep=likelihood"])
    assert not (CONF / "sweep" / "mine.yaml").exists()
    for text, part in (("- seed", "is no list of keys"), ("seed: 0,1: 2", "cannot be read as YAML")):
        (tmp_path / "sweep/mine.yaml").write_text(text)
        with pytest.raises(VaeklError, match=rf"mine\.yaml {part}"):
            parse.expanded(["sweep=mine", "--config-dir", str(tmp_path)])
    (tmp_path / "sweep/mine.yaml").write_text("seed: [0, 1]")
    with pytest.raises(VaeklError, match="sweep=mine has no key with several values"):
        parse.read(*parse.expanded(["sweep=mine", "--config-dir", str(tmp_path)]))


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        (["-m"], ["-m needs a key with several values"]),
        (["-m", "seed=0"], ["-m needs a key with several values"]),
        (["sweep=nothing"], ["sweep=nothing is not one of"]),
        (["sweep=seeds", "--cfg", "job"], ["sweep=seeds", "seed=0,1,2,3,4"]),
        (["-m", "weighting=auto,fixed_beta", "weighting.beta=1"], ["weighting.beta"]),
        (["-m", "seed=0,1", "hydra/launcher=slurm"], ["hydra/launcher=slurm is not one of", "submitit_slurm"]),
        (["-m", "seed=0,1", "hydra/launcher=joblb"], ["did you mean joblib?"]),
        (["-m", "seed=0,1", "hydra/sweeper=optun"], ["hydra/sweeper=optun is not one of", "did you mean optuna?"]),
        (["-m", "seed=0,1", "hydra/sweeper=optuna", "hydra.sweeper.n_trial=3"], ["no key hydra.sweeper.n_trial"]),
        (["-m", "seed=0,1", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=x"], ["n_trials", "Integer"]),
        (["-m", "seed=0,1", "hydra.launcher.n_job=3"], ["no key hydra.launcher.n_job"]),
        (["-m", "likelihood=glob(zzz*)"], ["likelihood=glob(zzz*) matches none of", "bernoulli"]),
        (["-m", "seed=0,0,1"], ["seed=0,0,1 has a value twice"]),
        (["-m", "seed=0,1", "seed=2,3"], ["seed is given twice"]),
        (["-m", "seed=0,1", "--info", "all"], ["-m trains several runs"]),
        (["-m", "optim.lr=interval(0,1)"], ["optim.lr=interval(0,1)", "hydra/sweeper=optuna"]),
        (["-m", "seed=0,1", "output_dir="], ["output_dir= is empty"]),
        (["-m", "seed=0,1", "output_dir='x\udcff'"], ["the name of the folder", "is no UTF-8"]),
        (["-m", "seed=0,1", "hydra.sweep.subdir='x\udcff'"], ["the name of the folder", "is no UTF-8"]),
        (["-m", "seed=0,1", "hydra.sweep.subdir=.."], ["hydra.sweep.subdir", "without a slash"]),
        (["-m", "seed=0,1", "hydra.sweep.dir=???"], ["hydra.sweep.dir must be given"]),
        (["-m", "seed=0,1", "hydra.launcher._target_=os.system"], ["os.system is no launcher that Hydra knows"]),
        (["-m", "seed=0,1", "hydra.launcher=null"], ["hydra.launcher._target_=None is no launcher"]),
        (
            ["-m", "seed=0,1", "hydra.launcher._target_=hydra._internal.core_plugins.basic_sweeper.BasicSweeper"],
            ["is no launcher that Hydra knows: choose one by its name, as in hydra/launcher=basic"],
        ),
        (["-m", "seed=0,1", "hydra.sweeper._target_=os.system"], ["os.system is no sweeper that Hydra knows"]),
        (["-m", "seed=0,1", "output_dir=/proc/none"], ["/proc/none", "cannot be made", "output_dir=FOLDER"]),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_anything_is_written(typed, parts, tmp_path):
    refused(vaekl(tmp_path, "train", *typed, *SMALL), *parts)
    assert list(tmp_path.iterdir()) == []


def test_one_display_shows_what_ended_and_how_far_the_others_are(tmp_path):
    for name, status in {"a": "finished", "b": "running", "c": "running", "d": "diverged"}.items():
        manifest.note(tmp_path / name, status=status, reason="not finite." if name == "d" else None, session="now")
    manifest.note(tmp_path / "old", status="finished", reason=None, session="before")
    (tmp_path / "b").mkdir()
    RunFolder(tmp_path / "b").beat(30, 40, -12.34)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, height=20, highlight=False)
    with display.shown(tmp_path, "now", 5, console):
        pass
    text = out.getvalue()
    assert "1/5 finished  a" in text and "2/5 diverged  d: not finite." in text and "old" not in text
    assert "-12.3 nats" in text and "starting" in text and "2/5" in text
    # two have ended and b is three quarters through: 2.75 of 5
    watched = display._Display(tmp_path, "now", 5, Console(file=io.StringIO()))
    watched.look()
    assert watched.bars.tasks[0].completed == 2.75


def test_a_stopped_sweep_says_what_is_true(tmp_path):
    """A signal may come before any run has begun, after some have saved, or while one is killed."""

    def stopped():
        with pytest.raises(StoppedError) as caught, workers.stoppable(tmp_path, "now", 1, False):
            signal.raise_signal(signal.SIGTERM)
        return str(caught.value)

    assert stopped() == (
        "the sweep was stopped, before a run of it had taken a step: the same command goes on from there."
    )
    manifest.note(tmp_path / "a", status="stopped", session="now")
    assert "before a run of it had taken a step" in stopped()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "last.pt").touch()
    assert "every run that had begun has saved its state" in stopped()
    manifest.note(tmp_path / "b", status="killed", session="now")
    assert "1 runs before they could save" in stopped()


def test_many_processes_write_one_manifest(tmp_path):
    code = "import sys; from pathlib import Path; from vaekl.store import manifest\n"
    code += "for i in range(20): manifest.note(Path(sys.argv[1]) / f'{sys.argv[2]}-{i}', status='finished')"
    workers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)]) for number in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    assert len(manifest.read(tmp_path)) == 80


def test_a_run_whose_process_is_gone_was_killed(tmp_path):
    with manifest.recorded(tmp_path / "run", ["seed=0"], "now"):
        assert manifest.read(tmp_path)["run"].status == "running"
        gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
        manifest.note(tmp_path / "run", process=int(gone.stdout))
        assert manifest.read(tmp_path)["run"].status == "killed"
    assert manifest.read(tmp_path)["run"].status == "finished"
    (tmp_path / "manifest.json").write_text('{"runs": 3}')
    with pytest.raises(VaeklError, match=r"manifest\.json has no schema number"):
        manifest.read(tmp_path)
