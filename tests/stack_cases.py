"""What the tests of stacks share: trainers for a stack and the same alone, and how they are compared."""

import random
from functools import partial

import torch
from helpers import data_of, model_of, trainer_of

from vaekl.data import Data
from vaekl.data.auto import AutoTransform
from vaekl.data.sources.table import table
from vaekl.model.likelihoods import Columns
from vaekl.model.weighting import FixedDispersion, LearnedPrecision
from vaekl.training import stack

DATA = data_of()
#: of a weight after twenty steps, whose first digits are the same
CLOSE = {"rtol": 2e-4, "atol": 2e-6}


def trained(trainers, steps_of=lambda trainer: trainer.fit()):
    """The trainers, trained in one stack; the errors that ended some of them; and which took their steps alone."""
    errors, said = {}, []

    def run(number):
        try:
            with stack.joined(trainers[number]):
                steps_of(trainers[number])
        except Exception as error:
            errors[number] = error

    stack.train([partial(run, number) for number in range(len(trainers))], said.append)
    return errors, said


def pair(makes, data=DATA, **options):
    """Trainers of some models, once for a stack and once to be trained alone."""
    both = []
    for _ in range(2):
        both.append([trainer_of(data, make(), seed=seed, **options)[0] for seed, make in enumerate(makes)])
    return both


def assert_close(together, alone):
    for one, other in zip(together, alone, strict=True):
        assert one.step == other.step
        torch.testing.assert_close(dict(one.model.state_dict()), dict(other.model.state_dict()), **CLOSE)
        torch.testing.assert_close(one.rows, other.rows, rtol=1e-4, atol=1e-4, equal_nan=True)
        torch.testing.assert_close(one.gradient_norm, other.gradient_norm, rtol=1e-3, atol=1e-4)


def of(likelihood, weighting=FixedDispersion, control=None, seed=0, **settings):
    family = likelihood()
    return model_of(DATA.spec, family, weighting(family, DATA.spec.shape, **settings), seed=seed, control=control)


def people(folder):
    """A table with missing values, counts and words."""
    rows, draw = ["height,children,smokes,city"], random.Random(0)
    for _ in range(60):
        height = draw.choice(["", f"{draw.gauss(170, 9):.1f}"])
        words = draw.choice(["yes", "no"]), draw.choice(["Bonn", "Ulm", "Trier"])
        rows.append(",".join([height, str(draw.randrange(5)), *words]))
    (folder / "people.csv").write_text("\n".join(rows), encoding="utf-8")
    return Data.from_source(table(str(folder / "people.csv"), missing="mask"), AutoTransform(), Columns().accepts)


def of_people(data, seed):
    """A model of that table."""
    family = Columns()
    family.check_spec(data.spec)
    return model_of(data.spec, family, LearnedPrecision(family, data.spec.shape), seed=seed)
