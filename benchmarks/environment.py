"""The peers' environment: a virtual environment that borrows the torch of the one that runs this."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCRATCH = ROOT / "build" / "bench"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"


def peers() -> tuple[Path, str | None]:
    """The environment's Python, made at first need, and why some peer could not be installed, or None."""
    folder = SCRATCH / "env"
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python, None
    venv.EnvBuilder(with_pip=True, clear=True).create(folder)
    library = f"python{sys.version_info.major}.{sys.version_info.minor}"
    borrowed = folder / "lib" / library / "site-packages" / "borrowed.pth"
    borrowed.write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    failed = None
    # one at a time: one that cannot be had shall not take the others with it
    for line in (line for line in wanted.splitlines() if line and not line.startswith("#")):
        done = subprocess.run([python, "-m", "pip", "install", "-q", line], capture_output=True, text=True, check=False)
        if done.returncode:
            failed = f"{line} could not be installed"
            print(f"{failed}: {done.stderr}", file=sys.stderr)
    if failed is None:
        stamp.write_text(wanted, encoding="utf-8")
    return python, failed
