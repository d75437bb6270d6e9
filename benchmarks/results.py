"""Where figures are kept: a JSON file with versions and machine, a Markdown table and a plot beside it."""

import datetime
import json
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.environment import REQUIREMENTS
from benchmarks.tables import plain_table, speed_table
from vaekl import __version__
from vaekl.system.cores import allowed_cores

FOLDER = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """The processor, the cores that may be used, and the kernel: nothing that names this machine."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (line := re.search(r"^model name\s*: (.*)$", info.read_text(encoding="utf-8"), re.MULTILINE)):
        model = line[1]
    release = ".".join(platform.release().split(".")[:2])
    return {"cpu": model, "cores": allowed_cores(), "kernel": f"{platform.system()} {release}"}


def versions() -> dict[str, str]:
    """Of everything that is compared; the peers' as they are pinned."""
    installed = {"python": platform.python_version(), "torch": torch.__version__, "vaekl": __version__}
    try:
        installed["torchvision"] = version("torchvision")
    except PackageNotFoundError:
        installed["torchvision"] = "none"
    pins = (line.split("==") for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if "==" in line)
    return installed | dict(pins)


def save(figures: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Write the three files; the name says when and on what. Parts measured earlier that day stay."""
    whole = {"machine": machine(), "versions": versions(), **figures}
    cpu = re.sub(r"[^a-z0-9]+", "-", whole["machine"]["cpu"].lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.date.today()}-{cpu}-{whole['machine']['cores']}cores.json"
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        if all(before[key] == whole[key] for key in ("machine", "versions")):
            whole = before | whole
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(table(whole), encoding="utf-8")
    from benchmarks import plot

    plot.draw(whole, path.with_suffix(".png"))
    return path


def table(figures: dict[str, Any]) -> str:
    """Everything in a file of results as Markdown."""
    on, with_ = figures["machine"], figures["versions"]
    parts = [f"{on['cpu']}, {on['cores']} cores, {on['kernel']}; {', '.join(f'{k} {v}' for k, v in with_.items())}"]
    if figures.get("smoke"):
        parts.append("A smoke run: the figures mean nothing.")
    speed = figures.get("speed", {})
    for workload, rows in speed.items() if isinstance(speed, dict) else ():
        real = "real images" if figures.get("real_data") else "random images"
        parts.append(f"## {workload}: throughput in turns, {real}\n\n{speed_table(rows)}")
        shares = {"share_around": "validation and what hangs on it", "share_pictures": "pictures"}
        for row in rows:
            parts += [f"{row['name']}: {what} took {row[key]:.1%}." for key, what in shares.items() if key in row]
    for name in ("likelihoods", "controls", "profile", "start", "busy", "growth", "large_data", "sweep", "history"):
        if name in figures:
            rows = figures[name]
            parts.append(f"## {name}\n\n{rows if isinstance(rows, str) else plain_table(rows)}")
    return "\n\n".join(parts) + "\n"
