"""A folder that one process has for itself, and files in it that are no files."""

import os
import socket

import pytest

from vaekl.system import files
from vaekl.system.errors import VaeklError
from vaekl.system.files import inner_folder, open_regular, refuse_strange, replacing, sole_user, sole_writer, subfolders


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


@pytest.fixture(params=["file", "nothing", "folder"])
def link(request, tmp_path):
    """A name for a link to the user's own, which must stay as it is."""
    mine = tmp_path / "mine"
    (mine / "folder").mkdir(parents=True)
    (mine / "file").write_text("dear diary")
    (tmp_path / "there").mkdir()

    def make(name):
        (tmp_path / "there" / name).symlink_to(mine / request.param)
        return tmp_path / "there" / name

    yield make
    assert (mine / "file").read_text() == "dear diary"
    assert sorted(path.name for path in mine.rglob("*")) == ["file", "folder"]


class CarelessLock:
    """As of filelock 3.13.1: it goes through a link, and empties what it finds."""

    def __init__(self, path, timeout):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC))


def test_no_lock_is_a_link(link, monkeypatch):
    monkeypatch.setattr(files, "FileLock", CarelessLock)
    sentence = r"^the lock .* could not be written \(it is a link, .*\): take it away; what was saved before is kept\.$"
    with pytest.raises(VaeklError, match=sentence), sole_user(link(".lock").parent):
        pass
    with pytest.raises(VaeklError, match=sentence), sole_writer(link(".eval.lock").with_name("eval.json")):
        pass


def test_no_file_is_written_through_a_link(link):
    link(".a.partial")
    path = link("a")
    with replacing(path, "file") as partial:
        partial.write_text("new")
    assert not path.is_symlink() and path.read_text() == "new"
    with pytest.raises(OSError, match="it is a link"):
        open_regular(link("b"), os.O_WRONLY | os.O_CREAT)


def test_no_folder_is_a_link(link):
    place = link("samples")
    for refused in (lambda: inner_folder(place), lambda: refuse_strange(place.parent)):
        with pytest.raises(VaeklError, match=r"samples is a link, and .*: take it away\.$"):
            refused()


def test_a_link_deep_in_a_folder_is_found_and_its_name_is_harmless(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    refuse_strange(tmp_path)
    (tmp_path / "a" / "b" / "c\x1b[2J").symlink_to("nowhere")
    with pytest.raises(VaeklError, match=r"a/b/c\\x1b\[2J is a link"):
        refuse_strange(tmp_path)


def test_submitit_s_own_links_are_left_alone_and_no_others(tmp_path):
    jobs = tmp_path / ".submitit"
    jobs.mkdir()
    (jobs / "7").mkdir()
    (jobs / "7" / "7_submission.sh").write_text("#!/bin/bash")
    (jobs / ".submission_file_5c31.sh").symlink_to(jobs / "7" / "7_submission.sh")
    refuse_strange(tmp_path)
    (tmp_path / "letter").write_text("mine")
    (jobs / "8_submission.sh").symlink_to(tmp_path / "letter")
    with pytest.raises(VaeklError, match=r"8_submission\.sh is a link"):
        refuse_strange(tmp_path)


def test_a_pipe_in_a_folder_that_others_write_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "multirun.yaml")
    with pytest.raises(
        VaeklError, match=r"a/multirun\.yaml is a pipe or a device, not a regular file: take it away\.$"
    ):
        refuse_strange(tmp_path)


def test_a_link_to_itself_hides_no_folder(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    assert subfolders(tmp_path) == [tmp_path / "run"]


def test_a_file_that_cannot_be_kept_leaves_nothing_behind(tmp_path):
    (tmp_path / "last").write_text("old")
    (tmp_path / "previous").mkdir()
    with pytest.raises(VaeklError), replacing(tmp_path / "last", "file", tmp_path / "previous") as partial:
        partial.write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last", "previous"]
    assert (tmp_path / "last").read_text() == "old"


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREAT])
@pytest.mark.parametrize("follow", [False, True])
def test_what_is_no_file_is_not_opened_nor_waited_for(flags, follow, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    bound = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    bound.bind("socket")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "socket", "/dev/zero"):
        with pytest.raises(OSError, match=r"it is a (folder|pipe or a device), not a regular file"):
            open_regular(path, flags, follow)
    bound.close()


def test_a_link_to_a_file_is_followed_where_that_is_asked_for(tmp_path):
    (tmp_path / "file").write_text("data")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with open(open_regular(tmp_path / "link", follow=True)) as opened:
        assert opened.read() == "data"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing", follow=True)


def test_a_folder_of_more_entries_than_anybody_has_runs_is_refused(tmp_path, monkeypatch):
    for name in "cab":
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr(files, "_MOST_ENTRIES", 4)
    assert [path.name for path in subfolders(tmp_path)] == ["a", "b", "c"]
    assert subfolders(tmp_path / "nothing") == []
    monkeypatch.setattr(files, "_MOST_ENTRIES", 3)
    with pytest.raises(VaeklError, match="more than 3 entries"):
        subfolders(tmp_path)
