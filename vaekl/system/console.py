"""Rich's console in the house's manner: text is shown as it is, and nothing in it is obeyed."""

from collections.abc import Iterable
from typing import IO, Any, cast

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from vaekl.system.notebook import in_notebook
from vaekl.system.terminal import Output, printable_lines


class Console(rich.console.Console):  # noqa: TID251
    """The terminal, or a file; control characters of texts reach neither.

    Args:
        file: written to instead of the standard output.
        more: what else Rich's console takes.

    Attributes:
        output: where it writes.
    """

    def __init__(self, file: IO[str] | None = None, **more: Any) -> None:
        self.output = Output(file)
        # a notebook gets plain text: Rich would send it HTML, past `output`, or take its FORCE_COLOR for a terminal's
        plainly: dict[str, Any] = {
            "highlight": False,
            "markup": False,
            "emoji": False,
            "soft_wrap": True,
            "force_jupyter": False,
            **({"force_terminal": False} if in_notebook() else {}),
        }
        super().__init__(file=cast(IO[str], self.output), **plainly | more)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Every piece of what is printed, with its control characters as escapes; the console's own stay."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else piece._replace(text=printable_lines(piece.text))
