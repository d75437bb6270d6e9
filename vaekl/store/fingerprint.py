"""Whether two configs describe one run."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

#: what may differ between two configs that describe one run: where things are, where it computes, where figures go too
_PLACES = ("choices", "output_dir", "run_name", "data_dir", "tracker")


def fingerprint(content: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits that belong to a run's resolved config: the same run in another place has the same.

    >>> fingerprint({"seed": 0, "output_dir": "a"}) == fingerprint({"seed": 0, "output_dir": "b"})
    True
    >>> fingerprint({"seed": 0}) == fingerprint({"seed": 1})
    False
    """
    kept = {key: dict(part) if isinstance(part, Mapping) else part for key, part in content.items()}
    kept = {key: part for key, part in kept.items() if key not in _PLACES}
    for group, key in (("dataset", "root"), ("trainer", "device")):
        if isinstance(kept.get(group), dict):
            kept[group].pop(key, None)
    return blake2b(json.dumps(kept, sort_keys=True).encode(), digest_size=4).hexdigest()
