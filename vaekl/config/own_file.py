"""A file of Python that the user named with something in it, as FILE.py:NAME."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from vaekl.system.errors import VaeklError, first_line

_WORD = re.compile(r"(.+\.py):([A-Za-z_][\w.]*)")


def file_and_name(word: str) -> tuple[str, str] | None:
    """The file and the name in it; None where the word is no such pair, or a path that exists.

    >>> file_and_name("mine.py:VAE.loss"), file_and_name("outputs/run")
    (('mine.py', 'VAE.loss'), None)
    """
    match = _WORD.fullmatch(word)
    return None if match is None or Path(word).exists() else (match[1], match[2])


def import_file(file: str, word: str) -> ModuleType:
    """The file as a module, which may import its neighbours.

    Args:
        file: to import.
        word: as typed, for the sentence.

    Raises:
        VaeklError: there is no such file, or it fails.
    """
    if not Path(file).is_file():
        raise VaeklError(f"there is no file {file}: give FILE.py:NAME, or a run folder.")
    folder = str(Path(file).resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        specification = importlib.util.spec_from_file_location(f"own_{Path(file).stem}", file)
        assert specification is not None and specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        sys.modules[specification.name] = module
        specification.loader.exec_module(module)
        return module
    except Exception as error:  # whatever the file does when it is imported
        raise cannot_import(word, error) from error


def cannot_import(word: str, error: Exception) -> VaeklError:
    """The sentence for what the file did."""
    return VaeklError(
        f"{word} cannot be imported ({type(error).__name__}: {first_line(error)}): check it; --debug shows more."
    )
