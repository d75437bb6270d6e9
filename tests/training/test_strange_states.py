"""A state that a run cannot have saved is not taken, whatever is wrong with it, and the trainer stays as it was."""

from copy import deepcopy
from math import inf, nan

import pytest
import torch
from helpers import OPTIMIZERS
from torch import nn
from trainer_cases import same, saved_at_7, saved_trainer, weighted

from vaekl.store.match import MisfitError
from vaekl.training.saved_state import check_weights

TENSORS = {
    "shorter": lambda t: t.flatten()[:-1].clone(),
    "longer": lambda t: torch.cat([t.flatten(), t.flatten()]),
    "expanded": lambda t: t.flatten()[:1].expand(t.numel()).view_as(t) if t.numel() > 1 else t.expand(2),
    "of another type": lambda t: t.to(torch.float64 if t.dtype != torch.float64 else torch.float32),
    "of whole numbers": lambda t: t.to(torch.int32),
    "complex": lambda t: t.to(torch.complex64),
    "a part of a larger one": lambda t: torch.cat([t.flatten(), t.flatten()])[: t.numel()].view_as(t),
    "sparse": lambda t: t.to_sparse() if t.dim() else t[None].to_sparse(),
    "on no device": lambda t: t.to("meta"),
    "a parameter": lambda t: nn.Parameter(t.clone(), requires_grad=t.is_floating_point()),
    "a list": lambda t: t.tolist(),
    "None": lambda t: None,
}
PLACES = [
    ("model", "encoder.1.weight"),
    ("model", "weighting.log_dispersion"),
    ("average", "module.encoder.1.weight"),
    ("average", "n_averaged"),
    ("optimizer", "state", 0, "exp_avg"),
    ("optimizer", "state", 0, "exp_avg_sq"),
    ("optimizer", "state", 0, "max_exp_avg_sq"),
    ("optimizer", "state", 0, "step"),
    ("generator",),
    ("rows",),
]


@pytest.fixture(scope="module")
def saved():
    """A state with all kinds of parts, which no test changes."""
    return saved_at_7(optimizer="amsgrad", ema=0.9)


def node(state, path):
    for key in path:
        state = state[key]
    return state


def refused(state, place, **options):
    """The trainer names the place, and stays as it was."""
    one = saved_trainer(**{"optimizer": "amsgrad", "ema": 0.9, "seed": 5} | options)
    before = deepcopy(one.state_dict())
    with pytest.raises(MisfitError) as caught:
        one.load_state_dict(state)
    text, dotted = str(caught.value), ".".join(map(str, place))
    assert text.isprintable() and (caught.value.place == dotted or f"{dotted.rpartition('.')[2]}" in text), text
    after = one.state_dict()
    assert same(before["model"], after["model"]) and (one.step, len(one.optimizer.state)) == (0, 0)
    assert torch.equal(before["generator"], after["generator"])
    return text


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_no_other_tensor_is_taken(place, saved):
    for how, change in TENSORS.items():
        state = deepcopy(saved)
        old = node(state, place)
        node(state, place[:-1])[place[-1]] = change(old)
        assert refused(state, place), how


@pytest.mark.parametrize("place", [place for place in PLACES if place not in [("generator",), ("rows",)]], ids=str)
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_not_finite_is_not_taken(place, value, saved):
    state = deepcopy(saved)
    tensor = node(state, place)
    if not tensor.is_floating_point():
        tensor = node(state, place[:-1])[place[-1]] = tensor + 1
    else:
        tensor.view(-1)[-1] = value
    refused(state, place)


def test_rows_that_were_logged_may_be_anything(saved):
    """Step 7 is the third since the log at step 4."""
    for row, is_taken in ((2, False), (3, True)):
        state = deepcopy(saved)
        state["rows"][row, 1] = nan
        if is_taken:
            saved_trainer("amsgrad", ema=0.9).load_state_dict(state)
        else:
            refused(state, ("rows",))


def test_tensors_do_not_share_their_memory(saved):
    state = deepcopy(saved)
    memory = state["optimizer"]["state"][0]
    memory["exp_avg"] = memory["exp_avg_sq"]
    assert "shares its memory" in refused(state, ("optimizer", "state", 0, "exp_avg_sq"))


NUMBERS = [True, -1, 0.5, "1", None, 10**400, 2**70, nan, inf, [1], {}, b"1", 1j, torch.tensor(1), 1.0]
SCALARS = {
    "step": [*NUMBERS, 21],
    "restores": [*NUMBERS, 11],
    "threads": [*NUMBERS, 0, 2**31 + 1],
    "stale_validations": [*NUMBERS, 21],
    "best_elbo": [value for value in NUMBERS if value not in (0.5, 1.0)] + [0],
    "compiled": [True, None, 0, "False", nan],
    "data": ["", None, 3, b"x", "0" * 64],
    "device": ["", "meta", "cuda:0", None, 0, ["cpu"], torch.zeros(2)],
    "average": [None, {}, [], 0],
    "optimizer": [None, {}, [], 0, {"state": {}}, {"state": [], "param_groups": []}],
    "model": [None, {}, [], 0, "weights"],
    "generator": [None, "", torch.zeros(16, dtype=torch.uint8), torch.zeros(5056, dtype=torch.uint8)],
}


@pytest.mark.parametrize("key", SCALARS)
def test_no_other_value_is_taken(key, saved):
    for value in SCALARS[key]:
        refused(saved | {key: value}, (key,))


@pytest.mark.parametrize("path", [(), ("model",), ("average",), ("optimizer",), ("optimizer", "state"),
                                  ("optimizer", "state", 1), ("optimizer", "param_groups", 0)], ids=str)  # fmt: skip
def test_no_key_is_missing_or_unknown(path, saved):
    keys = list(node(saved, path))
    for key in keys:
        state = deepcopy(saved)
        del node(state, path)[key]
        refused(state, (*path, key))
        state = deepcopy(saved)
        node(state, path)["\x1b[2J"] = node(state, path).pop(key)
        refused(state, (*path, key))
    for key in ("more", 10**400, (), None, 99):
        state = deepcopy(saved)
        node(state, path)[key] = 0
        assert "which this run's has not" in refused(state, path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("lr", nan), ("lr", -1.0), ("lr", 1), ("lr", "1"), ("betas", [0.9, 2.0]), ("betas", None), ("eps", -1.0),
     ("fused", False), ("amsgrad", False), ("capturable", True), ("differentiable", True), ("params", [0]),
     ("params", [*range(1, 9), 0]), ("weight_decay", 10**400)],
)  # fmt: skip
def test_the_optimiser_s_settings_are_those_of_the_config(key, value, saved):
    state = deepcopy(saved)
    state["optimizer"]["param_groups"][0][key] = value
    refused(state, ("optimizer", "param_groups", 0, key))


@pytest.mark.parametrize("value", [-1.0, 0.5, 8.0])
def test_the_optimiser_has_taken_no_more_steps_than_the_run(value, saved):
    state = deepcopy(saved)
    state["optimizer"]["state"][3]["step"].fill_(value)
    assert "the run is at step 7" in refused(state, ("optimizer", "state", 3, "step"))


@pytest.mark.parametrize(("other", "place"), [("momentum", "optimizer"), ("rmsprop", "optimizer")])
def test_the_memory_of_another_optimiser_is_not_taken(other, place):
    state = saved_at_7(optimizer=other)
    refused(state, (place,), ema=None)


@pytest.mark.parametrize(("left", "following"), [(0, 0), (-1, 626), (1, 625), (624, 624), (625, 0), (3, 2**32 + 622)])
def test_a_generator_that_would_read_beyond_its_words_is_not_taken(left, following, saved):
    state = deepcopy(saved)
    numbers = state["generator"].numpy()
    numbers[8:12].view("<i4")[:] = left
    numbers[16:24].view("<u8")[:] = following
    refused(state, ("generator",))


def test_another_device_s_generator_is_not_looked_at(saved):
    """The noise goes on from a seed of its own; but it must be one."""
    foreign = saved | {"device": "cuda", "generator": torch.full((16,), 255, dtype=torch.uint8)}
    saved_trainer("amsgrad", ema=0.9).load_state_dict(foreign)
    refused(saved | {"device": "cuda"}, ("generator",))


class Mine(torch.optim.Optimizer):
    """Momentum, with a memory of its own beside it, some of it among the settings."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr, "seen": 0})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            group["seen"] += 1
            for p in group["params"]:
                if p.grad is not None:
                    memory = self.state[p].setdefault("mean", torch.zeros_like(p)).lerp_(p.grad, 0.1)
                    if group["seen"] > 3:
                        self.state[p]["late"] = memory.norm()
                    p.sub_(memory, alpha=group["lr"])


class Needy(Mine):
    """One that cannot take a step when it is looked at."""

    def step(self):
        if any(p.grad.abs().max() == 0 for group in self.param_groups for p in group["params"]):
            raise RuntimeError("no gradient")
        super().step()


@pytest.mark.parametrize("kind", [Mine, Needy])
def test_an_optimiser_of_somebody_s_own(kind, monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "mine", (kind, 0.001))
    state = saved_at_7(optimizer="mine")
    resumed, whole = saved_trainer("mine", seed=5), saved_trainer("mine")
    resumed.load_state_dict(deepcopy(state))
    assert resumed.optimizer.param_groups[0]["seen"] == 7
    resumed.fit()
    whole.fit()
    assert same(resumed.model.state_dict(), whole.model.state_dict())
    for key, change in (("mean", "expanded"), ("late", "expanded"), ("mean", "sparse"), ("late", "on no device")):
        other = deepcopy(state)
        other["optimizer"]["state"][0][key] = TENSORS[change](other["optimizer"]["state"][0][key])
        refused(other, ("optimizer", "state", 0, key), optimizer="mine", ema=None)
    if kind is Mine:
        state["optimizer"]["state"][0]["mean"] = torch.zeros(3)
        refused(state, ("optimizer", "state", 0, "mean"), optimizer="mine", ema=None)


def test_weights_are_held_against_the_model(saved):
    model = weighted("learned_precision", seed=3)
    check_weights(saved, model, True)
    check_weights(saved | {"optimizer": None, "rows": "anything"}, model, True)
    for place in PLACES[:4]:
        for how, change in TENSORS.items():
            state = deepcopy(saved)
            node(state, place[:-1])[place[-1]] = change(node(state, place))
            with pytest.raises(MisfitError) as caught:
                check_weights(state, model, True)
            assert place[-1] in str(caught.value), how
    for key in ("step", "model", "average"):
        for value in SCALARS[key]:
            if key != "step" or value != 21:
                with pytest.raises(MisfitError, match=key):
                    check_weights(saved | {key: value}, model, True)
        with pytest.raises(MisfitError, match=f"lacks {key}"):
            check_weights({other: saved[other] for other in saved if other != key}, model, True)
    with pytest.raises(MisfitError, match="average"):
        check_weights(saved, model, False)
