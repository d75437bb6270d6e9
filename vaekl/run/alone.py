"""`vaekl.load`: a trained model read back by itself, without the data that it was trained on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from vaekl.data import Data, DataSpec, Split
from vaekl.data.coding import Code
from vaekl.data.scaling import Scaling
from vaekl.data.standardize import Standardize, Standardized
from vaekl.data.totals import in_proportion
from vaekl.data.transforms import Transform
from vaekl.measures.single import NOISE_BY, NoiseBy
from vaekl.run.build import build_model
from vaekl.run.build_data import build_likelihood, transform_for
from vaekl.run.config import RunConfig
from vaekl.run.load import load_run
from vaekl.run.opened import Opened, open_run
from vaekl.run.trained import TrainedVAE
from vaekl.store.schema import Results, StoredFacts
from vaekl.system.caller import undisturbed
from vaekl.system.checks import one_of
from vaekl.system.devices import enough_memory
from vaekl.system.errors import VaeklError


def load(
    path: Path | str,
    device: str = "auto",
    checkpoint: str | None = None,
    trust: Sequence[str] = (),
    noise: NoiseBy = "rows",
) -> TrainedVAE:
    """Read a trained model back; its data need not be there, and nothing is written.

        run = vaekl.load("outputs/my_run")
        z = run.encode(x).mean

    Args:
        path: a run folder, or a checkpoint in one.
        device: auto, cpu or cuda.
        checkpoint: last or best; None takes the one that the run tested.
        trust: modules of your own, such as "package.module", whose classes the run's config may have called; from
            here on, in this process. Without it only what vaekl's own options name is called.
        noise: rows: each example has noise of its own, whatever is beside it; eval: that of `vaekl eval`, by its place.

    Raises:
        VaeklError: the folder holds no run, its checkpoint cannot be read, or it would have something else called.
    """
    one_of(noise, "noise", NOISE_BY)
    with undisturbed(), enough_memory(f"the model of {path}", "free some"):
        opened = open_run(path, device, checkpoint, "load", trust)
        if (stored := opened.folder.facts().data.stored) is not None:
            return _from_facts(opened, stored, noise)
        # of an earlier vaekl: only its data say what they are
        run = load_run(path, device, checkpoint, trusted=trust)
        data, transform = run.data.stored, run.data.test.transform
        return TrainedVAE(run.path, run.config, run.results, run.model, data, transform, run.weights, run.step, noise)


def _from_facts(opened: Opened, facts: StoredFacts, noise: NoiseBy) -> TrainedVAE:
    """The model of a run, built by what its folder says of its data."""
    content = opened.content
    cfg = RunConfig.of(content, opened.folder.config_file)
    of_run = opened.folder.facts().data
    codes = tuple(Code(column.name, column.kind, (*column.words, *column.numbers)) for column in facts.columns)
    stored = DataSpec(
        of_run.name, tuple(of_run.shape), facts.levels, facts.support, codes=codes, has_missing=facts.has_missing
    )
    likelihood, made = build_likelihood(cfg, stored)
    transform = transform_for(likelihood, made).resolve(stored, likelihood.accepts)
    if isinstance(transform, Standardize):  # the moments are in the checkpoint
        transform = transform.fitted(torch.zeros(()).expand(1, *stored.shape))
    data = _without_images(stored, transform, opened.results)
    data = data.by_total(1.0) if facts.by_total else data
    likelihood.check_spec(data.spec)
    _check_same(data.spec, likelihood.name, opened)
    with opened.no_larger_tensors(data.spec):
        model = build_model(replace(cfg.model, begin_at_data=False), likelihood, data)
    opened.put_weights(model, cfg.training.ema is not None, data.spec)
    if isinstance(transform, Standardized):
        scaling = transform.scaling
        center, spread = model.get_buffer("center"), model.get_buffer("spread")
        transform = Standardized(Scaling(center, spread, scaling.per, scaling.mixed))
        model.report_as(transform.spec(stored))
    if facts.by_total:
        model.report_as(in_proportion(transform.spec(stored), model.get_buffer("mean_total").item()))
    model, weights, step = model.to(opened.device), opened.file.name, opened.state["step"]
    return TrainedVAE(opened.folder.path, content, opened.results, model, stored, transform, weights, step, noise)


def _without_images(stored: DataSpec, transform: Transform, results: Results | None) -> Data:
    """As many examples as the run was trained on, all of them zeros in the memory of one value."""
    count = 1 if results is None else results.images.train
    split = Split(torch.zeros(()).expand(count, *stored.shape), None, transform)
    return Data(transform.spec(stored), stored, split, None, split)


def _check_same(spec: DataSpec, likelihood: str, opened: Opened) -> None:
    """Refuse a folder whose config and facts are not of one run.

    Raises:
        VaeklError: names what differs.
    """
    facts = opened.folder.facts()
    own = {key: value for key, value in spec.facts().items() if key not in ("spread", "protocol")}
    then = {key: getattr(facts.data, key) for key in own}
    then["shape"] = list(then["shape"])
    differing = [key for key in own if own[key] != then[key]]
    differing += ["likelihood"] if likelihood != facts.likelihood.name else []
    if differing:
        raise VaeklError(
            f"the config of {opened.folder.path} leads to other data than its facts.json says "
            f"({', '.join(differing)}): restore both, or train afresh."
        )
