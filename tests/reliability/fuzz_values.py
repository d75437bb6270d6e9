"""What the fuzz types: values that somebody may give, and values that nobody should."""

#: one image of each costs nothing, and none is fetched
DATASETS = ("digits", "patches", "npz", "image_folder")
FILES = ("grey.npz", "bytes.npz", "binary.npz", "real.npz", "arrays")
#: what makes each option fit the rest, and small
FITS = {
    "dataset=patches": ["dataset.train_size=40", "dataset.test_size=10"],
    "dataset=npz": ["dataset.path=grey.npz"],
    "dataset=image_folder": ["dataset.path=pictures"],
    "transform=binarize": ["likelihood=bernoulli"],
    "transform=levels": ["likelihood=categorical"],
    "likelihood=bernoulli": ["transform=binarize"],
    "weighting=learned_precision": ["likelihood=gaussian"],
    "weighting=optimal_precision": ["likelihood=gaussian"],
    "schedule=cyclical": ["schedule.cycles=1"],
    "model=mlp": ["model.latents=2", "model.hidden=[4]"],
    "model=conv": ["model.latents=2", "model.width=2", "model.hidden=4"],
    "model=linear": ["model.latents=2"],
    "experiment=ppca_digits": ["model=linear", "model.latents=2"],
}
SHORT = ["trainer.steps=2", "trainer.epochs=1"]
#: values that somebody may well give
TYPICAL = {
    "seed": "0 1 7",
    "valid": "0 0.1 0.5 3",
    "split_seed": "0 5",
    "data_dir": "null cache",
    "output_dir": "outputs my/runs",
    "run_name": "mine x/y",
    "name": "mine",
    "path": " ".join((*FILES, "pictures")),
    "size": "8 9 null",
    "layout": "null NHW NHWC NCHW",
    "test_fraction": "0.1 0.5",
    "train_size": "8 40",
    "test_size": "1 5",
    "mode": "threshold stochastic",
    "threshold": "0.5 1",
    "gamma": "-0.5 0 0.25",
    "max_logit": "null 9.21 2",
    "clamp": "1e-4 0.1",
    "link": "identity sigmoid",
    "beta": "0.01 1 10",
    "dispersion": "0.1 1 4",
    "per": "scalar channel pixel",
    "init": "0.1 1",
    "lr_factor": "1 10",
    "momentum": "0.05 0.9",
    "fraction": "0.25 0.5",
    "steps": "2 3 1",
    "start": "0 0.5",
    "cycles": "1",
    "ramp": "0.5 0.25",
    "latents": "1 2 5",
    "hidden": "[4] [4,3] [] 4",
    "width": "1 2",
    "activation": "relu silu gelu tanh elu",
    "lr": "1e-3 0.1",
    "betas": "[0.9,0.999] [0,0]",
    "fused": "true false null",
    "weight_decay": "0 0.1",
    "warmup_steps": "0 1",
    "final": "0 1",
    "epochs": "1 2",
    "batch_size": "1000 100",
    "log_every": "1 50",
    "valid_every": "1 500",
    "clip_norm": "null 1",
    "ema": "null 0.9",
    "patience": "null 1",
    "on_nan": "stop restore",
    "device": "auto cpu",
    "threads": "auto 1",
    "autocast": "null bfloat16 tf32",
    "compile": "false auto",
}
NUMBERS = ["0", "-1", "1", "1.5", "-0.0", "1e-30", "1e30", "1e400", "nan", "inf", "-inf", "0x10", "1_000", "int(3.7)"]
HUGE = ["1000000000000", str(2**31), str(2**63 - 1), str(2**63), str(2**64), "9" * 40, "1" + "0" * 400, "7" * 5000]
WORDS = ["null", "true", "false", "off", "None", "''", "' '", "text", "grün", "日本語", "🜁", "'a b'", "a" * 5000]
WORDS += ["~nosuchuser", "~nosuchuser/x", "%s", "'{x}'", "str(1)", "'\\n'", "'\\''", "'[red]x[/red]'", "-", "null/null"]
NESTED = ["[]", "{}", "[1]", "[0]", "[-1]", "[1,2,3]", "[[1]]", "[null]", "[true]", "[text]", "{a:1}", "{a:{b:[1]}}"]
NESTED += [
    "[" * 200 + "]" * 200,
    "[" * 2000,
    "[1000000000000]",
    "[1.5,nan]",
    "{_target_:builtins.dict}",
    "{_target_:nowhere.x}",
]
BROKEN = [
    "[",
    "]",
    "(",
    "{",
    "'",
    '"',
    "'a",
    "a'b'",
    "\\",
    "a=b",
    "a:b",
    "a,b",
    "1,2",
    "[1,2",
    "{a:1",
    "$",
    "a\nb",
    "\t",
]
RANGES = ["choice(1,2)", "range(1,3)", "range(a)", "glob(*)", "interval(0,1)", "sort(2,1)", "shuffle(1,2)", "tag(a,1)"]
LINKS = [
    "${seed}",
    "${valid}",
    "${model.latents}",
    "${nope}",
    "${model}",
    "${.lr}",
    "${..seed}",
    "${seed",
    "$seed}",
    "${}",
]
LINKS += [
    "${oc.env:NO_SUCH_VARIABLE}",
    "${oc.env:NO_SUCH_VARIABLE,3}",
    "${hydra:nope}",
    "${hydra:runtime.cwd}",
    "${nope:1}",
]
LINKS += ["${oc.decode:'{'}", "${now:%Y}", "${fingerprint:}", "${folder_name:a}", "???", "a${seed}b", "${${seed}}"]
POOLS = (NUMBERS, NUMBERS, HUGE, WORDS, NESTED, BROKEN, RANGES, LINKS)
TARGETS = [
    "builtins.dict",
    "vaekl.model.nets.mlp",
    "vaekl.model.likelihoods.Gaussian",
    "torch.optim.Adam",
    "nowhere.Thing",
    "vaekl",
]
OF_HYDRA = [
    "hydra.run.dir=", "hydra.run.dir='a b'", "hydra.run.dir='ü/日本'", "hydra.run.dir=a/b/c", 'hydra.run.dir="it\'s"',
    "hydra.run.dir='a,b'", "hydra.run.dir='[x]'", "hydra.run.dir='{x}'", "hydra.run.dir='%d'", "hydra.run.dir=.",
    "hydra.run.dir=grey.npz", "hydra.run.dir=grey.npz/run",
    "hydra.run.dir=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "hydra.run.dir=${nope}", "hydra.run.dir=null", "hydra.run.dir=[1]", "hydra.run.dir=${seed}",
    "hydra.run.dir='[bold]x'", "hydra.run=null", "hydra.verbose=true", "hydra.verbose=text", "hydra.verbose=[a,b]",
    "hydra.verbose=null", "hydra.verbose=3", "hydra.job.chdir=true", "hydra.job.chdir=text", "hydra.job.name=x",
    "hydra.job.name=null", "+hydra.new=1", "hydra=1", "hydra.output_subdir=.hydra", "hydra.output_subdir=null",
    "hydra.nope=1", "hydra.job.nope=1", "~hydra.run", "~hydra.run.dir", "hydra.searchpath=[nowhere]",
    "hydra.searchpath=[file://nowhere]", "hydra.searchpath=text", "hydra/job_logging=default",
    "hydra/job_logging=stdout", "hydra/job_logging=nope", "hydra/hydra_logging=disabled", "hydra/launcher=nope",
    "hydra/launcher=joblib", "hydra/sweeper=basic", "hydra/nope=x", "~hydra/launcher", "hydra.mode=RUN",
    "hydra.mode=text", "hydra.sweep.dir=x", "hydra.sweep.subdir=a/b", "hydra.job.env_set={FUZZ:1}",
    "hydra.job.env_set.FUZZ=1", "hydra.callbacks={a:{_target_:nowhere.x}}", "+hydra.callbacks.a._target_=nowhere.x",
    "hydra.hydra_logging=null", "hydra.job_logging=null", "hydra.job_logging.version=7", "hydra.runtime.cwd=x",
]  # fmt: skip
ODD = [
    "nope=1", "+nope=1", "+nope.key=1", "++nope.key=1", "~nope", "~nope.key", "=", "=1", "+=1", "~", "+", "++",
    "word", "", " ", "model.=1", ".model=1", "model..latents=1", "model=mlp=x", "model@other=mlp", "+model@other=mlp",
    "model=", "likelihood=gausian", "likelyhood=cb", "model=null", "trainer=null", "model={latents:3}",
    "experiment=null", "~model", "experiment=nope", "~experiment", "+experiment=ppca_digits", "model.latent=3",
    "latents=3", "weighting.beta=1", "~seed", "trainer.step=3", "+model.latents=3", "+model.nope=1",
    "+model._partial_=true", "+model._args_=[1]", "+optim.nope=1", "+model._recursive_=false",
    "+model._convert_=none", "+model._convert_=nope", "+dataset.nope=1", "+trainer.nope=1", "+likelihood.nope=1",
    "+weighting.nope=1", "+schedule.nope=1", "choices=1", "+choices=1", "+choices.model=x", "ü=1", "--nope", "-x",
    "--cfg", "--cfg=job", "--cfg=nope", "--config-dir=nowhere", "--config-dir=arrays", "--package=model", "--resolve",
    "--cfg=hydra", "--cfg=all", "--info=nope", "--info=config", "--config-name=x", "--run", "--hydra-help",
    "--version", "model=mlp,conv", "seed=1,2", "seed=1 valid=0", "seed = 1", "seed:1", "model/mlp", "model/x=1",
    "a b=1", "'seed'=1", "seed=1;2", "seed=(1)", "optim.betas=[0.9]", "optim.betas=[0.9,0.9,0.9]",
    "optim.betas=[2,2]", "a.b.c=1", "+seed.x=1", "+valid.x.y=1", "seed.x=1", "model.hidden.0=3", "model.hidden[0]=3",
    "+trainer={a:1}", "trainer={a:1}", "++model={}", "++seed={a:1}", "~model.latents", "~model=mlp", "~model=conv",
    "~trainer.steps=2", "~trainer.steps=3",
]  # fmt: skip
