"""What all pages of vaekl have in common: a file that needs no other, with no style and no script but its own."""

import base64
import hashlib
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from vaekl import __version__
from vaekl.system.terminal import printable

_HERE = "vaekl.verbs.report"


def asset(name: str, package: str = _HERE) -> str:
    """A file of a package, as text."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def page(template: str, style: str, script: str = "", **values: Any) -> str:
    """A page, in which every text is escaped.

    Args:
        template: what stands in the blocks of `frame.html`.
        style: its style sheet, a text of vaekl's own.
        script: of the same kind; empty for none.
        values: what the template names; `title` and `lead` among them.
    """
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({"frame.html": asset("frame.html"), "page.html": template}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=_shown,
    )
    return environment.get_template("page.html").render(
        version=__version__,
        # only files of this package are not escaped
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        **values,
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _shown(value: Any) -> Any:
    """What a place in the page gets: texts without control characters, which are then escaped; markup as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
