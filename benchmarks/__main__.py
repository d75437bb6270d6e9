"""python -m benchmarks [WHAT ...] [--smoke] [--rounds N] [--only mlp|conv]; `table FILE` prints a file of results.

WHAT is any of speed, likelihoods, controls, profile, start, busy, growth, large_data, sweep, history; all of them by
default.
"""

import argparse
import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import results, speed
from benchmarks.environment import ROOT

_ALL = ("speed", "likelihoods", "controls", "profile", "start", "busy", "growth", "large_data", "sweep", "history")


def _speed(asked: argparse.Namespace) -> dict[str, Any]:
    rounds, seconds = asked.rounds or (1 if asked.smoke else 15), 0.5 if asked.smoke else 5.0
    chosen = [asked.only] if asked.only else ["mlp", "conv"]
    return {one: speed.measure(one, rounds, seconds, asked.smoke) for one in chosen}


def _likelihoods(asked: argparse.Namespace) -> list[dict[str, object]]:
    from benchmarks import likelihoods

    return likelihoods.measure(rounds=2 if asked.smoke else likelihoods.ROUNDS)


def _profile(asked: argparse.Namespace) -> Any:
    # in a process of its own, because it sets up this one as vaekl does
    command = [sys.executable, "-m", "benchmarks.profile", *(["--smoke"] if asked.smoke else [])]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout)


def _other(name: str) -> Callable[[argparse.Namespace], Any]:
    def measure(asked: argparse.Namespace) -> Any:
        from importlib import import_module

        return import_module(f"benchmarks.{name}").measure(asked.smoke)

    return measure


def main() -> int:
    """Measure, print and save; the exit code tells a crash of ours, never a timing nor a peer's failure."""
    if sys.argv[1:2] == ["table"]:
        print(results.table(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))))
        return 0
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="WHAT", help=", ".join(_ALL))
    parser.add_argument("--smoke", action="store_true", help="everything once and short, in five minutes")
    parser.add_argument("--rounds", type=int, help="turns of each contender")
    parser.add_argument("--only", choices=["mlp", "conv"])
    asked = parser.parse_args()
    if wrong := set(asked.what) - set(_ALL):
        parser.error(f"there is no {', '.join(sorted(wrong))}: choose from {', '.join(_ALL)}")
    found: dict[str, Any] = {"smoke": asked.smoke, "real_data": speed.real_data()}
    crashed = False
    for name in asked.what or _ALL:
        print(f"{name} ...", file=sys.stderr, flush=True)
        work = {"speed": _speed, "likelihoods": _likelihoods, "profile": _profile}.get(name) or _other(name)
        try:
            found[name] = work(asked)
        except Exception as error:
            traceback.print_exc()
            found[name], crashed = f"failed: {type(error).__name__}", True
    for rows in found["speed"].values() if isinstance(found.get("speed"), dict) else ():
        crashed |= any("failed" in row for row in rows if row["name"].startswith(("limit", "vaekl", "PyTorch")))
    if not asked.smoke:
        print(f"saved as {results.save(found).name} in benchmarks/results", file=sys.stderr)
    print(results.table({"machine": results.machine(), "versions": results.versions(), **found}))
    return int(crashed)


if __name__ == "__main__":
    sys.exit(main())
