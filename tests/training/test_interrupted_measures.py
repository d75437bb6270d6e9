"""A measure that fails leaves the model as it was."""

from dataclasses import replace

import pytest
from helpers import data_of, model_of, seeded, trainer_of

from vaekl.data import Split
from vaekl.measures import features, quality
from vaekl.measures.elbo import evaluate
from vaekl.training.callbacks.images import pictures


@pytest.mark.parametrize("measure", ["evaluate", "quality", "scores", "pictures"])
def test_what_fails_in_a_measure_leaves_the_model_in_training(measure):
    data = data_of()
    trainer, _ = trainer_of(data, model_of(data.spec))
    model = trainer.model.train()

    class Broken(Split):
        def stored(self, index):
            raise ZeroDivisionError

    broken = Broken(data.train.images, None, data.train.transform)
    trainer.data = replace(data, valid=broken)
    calls = {
        "evaluate": lambda: evaluate(model, broken, seeded()),
        "quality": lambda: quality.figures(model, broken, seeded()),
        "scores": lambda: features.scores((1 / 0 for _ in range(1)), [], model),
        "pictures": lambda: pictures(trainer, None),
    }
    with pytest.raises(ZeroDivisionError):
        calls[measure]()
    assert all(part.training for part in model.modules())
