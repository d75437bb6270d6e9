"""A whole sweep from the command to the last results.json: as one stack, and one run after the other."""

import os
import shutil
import subprocess
import sys
import time

from benchmarks.environment import SCRATCH
from benchmarks.gpu import part, say, write

_WAYS = {"one stack": "sweep.stack={runs}", "one after another": "hydra/launcher=basic"}


def main(device: str, seconds: float, smoke: bool) -> None:
    """Both, the stack first."""
    runs, steps = (2, 20) if smoke else (16, 300)
    rows: list[dict[str, object]] = []
    for way, word in _WAYS.items():
        folder = SCRATCH / "gpu" / "sweep"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        seeds = ",".join(map(str, range(runs)))
        words = [f"seed={seeds}", f"trainer.steps={steps}", f"trainer.device={device}", f"output_dir={folder}"]
        command = [sys.executable, "-m", "vaekl", "train", "-m", *words, word.format(runs=runs)]
        begun = time.perf_counter()
        ended = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
        taken = time.perf_counter() - begun
        finished = len(list(folder.glob("*/*/results.json")))
        plan = next((line for line in ended.stdout.splitlines() if line.startswith(f"{runs} runs")), "")
        rows.append({"way": way, "runs": runs, "finished": finished, "s": taken, "plan": plan})
        say(f"sweep: {way}: {finished} runs in {taken:.0f} s")
        write("whole sweeps", rows)
        if finished != runs:
            write(
                "ended", f"{way}: {ended.stderr.strip().splitlines()[-1][:300] if ended.stderr.strip() else 'no word'}"
            )


if __name__ == "__main__":
    part(main)
