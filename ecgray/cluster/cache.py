"""What language models answered before: a Parquet folder that several runs may share.

A file is written whole or not at all and never changed, so that two jobs may fill one cache at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ecgray.errors import ConfigError
from ecgray.parquet import write_table
from ecgray.tables import CACHE


@dataclass(frozen=True)
class Known:
    """What a cache holds of some texts: answers, and the last code of those that only failed."""

    answers: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """What became of one text."""

    text: str
    answer: str | None
    code: str | None
    tokens_in: int = 0
    tokens_out: int = 0


def look_up(cache: Path, texts: Collection[str], prompt_hash: str, model_hash: str) -> Known:
    """What the cache holds of these texts, for this prompt and model; an answer counts more than a failure."""
    known = Known()
    for table in _tables(cache, prompt_hash, model_hash):
        for text, answer, code in zip(*(table[name].to_pylist() for name in ("text", "answer", "code")), strict=True):
            if text not in texts:
                continue
            if code is None and answer is not None:
                known.answers[text] = answer
            else:
                known.codes[text] = code or "engine_failed"
    for text in known.answers:
        known.codes.pop(text, None)
    return known


def _tables(cache: Path, prompt_hash: str, model_hash: str) -> Iterator[pa.Table]:
    """The rows of this prompt and model, the newest file last."""
    files = [path for path in cache.glob("*.parquet") if not path.name.startswith(".")]
    for path in sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.name)):
        try:
            table = pq.read_table(path, schema=CACHE)
        except (pa.ArrowException, OSError) as error:
            raise ConfigError(
                f"{path} is no file of a cache of ecgray ({type(error).__name__}); delete it, or give another --cache."
            ) from None
        mine = pc.and_(pc.equal(table["prompt_hash"], prompt_hash), pc.equal(table["model_hash"], model_hash))
        yield table.filter(mine)


def remember(rows: Sequence[Row], path: Path, prompt_hash: str, model_hash: str) -> None:
    """Write one file of the cache; `rows` may be empty."""
    columns = {
        "text": [row.text for row in rows],
        "prompt_hash": [prompt_hash] * len(rows),
        "model_hash": [model_hash] * len(rows),
        "answer": [row.answer for row in rows],
        "code": [row.code for row in rows],
        "tokens_in": [row.tokens_in for row in rows],
        "tokens_out": [row.tokens_out for row in rows],
    }
    write_table(pa.table(columns, schema=CACHE), path, repetitive=True)


def part_name(cache: Path, texts: Sequence[str], prompt_hash: str, model_hash: str) -> str:
    """A file name for these texts: the same until it is committed, another where its failures are asked again."""
    digest = hashlib.sha256("\0".join([prompt_hash, model_hash, *texts]).encode()).hexdigest()[:16]
    number = 0
    while (cache / f"{digest}-{number}.parquet").exists():
        number += 1
    return f"{digest}-{number}"
