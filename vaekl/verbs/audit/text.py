"""How cards print: numbers, and entries with a margin."""

_INDENT = 15


def number(value: float) -> str:
    """At most five digits, with thousands in groups.

    >>> number(-13929.4), number(0.0123456)
    ('−13,929', '0.012346')
    """
    text = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.5g}"
    return text.replace("-", "−", 1) if value < 0 else text


def one(example: str) -> str:
    """An example with its article.

    >>> one("image"), one("vector")
    ('an image', 'a vector')
    """
    return f"{'an' if example[0] in 'aeiou' else 'a'} {example}"


def lines(content: dict[str, str]) -> str:
    """One entry a line; further lines of an entry stand below its first, empty entries are left out."""
    margin = "\n" + " " * (_INDENT + 2)
    return "\n".join(f"  {key:<{_INDENT}}{text.replace(chr(10), margin)}" for key, text in content.items() if text)
