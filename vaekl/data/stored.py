"""What a run's folder says of the values that its data had before any transform."""

from typing import Any

from vaekl.data.spec import DataSpec
from vaekl.system.terminal import printable

#: of a name or a category, and of all of them
_MOST_LETTERS, _MOST_LETTERS_IN_ALL = 4096, 2**22
#: of a category that is a number
_LARGEST = 1e100


def stored_facts(spec: DataSpec, by_total: bool) -> dict[str, Any] | None:
    """What is true of stored values, as values of JSON: with it a run can be read back without its data.

    Args:
        spec: of the values.
        by_total: whether a row's rates are in proportion to its sum.

    Returns:
        `by_total`; `support`; `levels`; `has_missing`; `columns`, a list of `name`, `kind` and the categories, which
        are `words` or `numbers`. None where that is not all, as of a source of somebody's own whose values are
        transformed already, or far too long.
    """
    words = [word for code in spec.codes for word in (code.name, *code.categories)]
    texts = [word for word in words if isinstance(word, str)]
    too_long = max(map(len, texts), default=0) > _MOST_LETTERS or sum(map(len, texts)) > _MOST_LETTERS_IN_ALL
    too_large = any(abs(word) > _LARGEST for word in words if not isinstance(word, str))
    plain = DataSpec(spec.name, spec.shape, spec.levels, spec.support, codes=spec.codes, has_missing=spec.has_missing)
    is_plain = plain == spec and spec.scaling is None and spec.support != "mixed"
    if too_long or too_large or not is_plain or any(printable(text) != text for text in texts):
        return None
    return {
        "by_total": by_total,
        "support": spec.support,
        "levels": spec.levels,
        "has_missing": spec.has_missing,
        "columns": [
            {
                "name": code.name,
                "kind": code.kind,
                "words": [category for category in code.categories if isinstance(category, str)],
                "numbers": [category for category in code.categories if not isinstance(category, str)],
            }
            for code in spec.codes
        ],
    }
