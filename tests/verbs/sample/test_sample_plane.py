"""The plane of two latents: what it decodes to, and where inputs lie in it."""

import numpy as np
import pytest
import torch
from cli_helpers import refused, trained, vaekl
from PIL import Image

from vaekl.measures.elbo import evaluate
from vaekl.run.load import load_run
from vaekl.verbs.sample import plates


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("plane"), "valid=0")


@pytest.fixture(scope="module")
def model(run):
    return load_run(run)


def test_the_grid_is_decoded_from_the_plane_and_points_lie_in_the_same(run, model):
    words = ("sample.what=latents,plane", "sample.decoder=mean", "sample.columns=3", "--format=npz")
    answer = vaekl(run.parent, "sample", "run", *words)
    assert answer.code == 0, answer.err
    plane, latents = (dict(np.load(run / "samples" / f"{name}.npz")) for name in ("plane_mean", "latents"))
    kl = evaluate(model.model, model.data.test, torch.Generator().manual_seed(0)).kl_per_latent
    first, second = plane["latents"]
    assert first < second and {first, second} == {*kl.argsort(descending=True)[:2].tolist()}
    assert latents["latents"].tolist() == [first, second] and plane["values"].tolist() == [-3, 0, 3]
    # the second goes upwards, and the top row is written first
    assert plane["z"][:, first].tolist() == [-3, 0, 3] * 3 and plane["z"][::3, second].tolist() == [3, 0, -3]
    assert not np.delete(plane["z"], [first, second], 1).any()
    with torch.no_grad():
        decoded = model.model.moments(model.model.decode(torch.from_numpy(plane["z"])))[0]
        # the noise within a grey level is drawn anew
        means = model.model.encode(model.data.test.batch(slice(None), torch.Generator().manual_seed(0)))[0]
    np.testing.assert_allclose(plane["images"], decoded, atol=1e-6)
    np.testing.assert_allclose(latents["posterior_mean"], means, atol=0.05)
    assert np.array_equal(latents["labels"], model.data.test.labels)
    assert f"latents {first}, to the right, and {second}, upwards (most KL)" in str(plane["label"])


def test_pictures_say_what_they_show(run):
    answer = vaekl(run.parent, "sample", "run", "sample.what=plane,latents", "sample.latents=3,1")
    assert answer.code == 0, answer.err
    words = {}
    for name in ("plane_mean", "plane_sample", "latents"):
        with Image.open(run / "samples" / f"{name}.png") as image:
            words[name] = image.text["Description"]
            assert name != "latents" or len(image.convert("RGB").getcolors(1 << 24)) > 50
    assert "latents 1, to the right, and 3, upwards, from -3 to 3 with all others at 0" in words["plane_mean"]
    assert words["latents"].startswith(
        "posterior means of 360 test images, latents 1 and 3, coloured by label: cb, digits"
    )


def test_the_kl_of_latents_is_measured_once_for_all_pictures(run, monkeypatch):
    measured = []
    monkeypatch.setattr(plates, "evaluate", lambda *words: measured.append(1) or evaluate(*words))
    words = ("sample.what=traversal,plane,latents", "sample.decoder=mean", "sample.columns=2", "--format=npz")
    assert vaekl(run.parent, "sample", "run", *words).code == 0
    assert len(measured) == 1


def test_one_latent_is_no_plane(run):
    refused(vaekl(run.parent, "sample", "run", "sample.what=plane", "sample.latents=1"), "needs two latents")
    refused(
        vaekl(run.parent, "sample", "run", "sample.what=latents", "sample.latents=1,9"), "sample.latents=9", "0 to 3"
    )
