"""vaekl's docstrings as the reference pages read them: doctests are code, and `#:` comments document attributes."""

from typing import Any

from griffe import Attribute, Docstring, Extension, Object


class Docstrings(Extension):
    """Changes docstrings before they are laid out."""

    def on_instance(self, *, obj: Object, **kwargs: Any) -> None:
        """Fence doctests, each a paragraph of its own."""
        if obj.docstring is not None:
            parts = obj.docstring.value.split("\n\n")
            parts = [f"```pycon\n{part}\n```" if part.startswith(">>> ") else part for part in parts]
            obj.docstring.value = "\n\n".join(parts)

    def on_attribute_instance(self, *, attr: Attribute, **kwargs: Any) -> None:
        """Take the comments that begin with `#:` and stand above an attribute for its docstring."""
        if attr.docstring is not None or attr.lineno is None:
            return
        lines = [line.strip() for line in attr.lines_collection[attr.filepath][: attr.lineno - 1]]
        first = len(lines)
        while first and lines[first - 1].startswith("#: "):
            first -= 1
        if comments := lines[first:]:
            attr.docstring = Docstring(" ".join(line[3:] for line in comments), lineno=first + 1, parent=attr)
