"""A sweep's manifest, which may come from a stranger."""

import json

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
