"""What the tests of sources share."""

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
