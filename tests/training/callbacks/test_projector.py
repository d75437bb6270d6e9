"""The points of TensorBoard's Projector: posterior means of test images, with labels and pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from helpers import data_of, model_of, trainer_of
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from vaekl.system.errors import VaeklError
from vaekl.training.callbacks import Projector, projector


def written(folder, shape=(1, 8, 8), labels=True):
    """The trainer, and what the file says that TensorBoard reads."""
    data = data_of(shape=shape)
    if labels:
        data = replace(data, test=replace(data.test, labels=torch.arange(len(data.test)) % 3))
    trainer, _ = trainer_of(data, model_of(data.spec))
    Projector(folder).tested(trainer, None)
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    return trainer, embedding


def test_the_points_are_the_means_of_the_test_images_in_their_order(tmp_path):
    trainer, embedding = written(tmp_path)
    x = trainer.data.test.batch(slice(None))
    with torch.no_grad():
        means = trainer.model.encode(x)[0]
    np.testing.assert_allclose(np.loadtxt(tmp_path / embedding.tensor_path, delimiter="\t"), means, atol=1e-6)
    labels = (tmp_path / embedding.metadata_path).read_text().splitlines()
    assert labels == [str(number % 3) for number in range(12)]
    assert list(embedding.sprite.single_image_dim) == [8, 8]
    with Image.open(tmp_path / embedding.sprite.image_path) as image:
        sheet = np.asarray(image.convert("RGB"))
    assert sheet.shape == (32, 32, 3), "rows and columns of one number"
    for number in range(12):
        top, left = 8 * (number // 4), 8 * (number % 4)
        seen = sheet[top : top + 8, left : left + 8, 0] / 255
        np.testing.assert_allclose(seen, trainer.model.spec.to_data(x)[number, 0], atol=0.003)


def test_pictures_are_small_and_labels_may_be_missing(tmp_path):
    _, embedding = written(tmp_path, shape=(3, 70, 35), labels=False)
    assert list(embedding.sprite.single_image_dim) == [16, 32] and not embedding.metadata_path
    with Image.open(tmp_path / embedding.sprite.image_path) as image:
        assert image.size == (4 * 16, 4 * 32)
    assert {file.name for file in (tmp_path / "projector").iterdir()} == {"means.tsv", "sprite.png"}


def test_of_many_images_the_first_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(projector, "_MOST", 5)
    _, embedding = written(tmp_path)
    assert len((tmp_path / embedding.tensor_path).read_text().splitlines()) == 5
    assert (tmp_path / embedding.metadata_path).read_text().split() == ["0", "1", "2", "0", "1"]


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "projector").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VaeklError, match="link"):
        written(tmp_path)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_trainer_is_as_it_was(tmp_path):
    trainer, _ = written(tmp_path)
    before = trainer.generator.get_state()
    trainer.model.train()
    Projector(tmp_path).tested(trainer, None)
    assert trainer.model.training and torch.equal(trainer.generator.get_state(), before)
