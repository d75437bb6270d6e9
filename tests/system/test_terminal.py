"""What is printed is shown and not obeyed, in any encoding, and an output that is gone is said in one sentence."""

import errno
import io
import shlex
import sys
import unicodedata
from contextlib import redirect_stdout

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table
from streams import Full

from vaekl import cli
from vaekl.system.console import Console
from vaekl.system.terminal import LostOutputError, Output, command, prepare, printable, printable_lines, show

CONTROLS = "".join(
    c for c in map(chr, range(0x110000)) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
) + "".join(c for c in map(chr, range(0x110000)) if unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF"))
CONTROLS += "\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


def test_every_control_character_is_an_escape():
    shown = printable(CONTROLS)
    assert shown.isascii() and shown.isprintable()
    assert len(shown) > 2 * len(CONTROLS)
    assert printable("φ = β, −½ × 'a' \\ é 日本 👍") == "φ = β, −½ × 'a' \\ é 日本 👍"
    assert printable_lines("a\n\x1bb\n") == "a\n\\x1bb\n"


def test_nothing_that_is_printed_is_obeyed():
    """As a string, in a table, as a title, in a progress bar on a terminal; markup is no markup."""
    out, evil = io.StringIO(), CONTROLS.replace("\n", "") + "[red]:smile:[/x]"
    console = Console(out)
    console.print(evil)
    table = Table(title=evil)
    table.add_column(evil)
    table.add_row(evil)
    console.print(table)
    with redirect_stdout(out):
        show(evil)
    text = out.getvalue()
    assert printable_lines(text) == text and "[red]:smile:[/x]" in text and "\\x1b" in text
    bars = io.StringIO()
    terminal = Console(bars, force_terminal=True, color_system=None, width=5000)
    with Progress(TextColumn("{task.description}", markup=False), console=terminal) as progress:
        progress.add_task("\x1b]0;pwn\x07\x9b31m[/x]")
    assert "\\x1b]0;pwn" in bars.getvalue() and "\x1b]0" not in bars.getvalue() and "\x9b" not in bars.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_an_encoding_without_greek_letters_gets_their_names(encoding, monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    prepare()
    show("−E/φ ± β_KL · Σ½ → “x” 日")
    written = raw.getvalue().decode(encoding).strip()
    if encoding == "ascii":
        assert written == '-E/phi +/- beta_KL * Sigma1/2 -> "x" \\u65e5'
    elif encoding != "utf-8":
        assert written.startswith("-E/phi ± beta_KL · Sigma½ -> ")
    else:
        assert written == "−E/φ ± β_KL · Σ½ → “x” 日"


def test_every_verb_prints_in_ascii(monkeypatch):
    for words in ([], ["audit", "--help"], ["audit", "reconstruction=bce", "shape=[1,8,8]", "beta=4", "latents=2"]):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
        assert cli.main(words) == 0
        assert raw.getvalue()


@pytest.mark.parametrize("word", ["x; rm -rf ~", "a b", "$(id)", "`id`", "'", "\n", "-x", "é"])
def test_a_word_of_a_command_stays_one_word(word):
    assert shlex.split(command("vaekl", "resume", word)) == ["vaekl", "resume", printable(word)]


def test_an_output_that_is_gone():
    full = OSError(errno.ENOSPC, "No space left on device")
    with redirect_stdout(Full(full)), pytest.raises(LostOutputError) as caught:
        show("x")
    assert str(caught.value) == (
        "standard output cannot be written (No space left on device): free some space, or send it elsewhere."
    )
    file, calls = Full(full, 1), []
    output = Output(file)
    with output.noting_loss(lambda: calls.append(1)):
        for text in "abc":
            output.write(text)
            output.flush()
    output.write("d")
    assert calls == [1] and file.getvalue() == "a"
    assert str(output.lost.followed_by("so it goes.")).startswith("the log cannot be written (No space left")
    assert str(output.lost.followed_by("so it goes.")).endswith("elsewhere; so it goes.")


@pytest.mark.parametrize(
    "verb", ["--help", "train --help", "train --cfg job", "audit reconstruction=mse shape=[1,8,8]"]
)
def test_a_verb_whose_output_is_gone(verb, capsys):
    with redirect_stdout(Full(OSError(errno.ENOSPC, "No space left on device"))):
        assert cli.main(verb.split()) == 1
    assert capsys.readouterr().err.startswith("vaekl: standard output cannot be written (No space left on device)")
    with redirect_stdout(Full(BrokenPipeError(errno.EPIPE, "Broken pipe"))):
        assert cli.main(verb.split()) == 1
    assert capsys.readouterr().err == ""
