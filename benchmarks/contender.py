"""The coordinator's side of a contender: a process that is started once and trains in turns."""

import json
import queue
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

from benchmarks.environment import ROOT

START, TURN = 600, 600


class Failed(Exception):  # noqa: N818  (it is a state of a contender, and ends nothing)
    """The reason why a contender takes no more turns."""


class Contender:
    """One row of the table.

    Args:
        name: in the table.
        command: what starts it.
        scratch: a folder of its own; what it prints is kept there.
    """

    def __init__(self, name: str, command: list[str], scratch: Path) -> None:
        self.name, self.command, self.scratch = name, command, scratch
        self.failed: str | None = None
        self.facts: dict[str, Any] = {}
        self._lines: queue.Queue[str] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it is set up."""
        self.scratch.mkdir(parents=True)
        with (self.scratch / "stderr.txt").open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT
            )
        threading.Thread(target=self._read, daemon=True).start()
        self.facts = self._answer(START)

    def turn(self, seconds: float) -> dict[str, Any]:
        """Let it train for about so long."""
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(f"go {seconds}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Failed(self._reason()) from error
        return self._answer(TURN + seconds)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _answer(self, limit: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=limit)
        except queue.Empty:
            raise Failed(f"no answer in {limit:.0f} s") from None
        if not line:
            raise Failed(self._reason())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _reason(self) -> str:
        lines = (self.scratch / "stderr.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        # a message may say where this machine keeps things, and a table is published
        word = re.match(r"[\w.]+", lines[-1]) if lines else None
        return f"{word[0]}, see build/bench" if word else "it ended without a word"
