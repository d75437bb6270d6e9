"""What the tests of sources share."""

import numpy as np
import pytest

from vaekl.system.errors import VaeklError


def refused(call, *words):
    """The one sentence that a call raises, in which all these words are."""
    with pytest.raises(VaeklError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    for word in words:
        assert str(word) in message, message
    return message


def every_row(source):
    """All rows, those to train first, as float64."""
    parts = [source.train, source.test] if source.valid is None else [source.train, source.valid, source.test]
    return np.concatenate([np.asarray(part) for part in parts]).astype(float)
