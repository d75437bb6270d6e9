"""Run docs/examples/notebook.ipynb and keep its outputs without the paths in them; needs nbclient and ipykernel.

python docs/make_notebook.py
"""

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "examples" / "notebook.ipynb"


def executed(folder: Path) -> nbformat.NotebookNode:
    """The notebook after all of its cells were run in a folder, whose path its outputs name no more.

    Args:
        folder: where the run folders go.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            texts = output if "text" in output else output.get("data", {})
            for kind in texts.keys() & {"text", "text/plain"}:
                texts[kind] = texts[kind].replace(f"{os.path.realpath(folder)}{os.sep}", "")
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
    return notebook


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(executed(Path(os.path.realpath(folder))), NOTEBOOK)
