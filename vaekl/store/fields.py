"""What the values in a run's JSON files may be: finite numbers, truth values that are no numbers, short plain texts."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vaekl.system.terminal import CONTROL

#: sums of float32 stay below this; larger numbers overflow when they are squared or summed
_LARGEST = 1e100
_NO_CONTROL = f"^[^{CONTROL}]*$"

Text = Annotated[str, Meta(max_length=4096, pattern=_NO_CONTROL)]
LongText = Annotated[str, Meta(max_length=2**17, pattern=_NO_CONTROL)]
Number = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
NotNegative = Annotated[float, Meta(ge=0, le=_LARGEST)]
Positive = Annotated[float, Meta(gt=0, le=_LARGEST)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
AtLeastOne = Annotated[int, Meta(ge=1, le=2**53)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
#: `SCHEMA` of read.py as a type
Schema = Literal[1]


class Record(msgspec.Struct, forbid_unknown_fields=True):
    """What is common to all JSON objects: a key that is not named is refused."""
