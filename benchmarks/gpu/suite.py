"""The tests that are marked `gpu`: passed, skipped and failed, with what pytest says of the failed ones."""

import importlib.util
import os
import re
import subprocess
import sys

from benchmarks.environment import ROOT
from benchmarks.gpu import part, write

_RESULT = re.compile(r"^(tests/\S+::.*?) (PASSED|SKIPPED|FAILED|ERROR)\b")


def main(device: str, seconds: float, smoke: bool) -> None:
    """Run them on the device."""
    if importlib.util.find_spec("pytest") is None:
        write("skipped", "pytest is not installed here")
        return
    marked = [str(file) for file in sorted(ROOT.glob("tests/**/*.py")) if "mark.gpu" in file.read_text("utf-8")]
    environment = os.environ | {"VAEKL_TEST_DEVICE": device, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "pytest", "-v", "-m", "gpu", "--tb=line", "-p", "no:cacheprovider", *marked]
    counts = dict.fromkeys(("PASSED", "SKIPPED", "FAILED", "ERROR"), 0)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
    assert process.stdout is not None
    failed = []
    for line in process.stdout:
        sys.stderr.write(line)
        if result := _RESULT.match(line):
            counts[result[2]] += 1
            write("tests", {kind.lower(): count for kind, count in counts.items()})
        elif line.startswith(("FAILED ", "ERROR ")):
            failed.append(line.strip()[:400])
            write("failures", failed)
    if (code := process.wait()) > 1:  # 1 is of tests that fail
        write("ended", f"with pytest's exit code {code}")


if __name__ == "__main__":
    part(main)
