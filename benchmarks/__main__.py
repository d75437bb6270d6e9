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


def _speed(options: argparse.Namespace) -> dict[str, Any]:
    rounds, seconds = options.rounds or (1 if options.smoke else 15), 0.5 if options.smoke else 5.0
    chosen = [options.only] if options.only else ["mlp", "conv"]
    return {one: speed.measure(one, rounds, seconds, options.smoke) for one in chosen}


def _likelihoods(options: argparse.Namespace) -> list[dict[str, object]]:
    from benchmarks import likelihoods

    return likelihoods.measure(rounds=2 if options.smoke else likelihoods.ROUNDS)


def _profile(options: argparse.Namespace) -> Any:
    # in a process of its own, because it sets up this one as vaekl does
    command = [sys.executable, "-m", "benchmarks.profile", *(["--smoke"] if options.smoke else [])]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout)


def _other(name: str) -> Callable[[argparse.Namespace], Any]:
    def measure(options: argparse.Namespace) -> Any:
        from importlib import import_module

        return import_module(f"benchmarks.{name}").measure(options.smoke)

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
    options = parser.parse_args()
    if wrong := set(options.what) - set(_ALL):
        parser.error(f"there is no {', '.join(sorted(wrong))}: choose from {', '.join(_ALL)}")
    figures: dict[str, Any] = {"smoke": options.smoke, "real_data": speed.real_data()}
    crashed = False
    for name in options.what or _ALL:
        print(f"{name} ...", file=sys.stderr, flush=True)
        work = {"speed": _speed, "likelihoods": _likelihoods, "profile": _profile}.get(name) or _other(name)
        try:
            figures[name] = work(options)
        except Exception as error:
            traceback.print_exc()
            figures[name], crashed = f"failed: {type(error).__name__}", True
    for rows in figures["speed"].values() if isinstance(figures.get("speed"), dict) else ():
        crashed |= any("failed" in row for row in rows if row["name"].startswith(("limit", "vaekl", "PyTorch")))
    if not options.smoke:
        print(f"saved as {results.save(figures).name} in benchmarks/results", file=sys.stderr)
    print(results.table({"machine": results.machine(), "versions": results.versions(), **figures}))
    return int(crashed)


if __name__ == "__main__":
    sys.exit(main())
