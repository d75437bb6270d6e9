"""What the JSON files of a sweep hold, as types; `docs/run_folder.md` says what each key means, and its unit."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vaekl.store.fields import Count, LongText, NotNegative, Record, Schema, Text

#: how many runs a sweep may have, whose folders a report must be able to read, and how many of them may share a step
MOST_RUNS, MOST_STACKED = 20_000, 4096


class Entry(Record):
    """One run in `manifest.json`."""

    status: Literal["running", "finished", "stopped", "failed", "diverged", "killed"]
    reason: Text | None = None
    overrides: list[LongText] = msgspec.field(default_factory=list)
    session: Text | None = None
    started: NotNegative | None = None
    ended: NotNegative | None = None
    host: Text | None = None
    process: Count | None = None
    slurm_job: Text | None = None
    stack: Count | None = None


class Manifest(Record, kw_only=True):
    """`manifest.json`."""

    schema: Schema
    runs: dict[Text, Entry]


class Search(Record, kw_only=True):
    """`search.json`."""

    schema: Schema
    drawn_at_once: Annotated[int, Meta(ge=1, le=2**20)]


class Stacks(Record, kw_only=True):
    """`stacks.json`."""

    schema: Schema
    size: Annotated[int, Meta(ge=1, le=MOST_STACKED)]
