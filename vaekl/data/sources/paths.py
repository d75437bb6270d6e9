"""Where the user's own files are, checked before anything is read."""

from pathlib import Path

from vaekl.system.errors import VaeklError
from vaekl.system.places import locale_cure

#: characters of a path that cannot be read
_SHOWN = 100


def existing_path(path: object, dataset: str, setting: str) -> Path:
    """The file or folder that `dataset.path` names.

    Args:
        path: the value of that key.
        dataset: the option that reads it, for the sentence.
        setting: how the key is written, for the sentence: path=FILE.npz.

    Raises:
        VaeklError: the path is missing, does not exist, is empty, or is neither a file nor a folder.
    """
    if path is not None and not isinstance(path, str):
        raise VaeklError(f"dataset.path={path} is no path: give one, dataset.{setting}.")
    if not path:
        raise VaeklError(f"dataset={dataset} does not say where the data are; add dataset.{setting}.")
    place = Path(path).expanduser()
    cure = locale_cure(str(place)) or f"set dataset.{setting} to where the data are"
    try:
        is_there = place.exists()
    except OSError as error:  # too long a name, or a folder that may not be entered
        shown = path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…"
        raise VaeklError(f"dataset.path={shown} cannot be read ({error.strerror}); {cure}.") from error
    if not is_there:
        raise VaeklError(f"{place.absolute()} does not exist; {cure}.")
    if not place.is_file() and not place.is_dir():  # to read a pipe or a device may never end
        raise VaeklError(f"{place.absolute()} is neither a file nor a folder; set dataset.{setting} to one.")
    if place.is_file() and not place.stat().st_size:
        raise VaeklError(f"{place.absolute()} is empty; {cure}.")
    return place
