"""Whether a state has the form of another one: every difference is named, and nothing else is one."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from vaekl.store.match import MisfitError, Rule, check_matches, check_sound, whole_number

FORM = {
    "step": whole_number(0, 10),
    "model": {"weight": torch.zeros(3, 4), "bias": torch.zeros(3)},
    "optimizer": {"param_groups": [{"lr": 0.1, "betas": [0.9, 0.99], "fused": True, "params": [0, 1]}]},
    "average": None,
    "name": "cb",
}


def state(**changes):
    """One that has the form."""
    return {
        "step": 3,
        "model": OrderedDict(weight=torch.randn(3, 4), bias=torch.randn(3)),
        "optimizer": {"param_groups": [{"lr": 0.1, "betas": [0.9, 0.99], "fused": True, "params": [0, 1]}]},
        "average": None,
        "name": "cb",
    } | changes


def misfit(value, form=FORM):
    with pytest.raises(MisfitError) as caught:
        check_matches(value, form)
    text = str(caught.value)
    assert text.isprintable() and text.startswith("the checkpoint is not damaged, but") and text.endswith(".")
    return caught.value.place, caught.value.what


def test_one_of_the_form_is_taken():
    check_matches(state(), FORM)


STRANGE = {
    "shorter": (lambda: torch.zeros(2, 4), "has shape 2×4, where this run's has 3×4"),
    "longer": (lambda: torch.zeros(3, 5), "has shape 3×5"),
    "flat": (lambda: torch.zeros(12), "has shape 12"),
    "a scalar": (lambda: torch.tensor(0.0), "has shape ()"),
    "empty": (lambda: torch.zeros(0, 4), "has shape 0×4"),
    "of another type": (
        lambda: torch.zeros(3, 4).double(),
        "has type torch.float64, where this run's has torch.float32",
    ),
    "half": (lambda: torch.zeros(3, 4).half(), "torch.float16"),
    "complex": (lambda: torch.zeros(3, 4, dtype=torch.cfloat), "torch.complex64"),
    "expanded": (lambda: torch.zeros(1, 4).expand(3, 4), "has a storage of 16 bytes for elements of 48"),
    "overlapping": (lambda: torch.zeros(12).as_strided((3, 4), (1, 1)), "has elements that overlap"),
    "transposed": (lambda: torch.zeros(4, 3).t(), "has strides (1, 3), where this run's has (4, 1)"),
    "a part of a larger one": (lambda: torch.zeros(6, 4)[:3], "has a storage of 96 bytes"),
    "at an offset": (lambda: torch.zeros(6, 4)[3:], "has a storage of 96 bytes"),
    "a parameter": (lambda: nn.Parameter(torch.zeros(3, 4)), "is no plain tensor"),
    "with a gradient": (lambda: torch.zeros(3, 4, requires_grad=True), "is no plain tensor"),
    "sparse": (lambda: torch.zeros(3, 4).to_sparse(), "is no plain tensor"),
    "compressed": (lambda: torch.eye(4)[:3].to_sparse_csr(), "is no plain tensor"),
    "quantized": (lambda: torch.quantize_per_tensor(torch.zeros(3, 4), 1.0, 0, torch.quint8), "is no plain tensor"),
    "nested": (lambda: torch.nested.nested_tensor([torch.zeros(4)] * 3), "is no plain tensor"),
    "a subclass": (lambda: torch.zeros(3, 4).as_subclass(type("Mine", (torch.Tensor,), {})), "is no plain tensor"),
    "conjugate": (lambda: torch.zeros(3, 4, dtype=torch.cfloat).conj(), "is no plain tensor"),
    "negative": (lambda: torch.zeros(3, 4, dtype=torch.cfloat).conj().imag, "is no plain tensor"),
    "on no device": (lambda: torch.zeros(3, 4, device="meta"), "is on the device meta"),
    "a list": (lambda: [[0.0] * 4] * 3, "is a list, where this run's is a tensor"),
    "None": (lambda: None, "is None, where this run's is a tensor"),
    "text": (lambda: "x" * 10_000, "is text, where this run's is a tensor"),
    "a number": (lambda: 0.5, "is 0.5, where this run's is a tensor"),
    "a huge number": (lambda: 10**5_000, "is a huge number"),
    "a class": (lambda: int, "is of another kind"),
}


@pytest.mark.filterwarnings("ignore")  # of tensors that PyTorch has for the rare case
@pytest.mark.parametrize("kind", STRANGE)
def test_another_tensor_is_named(kind):
    make, what = STRANGE[kind]
    place, words = misfit(state(model={"weight": make(), "bias": torch.zeros(3)}))
    assert place == "model.weight" and what in words


def test_strides_of_single_elements_and_of_none_mean_nothing():
    check_matches(torch.zeros(1, 4).as_strided((1, 4), (99, 1)), torch.zeros(1, 4))
    check_matches(torch.zeros(0, 4).as_strided((0, 4), (7, 7)), torch.zeros(0, 4))


def test_strides_are_those_of_the_form():
    images = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    check_matches(images.clone(), images)
    assert "strides" in misfit(images.contiguous(), images)[1]


def test_a_view_stands_for_its_copy():
    whole = torch.zeros(20)
    check_matches(torch.zeros(3, 4), whole[:12].view(3, 4))
    check_matches(torch.zeros(3, 4), torch.zeros(1, 4).expand(3, 4))


def test_tensors_share_their_memory_where_those_of_the_form_do():
    one, other = torch.zeros(4), torch.zeros(4)
    assert misfit([one, one], [one, other]) == ("1", "shares its memory with 0")
    check_matches([other, other], [one, one])
    check_matches([one, other], [one, one])


SCALARS = {
    "step": [True, -1, 11, 3.0, "3", None, 10**400, 2**70, float("nan"), [3], {}, b"3", 3j, torch.tensor(3), {3}],
    "average": [0, False, {}, [], "", torch.zeros(3)],
    "name": ["CB", "", None, 3, b"cb", ["cb"], "\x1b[2J"],
    "model": [None, [], (), "weight", 3, {3}, torch.zeros(3)],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key in SCALARS for value in SCALARS[key]])
def test_another_value_is_named(key, value):
    place, what = misfit(state(**{key: value}))
    assert place == key and "where this run's is" in what


@pytest.mark.parametrize(
    ("change", "place", "what"),
    [
        ({"lr": 1}, "optimizer.param_groups.0.lr", "is 1, where this run's is 0.1"),
        ({"lr": float("nan")}, "optimizer.param_groups.0.lr", "is nan"),
        ({"fused": 1}, "optimizer.param_groups.0.fused", "is 1, where this run's is True"),
        ({"betas": (0.9, 0.99)}, "optimizer.param_groups.0.betas", "is a tuple, where this run's is a list"),
        ({"betas": [0.9]}, "optimizer.param_groups.0.betas", "has 1 entries, where this run's has 2"),
        ({"params": [0, 2]}, "optimizer.param_groups.0.params.1", "is 2, where this run's is 1"),
        ({"more": 1}, "optimizer.param_groups.0", "has more, which this run's has not"),
        ({"\x1b[2J": 1}, "optimizer.param_groups.0", "has an entry of another name, which this run's has not"),
        ({10**5_000: 1}, "optimizer.param_groups.0", "has an entry of another name"),
        ({(1, 2): 1}, "optimizer.param_groups.0", "has an entry of another name"),
    ],
)
def test_the_place_is_named_at_any_depth(change, place, what):
    value = state()
    value["optimizer"]["param_groups"][0] |= change
    reason = misfit(value)
    assert reason[0] == place and what in reason[1]


def test_a_missing_key_is_named():
    value = state()
    del value["model"]["bias"]
    assert misfit(value) == ("model", "lacks bias")
    assert misfit({}) == ("", "lacks step")


def test_a_state_within_itself_ends():
    value = state()
    value["model"]["weight"] = value
    assert misfit(value)[0] == "model.weight"


def test_a_rule_decides_by_itself():
    form = {"a": Rule("even", lambda value: value % 2 == 0)}
    check_matches({"a": 4}, form)
    assert misfit({"a": 5}, form) == ("a", "is 5, where this run's is even")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["expanded", "overlapping", "at an offset", "sparse", "quantized", "on no device"])
@pytest.mark.parametrize("wrap", [lambda v: {"a": v}, lambda v: [0, (v,)], lambda v: OrderedDict(a=[{"b": v}])])
def test_unsound_tensors_are_seen_anywhere(kind, wrap):
    check_sound(wrap(torch.zeros(3, 4)), "optimizer")
    with pytest.raises(MisfitError) as caught:
        check_sound(wrap(STRANGE[kind][0]()), "optimizer")
    assert caught.value.place.startswith("optimizer.")


def test_what_is_nested_too_deeply_is_refused():
    value = []
    value.append(value)
    with pytest.raises(MisfitError, match="nested too deeply"):
        check_sound(value, "optimizer")
