"""A loss is read in a process of its own, with a time limit: it is somebody's code."""

import json
import os
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import vaekl
from vaekl.system.errors import VaeklError, sentence
from vaekl.verbs.audit.probe.words import Words

_CHILD = """
import sys
sys.path.append(sys.argv.pop(1))
from vaekl.verbs.audit.probe.process import child
child(sys.argv[1:])
"""


def read_in_process(file: str, name: str, words: Words, seconds: float) -> dict[str, Any]:
    """What a process of its own says of a loss: `title`, `text` and `json`.

    Raises:
        VaeklError: it says what is wrong, it takes too long, or ends without a word.
    """
    root = str(Path(vaekl.__file__).resolve().parents[1])
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _CHILD, root, file, name, json.dumps(asdict(words))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise VaeklError(
            f"{file}:{name} was not read within {seconds:g} seconds: give seconds=300, or smaller sizes by shape=."
        ) from None
    finally:
        _end(process)
    try:
        answer_of_child: dict[str, Any] = json.loads(out.decode(errors="replace"))
    except ValueError:
        last = (err.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1][:160]
        raise VaeklError(
            f"{file}:{name} ended its process with code {process.returncode} ({last}): check it."
        ) from None
    if "error" in answer_of_child:
        raise VaeklError(str(answer_of_child["error"]))
    return answer_of_child


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End it and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def child(arguments: list[str]) -> None:
    """Read a loss and write what is said of it to the standard output, to which nothing else writes."""
    answer_stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    file, name, typed = arguments
    try:
        content = answer(file, name, Words.of(json.loads(typed)))
    except Exception as error:  # whatever the user's code does
        traceback.print_exc()
        content = {"error": sentence(error)}
    json.dump(content, answer_stream)
    answer_stream.flush()
    # threads that the user's code started would keep the process alive
    os._exit(0)


def answer(file: str, name: str, words: Words) -> dict[str, Any]:
    """What is said of a loss: `title`, `text` and `json`.

    Raises:
        VaeklError: it cannot be imported or called.
    """
    from vaekl.verbs.audit.probe.load import load

    target = load(file, name)
    # only now, so that what the file itself gets wrong is said before torch is imported
    from vaekl.verbs.audit.probe.entry import read
    from vaekl.verbs.audit.probe.report import report

    try:
        its_report = report(read(target.function, words, target.owner))
    except VaeklError as error:
        raise VaeklError(f"{file}:{target.name}: {error}") from error
    return {"title": f"{file}:{target.name}", "text": its_report.text(), "json": its_report.json()}
