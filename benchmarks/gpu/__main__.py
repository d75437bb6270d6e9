"""python -m benchmarks.gpu [--device cuda|cpu] [--smoke] [--only PART ...] [--out FILE]; `make gpu`.

Less than 8 minutes in all. After each thing that is known the file is written anew, by default
benchmarks/results/DATE-CARD-gpu.json, or build/bench/gpu.json for --smoke. With --device cpu it shows that the script
runs; what a CPU cannot do is left out with a line.
"""

import argparse
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from benchmarks.environment import ROOT, SCRATCH
from benchmarks.gpu import say
from benchmarks.results import FOLDER, versions
from benchmarks.tables import plain_table, speed_table

#: the parts in their order, and the seconds that each may take; it is ended then
PARTS = {"suite": 120, "stacks": 110, "lone": 130, "importance": 30, "sweep": 70}


def main() -> int:
    """Run the parts, and print what they have found; the exit code is 0 if each came to its end and no test failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--smoke", action="store_true", help="as little as shows that every line runs")
    parser.add_argument(
        "--only", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART", help=str(list(PARTS))
    )
    parser.add_argument("--out", type=Path, help="the file")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.stderr.write("there is no GPU here: --device cpu --smoke shows that the script runs.\n")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    results: dict[str, Any] = {"smoke": options.smoke, "device": device_facts(options.device), "versions": versions()}
    file = options.out or place_of(results)
    file.parent.mkdir(parents=True, exist_ok=True)
    ended = True
    for name in options.only:
        begun = time.perf_counter()
        say(f"{name} ...")
        known = results.setdefault(name, {})
        for line in lines_of(name, options.device, options.smoke, PARTS[name] * (5 if options.device == "cpu" else 1)):
            known.update(line)
            file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        ended = ended and not known.keys() & {"ended", "failures"}
        say(f"{name}: {time.perf_counter() - begun:.0f} s{', ' + known['ended'] if 'ended' in known else ''}")
    sys.stdout.write(f"{table(results)}\n\n{file}\n")
    return 0 if ended else 1


def lines_of(name: str, device: str, smoke: bool, seconds: float) -> Any:
    """What a part writes, line by line, and at last why it `ended` too early, if it did."""
    command = [sys.executable, "-m", f"benchmarks.gpu.{name}", device, str(seconds), "smoke" if smoke else "full"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment, process_group=0)
    assert process.stdout is not None

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        for line in process.stdout:
            with suppress(ValueError):
                yield json.loads(line)
        code = process.wait()
        if code:
            yield {"ended": f"after {seconds:.0f} s, its time" if code == -signal.SIGKILL else f"with exit code {code}"}
    finally:
        timer.cancel()
        kill()


def device_facts(device: str) -> dict[str, Any]:
    """The card's name, and what drives it; nothing that names this machine."""
    if device == "cpu":
        return {"name": "cpu"}
    card = torch.cuda.get_device_properties(0)
    facts = {"name": card.name, "bytes": card.total_memory, "multiprocessors": card.multi_processor_count}
    return facts | {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}


def place_of(results: dict[str, Any]) -> Path:
    """Where the file is, by default."""
    if results["smoke"]:
        return SCRATCH / "gpu.json"
    card = re.sub(r"[^a-z0-9]+", "-", results["device"]["name"].lower()).strip("-")
    return FOLDER / f"{datetime.date.today()}-{card}-gpu.json"


def table(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    parts = [f"{results['device']['name']}, torch {results['versions']['torch']}"]
    for name in PARTS:
        for key, value in results.get(name, {}).items():
            rows = value if isinstance(value, list) else [value] if isinstance(value, dict) else None
            shown = str(value) if rows is None else speed_table(rows) if name == "lone" else plain_table(rows)
            parts.append(f"## {name}: {key}\n\n{shown}")
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
