"""What `mkdocs.yml` calls: the pages keep their places in the repository, so that links are the same as on GitHub."""

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from vaekl.config.groups import groups, keys_of, keys_of_file, options
from vaekl.verbs import audit
from vaekl.verbs import help as texts

ROOT = Path(__file__).parents[2]
#: the page of a public name, by the beginning of its module's name; the first that fits
_PAGES = {
    ".model.likelihoods": ("likelihoods", "Likelihoods"),
    ".model.weighting": ("weightings", "Weightings"),
    ".model.control": ("controls", "Controls"),
    ".model.objective": ("objectives", "Objectives"),
    ".model": ("networks", "Model and networks"),
    ".data": ("data", "Data"),
    ".training": ("training", "Training"),
    ".": ("load", "Trained runs"),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put docs/ where it is in the repository, beside the README, and add what is made from the sources."""
    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    paths = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".png", ".css", ".js")]
    paths += [*ROOT.glob("[A-Z]*.md"), *ROOT.glob("docs/examples/*.*"), *ROOT.glob("docs/examples/*.ipynb")]
    paths += [path for path in ROOT.glob("benchmarks/results/*") if path.suffix in (".png", ".json")]
    for path in sorted(paths):
        files.append(File(path.relative_to(ROOT).as_posix(), str(ROOT), config.site_dir, use_directory_urls=False))
    pages = {**_public_names(), "command": _command(), "options": _options()}
    for name, text in pages.items():
        files.append(File.generated(config, f"docs/reference/{name}.md", content=text))
    return files


def _public_names() -> dict[str, str]:
    """A page for each kind of public name, in the order of `vaekl/__init__.pyi`."""
    pages = {page: f"# {title}\n" for page, title in _PAGES.values()}
    package = "vaekl.distributions"
    for module, name in _imports(ROOT / "vaekl" / "__init__.pyi"):
        if f"vaekl.{name}" == package:  # a page of its own
            continue
        page, title = next(page for start, page in _PAGES.items() if module.startswith(start))
        heading, rest = pages[page].split("\n", 1)
        block = _block("vaekl", f"vaekl{module}", name)
        # what all of them have in common comes first
        pages[page] = heading + "\n" + (block + rest if title == f"{name}s" else rest + block)
    options = "    options: {members: false, show_root_heading: false, show_root_toc_entry: false}\n"
    blocks = [_block(package, package, name) for _, name in _imports(ROOT / "vaekl/distributions/__init__.py")]
    pages["distributions"] = "".join([f"# Distributions\n\n::: {package}\n", options, *blocks])
    return pages


def _imports(file: Path) -> list[tuple[str, str]]:
    """Each name that a file imports, after its module's name, with a dot before that of a relative one."""
    nodes = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    return [("." * node.level + (node.module or ""), alias.name) for node in nodes for alias in node.names]


def _block(public: str, module: str, name: str) -> str:
    """What mkdocstrings lays out; a function that is called as its file is that file's, and not the file."""
    own_file = not module.endswith(".") and ROOT.joinpath(*module.split("."), f"{name}.py").exists()
    return f"\n::: {module}.{name}.{name}\n" if own_file else f"\n::: {public}.{name}\n"


def _command() -> str:
    """What `--help` prints, of vaekl and of its verbs."""
    verbs = {"vaekl": texts.PROGRAM, "vaekl train": texts.of_train([], []), "vaekl suggest": texts.of_suggest()}
    verbs["vaekl resume"] = texts.RESUME
    own_keys = ("eval", "sample", "encode", "score", "export", "diagnose", "report")
    verbs |= {f"vaekl {verb}": texts.of_verb(verb) for verb in own_keys}
    verbs["vaekl audit"] = audit.HELP
    blocks = [f"## `{name} --help`\n\n```text\n{text.rstrip()}\n```\n" for name, text in verbs.items()]
    return "\n".join(["# Command line\n", *blocks])


def _options() -> str:
    """Every config group, option and key, with the comments of `conf/`."""
    parts = ["# Options and keys\n", "## Keys of every run\n", _table(keys_of_file("train"))]
    for group in groups():
        parts.append(f"## {group}\n")
        for option, meaning in options(group).items():
            parts += [f"### `{group}={option}`\n", f"{_cell(meaning)}\n", _table(keys_of(group, option))]
    return "\n".join(parts)


def _table(keys: list[tuple[str, str, str]]) -> str:
    rows = [f"| `{key}` | `{_cell(value)}` | {_cell(meaning)} |\n" for key, value, meaning in keys]
    return "".join(["| key | default | meaning |\n", "|---|---|---|\n", *rows]) if rows else ""


def _cell(text: str) -> str:
    """Text in a table, where < and | would be taken for signs of its own."""
    return text.replace("|", "\\|").replace("<", "&lt;")
