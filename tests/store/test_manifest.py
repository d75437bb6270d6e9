"""A sweep's manifest: written by many, of runs that may be gone, or come from a stranger."""

import json
import subprocess
import sys

import pytest

from vaekl.store import manifest
from vaekl.system.errors import VaeklError


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "..", "", "a/b"])
def test_a_manifest_names_only_what_is_in_its_folder(name, tmp_path):
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    (sweep / manifest.MANIFEST).write_text(
        json.dumps({"schema": 1, "runs": {name: {"status": "running", "session": "s"}}})
    )
    with pytest.raises(VaeklError, match="no folder in its own"):
        manifest.read(sweep)
    with pytest.raises(VaeklError, match="no folder in its own"):
        manifest.settle(sweep, "s")
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]


def test_a_long_reason_of_control_characters_is_kept_short_enough_to_be_read_again(tmp_path):
    manifest.note(tmp_path / "run", status="failed", reason="\x1b" * 4000)
    assert manifest.read(tmp_path)["run"].reason.startswith("\\x1b")


def test_many_processes_write_one_manifest(tmp_path):
    code = "import sys; from pathlib import Path; from vaekl.store import manifest\n"
    code += "for i in range(20): manifest.note(Path(sys.argv[1]) / f'{sys.argv[2]}-{i}', status='finished')"
    workers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)]) for number in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    assert len(manifest.read(tmp_path)) == 80


def test_a_run_whose_process_is_gone_was_killed(tmp_path):
    with manifest.recorded(tmp_path / "run", ["seed=0"], "now"):
        assert manifest.read(tmp_path)["run"].status == "running"
        gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
        manifest.note(tmp_path / "run", process=int(gone.stdout))
        assert manifest.read(tmp_path)["run"].status == "killed"
    assert manifest.read(tmp_path)["run"].status == "finished"
    (tmp_path / "manifest.json").write_text('{"runs": 3}')
    with pytest.raises(VaeklError, match=r"manifest\.json has no schema number"):
        manifest.read(tmp_path)
