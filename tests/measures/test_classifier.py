"""The classifier: good on digits, the same to the last bit, trained once, and never on what it should not see."""

import logging
from dataclasses import replace

import pytest
import torch

from vaekl.data import Data
from vaekl.data.auto import AutoTransform
from vaekl.data.sources.embedded import digits
from vaekl.measures import classifier as module
from vaekl.measures.classifier import cache_root, classifier, pictures
from vaekl.system.errors import VaeklError

DIGITS = Data.from_source(digits(), AutoTransform(), ("unit_interval",))


def relabelled(labels):
    return replace(DIGITS, train=replace(DIGITS.train, labels=labels))


def equal(first, second):
    """Whether two networks agree to the last bit."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return first.accuracy == second.accuracy and all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("VAEKL_CACHE_DIR", str(tmp_path))
    return tmp_path / "classifiers"


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(module, "_STEPS", 5)


@pytest.fixture
def no_training(monkeypatch):
    """Returns what makes every further training an error."""

    def forbid():
        monkeypatch.setattr(module, "_trained", lambda *_: pytest.fail("trained again"))

    return forbid


@pytest.mark.nightly
def test_it_knows_digits_and_is_trained_once_and_the_same_anywhere(cache, tmp_path, monkeypatch, no_training):
    lines = []
    # without test images, so none can have been seen
    network = classifier(replace(DIGITS, test=None), say=lines.append)
    assert network.accuracy > 0.95
    assert len(lines) == 1 and "digits" in lines[0] and str(cache) in lines[0]
    features, logits = network(pictures(DIGITS.test.images, DIGITS.stored))
    assert (features.shape, logits.shape) == ((360, module.FEATURES), (360, 10))
    assert (logits.argmax(1) == DIGITS.test.labels).float().mean() > 0.9
    assert not network.training and not logits.requires_grad

    monkeypatch.setenv("VAEKL_CACHE_DIR", str(tmp_path / "elsewhere"))
    torch.manual_seed(123)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    again = classifier(DIGITS)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert torch.equal(state, torch.get_rng_state())
    assert equal(network, again)

    no_training()
    assert equal(network, classifier(DIGITS, say=lines.append))
    assert len(lines) == 1


def test_the_accuracy_is_of_images_that_it_was_not_trained_on(cache, monkeypatch):
    monkeypatch.setattr(module, "_STEPS", 400)
    images = DIGITS.train.images[:300]
    labels = DIGITS.train.labels[torch.randperm(300, generator=torch.Generator().manual_seed(0))]
    network = classifier(replace(DIGITS, train=replace(DIGITS.train, images=images, labels=labels)))
    guesses = network(pictures(images, DIGITS.stored))[1].argmax(1)
    # labels without meaning can only be learned by heart
    assert (guesses == labels).float().mean() > 0.6
    assert network.accuracy < 0.4


@pytest.mark.usefixtures("few_steps")
def test_a_damaged_file_is_made_again(cache, no_training):
    network = classifier(DIGITS)
    (file,) = cache.glob("*.pt")
    whole = file.read_bytes()
    for damage in (b"", b"no checkpoint", whole[: len(whole) // 2]):
        file.write_bytes(damage)
        assert equal(network, classifier(DIGITS))
    torch.save({"format": 1, "state": {"weights": {"head.bias": torch.zeros(10)}}}, file)
    assert equal(network, classifier(DIGITS))
    no_training()
    assert equal(network, classifier(DIGITS))


@pytest.mark.usefixtures("few_steps")
def test_a_cache_that_cannot_be_written_only_means_that_it_is_not_kept(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VAEKL_CACHE_DIR", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        first, second = classifier(DIGITS), classifier(DIGITS)
    assert equal(first, second)
    assert "not kept" in caplog.text and "set VAEKL_CACHE_DIR to a folder that has room" in caplog.text


@pytest.mark.usefixtures("few_steps")
def test_other_images_labels_seeds_and_recipes_have_files_of_their_own(cache, monkeypatch):
    images = DIGITS.train.images.clone()
    images[0, 0, 0, 0] += 1
    classifier(DIGITS)
    classifier(replace(DIGITS, train=replace(DIGITS.train, images=images)))
    classifier(relabelled(DIGITS.train.labels.flip(0)))
    classifier(DIGITS, seed=1)
    monkeypatch.setattr(module, "RECIPE", 999)
    classifier(DIGITS)
    classifier(replace(DIGITS, stored=replace(DIGITS.stored, name="../my data/x.npz")))
    assert len(list(cache.glob("*.pt"))) == 6
    assert all(path.parent == cache for path in cache.parent.rglob("*.pt"))


def test_the_cache_is_the_users_unless_a_variable_moves_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("VAEKL_CACHE_DIR", raising=False)
    assert cache_root().name == "vaekl"
    monkeypatch.setenv("VAEKL_CACHE_DIR", "~/mine")
    assert cache_root().is_absolute() and cache_root().name == "mine"


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64), (1, 28, 28), (3, 32, 32), (2, 9, 40), (1, 5, 5), (1, 1, 1)])
@pytest.mark.usefixtures("few_steps", "cache")
def test_any_shape_and_any_whole_numbers_as_labels(shape):
    images = torch.randint(256, (20, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    labels = torch.tensor([-3, 700, 7, 7]).repeat(5)
    stored = replace(DIGITS.stored, shape=shape, levels=256)
    network = classifier(replace(DIGITS, train=replace(DIGITS.train, images=images, labels=labels), stored=stored))
    features, logits = network(pictures(images, stored))
    assert (features.shape, logits.shape) == ((20, module.FEATURES), (20, 3))
    assert features.isfinite().all() and 0 <= network.accuracy <= 1


def test_pictures_are_in_the_unit_interval():
    for stored, top in ((DIGITS.stored, 16), (replace(DIGITS.stored, levels=2, support="binary"), 1)):
        x = pictures(torch.tensor([[[[0, top]]]], dtype=torch.uint8), stored)
        assert x.dtype == torch.float32 and x.flatten().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (relabelled(None), r"needs labels, which digits does not have: set eval\.features="),
        (relabelled(torch.zeros(len(DIGITS.train), dtype=torch.int64)), "one for all"),
        (replace(DIGITS, stored=replace(DIGITS.stored, support="real")), "no pictures"),
    ],
)
def test_data_that_it_does_not_fit_get_a_sentence(data, reason, cache):
    with pytest.raises(VaeklError, match=reason) as refused:
        classifier(data)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)
    assert not cache.exists()
