"""A loss that is typed as Python: an expression, or a function."""

import ast
import builtins
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from vaekl.system.errors import VaeklError
from vaekl.verbs.audit.probe.words import audit_file

_HEAD = """\
import math
import numpy as np
import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import nn
from torch.distributions import *
from torch.nn import functional
"""
#: names that the head gives
_THERE = {"math", "np", "torch", "D", "F", "nn", "functional", "self", *dir(builtins)}
_DISTRIBUTIONS = {"Normal", "Bernoulli", "Laplace", "Poisson", "NegativeBinomial", "kl_divergence", "Independent"}


def audit_pasted(text: str, words: Sequence[str]) -> None:
    """Print what it is: the names in an expression that it does not define are its arguments.

    Raises:
        VaeklError: it is no Python, or cannot be called.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise VaeklError(f"{text[:60]!r} is no Python ({error.msg}): put the loss into a file, FILE.py:NAME.") from None
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if functions:
        name, source = functions[-1], text
    elif len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr | ast.Assign):
        value = tree.body[0].value
        name, source = "pasted", f"def pasted({', '.join(_names(value))}):\n    return {ast.unparse(value)}\n"
    else:
        raise VaeklError("what was pasted is neither an expression nor a function: put it into a file, FILE.py:NAME.")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "pasted.py"
        file.write_text(_HEAD + source, encoding="utf-8")
        audit_file(str(file), name, words, title=name)


def _names(value: ast.expr) -> list[str]:
    """Names in an expression that are nobody's, in their order."""
    loads = (node for node in ast.walk(value) if isinstance(node, ast.Name))
    ordered = sorted(loads, key=lambda node: (node.lineno, node.col_offset))
    return list(dict.fromkeys(node.id for node in ordered if node.id not in _THERE | _DISTRIBUTIONS))
