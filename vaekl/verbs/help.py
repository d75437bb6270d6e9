"""What `--help` prints. Imports nothing heavy, so that it is printed at once."""

from collections.abc import Sequence
from pathlib import Path

from vaekl.config.groups import groups, no_option, options, settings, settings_of
from vaekl.system.errors import VaeklError
from vaekl.system.terminal import printable

PROGRAM = """\
vaekl: train VAEs, and know what the weight of the KL term means

  vaekl train [key=value ...]    train, validate, test; TensorBoard log and results in outputs/
  vaekl train -m key=a,b ...     a sweep: every combination
  vaekl suggest dataset=NAME     which likelihood and weight for these data: short trainings within a time
  vaekl resume RUN               go on with a run that was stopped or killed
  vaekl eval RUN ...             measure runs by one ruler: bits/dim of the integers, IWAE bound, calibration
  vaekl sample RUN               pictures of the prior, reconstructions, traversals, interpolations
  vaekl encode RUN [FILE]        latents of all examples of a file, or of the run's own, as npz, csv or parquet
  vaekl score RUN [FILE]         ELBO, IWAE bound and bits/dim of each of them: low ones are anomalies
  vaekl export RUN               to be shared, with a card: weights for vaekl.load, or networks as ONNX or for PyTorch
  vaekl report SWEEP ...         one HTML page: a table of groups, figures, pictures, what was run
  vaekl diagnose RUN ...         what went wrong in a run, by evidence, and what to change
  vaekl audit ...                what a loss such as MSE + 0.00025 KL assumes; what a data set lets survive
  vaekl VERB --help              what a verb takes
  vaekl --version

  --debug                        a full traceback instead of a sentence
  --trust package.module         verbs that look at a run: let a run folder call your own classes

Start with `vaekl train`: scikit-learn's digits, continuous Bernoulli, nothing to download.
"""

_TRAIN = """\
vaekl train [key=value ...]        one run
vaekl train -m key=a,b,c ...       a sweep: one run for every combination

Examples
  vaekl train
  vaekl train likelihood=cb dataset=cifar10
  vaekl train likelihood=gaussian weighting=learned_precision dataset=mnist model=conv
  vaekl train likelihood=gaussian weighting=fixed_beta weighting.beta=0.01
  vaekl train -m likelihood=cb,gaussian,beta seed=0,1,2
  vaekl train sweep=beta_curve dataset=mnist report=true   and a report of its runs at the end
  vaekl train -m seed=0,1,2 sweep.stack=off   each run by itself; auto lets runs share their steps where that is faster
  vaekl train init=outputs/<run> trainer.steps=20000     start from the weights of another run

Flags
  -m, --multirun        sweep over comma-separated values
  --config-dir DIR      add your own groups and options
  --cfg job             print the composed config and stop
  --again               train a run that is in its folder once more, from its first step
  --debug               a full traceback instead of a sentence

"""

RESUME = """\
vaekl resume RUN                            go on with the run in a folder, from its last checkpoint
vaekl resume RUN trainer.steps=N            the same to more steps than it had, or trainer.epochs=N
vaekl resume RUN tracker=wandb              its figures to W&B or MLflow too, with tracker.KEY=VALUE: the folder's own
                                            tracker is not believed
vaekl resume RUN --trust package.module     the same for one with classes of your own

On the CPU, with as many threads, the final weights are bit-identical to those of a run that was never stopped.
"""

_SUGGEST = """\
vaekl suggest dataset=NAME [budget=10m] [key=value ...]      which likelihood and which weight of the KL for these data

Looks at the data, tries every likelihood that fits for a few steps, trains the best third of them longer and again the
best of those, the last with several seeds, all within the time. What is best is judged on validation examples, never on
test examples. Ends in a card, suggest.json and suggest.html in outputs/suggest_NAME_...; typed again it goes on.

Examples
  vaekl suggest dataset=digits budget=2m
  vaekl suggest dataset=npz dataset.path=mine.npz model=conv budget=1h
  vaekl suggest dataset=mnist likelihood=gaussian,laplace,cb model.latents=20
  vaekl suggest dataset=mnist for=reconstruction

Keys, beside the words of `vaekl train` about data, networks and training
"""

#: of the verbs whose keys stand in conf/VERB.yaml
_VERBS = {
    "eval": """\
vaekl eval RUN ... [eval.key=value ...]      measure finished runs; a folder of runs makes one table

Writes RUN/eval.json. RUN is a run folder, a checkpoint in one, or a sweep. dataset=, transform= and data_dir= look at
other data of the same shape.

Examples
  vaekl eval outputs/<run>
  vaekl eval outputs/<run> eval.k=1,50,5000 eval.features=classifier
  vaekl eval outputs/<sweep>
""",
    "sample": """\
vaekl sample RUN [sample.key=value ...]      pictures of a trained model, in RUN/samples/

The mean of the decoder's density and a draw from it are different pictures: each is in a file of its own, and labelled.

Examples
  vaekl sample outputs/<run>
  vaekl sample outputs/<run> sample.what=prior sample.decoder=mean sample.count=100 sample.columns=10
  vaekl sample outputs/<run> --format npz
  vaekl sample outputs/<run> --format csv                               rows of a table
  vaekl sample outputs/<run> sample.what=interpolation dataset=npz dataset.path=two.npz
""",
    "diagnose": """\
vaekl diagnose RUN ... [diagnose.key=value ...]      what went wrong, a sentence for each cause, the most likely first

Reads the run's files, measures its model on test and training images, and tries some further steps of training; nothing
is written. Also says how the latents of all images lie, with the scale factor 1/std that latent diffusion asks for.

Examples
  vaekl diagnose outputs/<run>
  vaekl diagnose outputs/<run> --json
  vaekl diagnose outputs/<sweep> diagnose.images=500 diagnose.trial_steps=0
""",
    "encode": """\
vaekl encode RUN [FILE] [encode.key=value ...]      mean and standard deviation of q(z|x), a row for each example

FILE is .npy, .npz, .csv, .parquet and whatever else `dataset=npz`, `table` and `image_folder` read, or a folder; its
values are taken as the run's own were. Without it, or with dataset=, the run's data or another data set. Writes into
RUN/latents/, labels and row numbers beside the latents; `label` and `split` are there where the data have them.

Examples
  vaekl encode outputs/<run>
  vaekl encode outputs/<run> mine.npy --format csv
  vaekl encode outputs/<run> photos/ encode.out=photos.parquet --format parquet
""",
    "score": """\
vaekl score RUN [FILE] [score.key=value ...]      ELBO, importance-weighted bound and bits/dim of each example

FILE is .npy, .npz, .csv, .parquet and whatever else `dataset=npz`, `table` and `image_folder` read, or a folder; its
values are taken as the run's own were. Without it, or with dataset=, the run's data or another data set. Writes into
RUN/scores/; the means over all rows are what `vaekl eval` says of the same examples.

Examples
  vaekl score outputs/<run>
  vaekl score outputs/<run> mine.npy score.k=1000
  vaekl score outputs/<run> rows.csv --format parquet
""",
    "export": """\
vaekl export RUN [export.key=value ...]      a trained model to be shared, in RUN/export/ or another folder

Writes model.safetensors, the judged weights; config.yaml, facts.json and results.json; and README.md, a card. Needs
`vaekl[formats]`. `vaekl.load`, `encode FILE` and `score FILE` take the folder as they take a run's, without its data.

--to onnx (needs `vaekl[onnx]`) and --to torch-export write encoder and decoder in place of the weights, for programs
that have no vaekl: x -> mean and ln σ of q(z|x), z -> η, mean and variance of p(x|z), for any number of examples. What
is done to x in training is in the encoder, noise of dequantization at its mean; likelihood, φ, shape and protocol are
in the files, and README.md shows how they are called. Each is run again and compared with the model before it is there.

Examples
  vaekl export outputs/<run>
  vaekl export outputs/<run> --to safetensors export.out=my_model
  vaekl export outputs/<run> --to torch-export export.out=for_a_colleague
""",
    "report": """\
vaekl report SWEEP ... [report.key=value ...]      one page that needs no network, with its figures and tables

Writes report.html, report.md, runs.csv and figures/ into SWEEP/report. SWEEP is a folder of runs; one that is missing,
broken or not measured is listed or measured, never dropped.

Examples
  vaekl report outputs/<sweep>
  vaekl report outputs/<sweep> outputs/<other sweep> report.output=paper
""",
}


def of_suggest() -> str:
    """The help of suggest."""
    return f"{_SUGGEST}{settings('suggest')}"


def of_verb(verb: str) -> str:
    """The help of a verb that looks at runs: its keys and their defaults are those of conf/VERB.yaml."""
    return f"{_VERBS[verb]}\nKeys\n{settings(verb, f'{verb}.')}"


def of_train(words: Sequence[str], directories: Sequence[Path]) -> str:
    """The help of train: every group with its options, and the keys that all runs have.

    Args:
        words: that were typed; where some of them choose an option, the keys of these options instead.
        directories: the user's own config folders.

    Raises:
        VaeklError: there is no such option.
    """
    names = groups(directories)
    pairs = [word.partition("=")[::2] for word in words if word.partition("=")[0] in names]
    if chosen := [(group, option) for group, value in pairs for option in value.split(",")]:
        return "\n".join(_of_option(group, option, directories) for group, option in dict.fromkeys(chosen))
    blocks = []
    for group in names:
        lines = (f"  {name:<22} {meaning}" for name, meaning in options(group, directories).items())
        listed = [printable(line) for line in lines]
        blocks.append("\n".join([group, *listed, ""]))
    keys = (
        "Any key of an option can be set, such as weighting.beta=0.01 or model.latents=8: `vaekl train "
        "likelihood=gaussian --help` lists those of likelihood=gaussian. And these:\n"
    )
    return _TRAIN + "\n".join([*blocks, keys]) + settings("train") + settings("trainer/default", "trainer.")


def _of_option(group: str, option: str, directories: Sequence[Path]) -> str:
    meanings = options(group, directories)
    if option not in meanings:
        raise VaeklError(no_option(group, option, meanings))
    lines = settings_of(group, option, directories).splitlines() or ["  no keys of its own"]
    return "".join(f"{printable(line)}\n" for line in [f"{group}={option}: {meanings[option]}", *lines])
