"""A folder that one process has for itself."""

import pytest

from vaekl.system.errors import VaeklError
from vaekl.system.files import sole_user


def test_a_folder_has_one_user_at_a_time(tmp_path):
    for _ in range(2):
        refused = pytest.raises(VaeklError, match=r"^another process is training in .*: wait for it, or stop it.*\.$")
        with sole_user(tmp_path), refused:
            sole_user(tmp_path).__enter__()


def test_a_folder_is_let_go_of_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), sole_user(tmp_path):
        raise ZeroDivisionError
    with sole_user(tmp_path):
        pass


def test_a_lock_that_a_killed_process_left_holds_nobody_up(tmp_path):
    (tmp_path / ".lock").touch()
    with sole_user(tmp_path):
        pass


def test_a_folder_that_is_not_there_gets_a_sentence(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(VaeklError, match=r"^the lock .* could not be written .*\.$"), sole_user(tmp_path / "file"):
        pass
