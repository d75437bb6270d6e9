"""The mode of a module is restored, whatever happens in between."""

import pytest
from torch import nn

from vaekl.model.modes import evaluating


@pytest.mark.parametrize("training", [True, False])
def test_each_part_is_in_its_own_mode_again_after_an_error(training):
    frozen = nn.Dropout()
    module = nn.Sequential(nn.Linear(1, 1), frozen).train(training)
    frozen.eval()

    def fail_inside():
        with evaluating(module):
            assert not any(part.training for part in module.modules())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert module.training is training and module[0].training is training and frozen.training is False
