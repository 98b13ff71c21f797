"""The review file: what a clinician should look at before the labels are used, and how the answers come back.

A CSV file that spreadsheets open and save: one entity a line, the most frequent first. In `decision` stand names of
terms, separated by `;`, or `none` where the entity stands for no term; an empty cell has no opinion. `note` is free.
"""

from __future__ import annotations

import csv
import difflib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgray.errors import ConfigError
from ecgray.text.mapping import EntityMapping
from ecgray.text.terms import TERMS, Term
from ecgray.text.wording import plain_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NONE = "none"
COLUMNS = ("entity", "how", "count", "proposed", "similarity", "like", "candidates", "decision", "note")
_FORMULA = ("=", "+", "-", "@", "'", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet (or hides that it was escaped): it gets an apostrophe before."""


@dataclass(frozen=True)
class Opinion:
    """What a clinician wrote about an entity."""

    decision: tuple[str, ...] | None = None
    """Names of terms; none where the entity stands for no term; None without a decision."""
    note: str = ""


def decisions(opinions: Mapping[str, Opinion]) -> dict[str, tuple[str, ...]]:
    """The decided entities only, as `map_entities` takes them."""
    return {entity: one.decision for entity, one in opinions.items() if one.decision is not None}


def needs_review(mapping: EntityMapping) -> bool:
    """Whether somebody should look: several terms, similarity alone, none, or somebody looked before.

    >>> needs_review(EntityMapping("afib", ("atrial fibrillation",), "abbreviation"))
    False
    """
    return len(mapping.terms) > 1 or mapping.how in ("nearest", "unmapped", "review")


def write_review(
    mapped: Sequence[EntityMapping], counts: Mapping[str, int], opinions: Mapping[str, Opinion] | None = None
) -> bytes:
    """The file: entities that need a look, and every opinion that was given before.

    `counts` holds how many records name each entity. Opinions about entities that no record names now stay in, at
    count 0: another archive may name them.
    """
    opinions = opinions or {}
    listed = {one.entity: one for one in mapped if needs_review(one) or one.entity in opinions}
    for entity, one in opinions.items():
        listed.setdefault(entity, EntityMapping(entity, one.decision or (), "review"))
    ordered = sorted(listed.values(), key=lambda one: (-counts.get(one.entity, 0), one.entity))
    return csv_bytes(COLUMNS, (_row(one, counts, opinions.get(one.entity, Opinion())) for one in ordered))


def _row(one: EntityMapping, counts: Mapping[str, int], opinion: Opinion) -> tuple[object, ...]:
    decision = "" if opinion.decision is None else ";".join(opinion.decision) or NONE
    candidates = "; ".join(
        f"{near.term} {near.similarity:.2f}{'' if near.passes else ' (guarded)'}" for near in one.candidates
    )
    similarity = "" if one.similarity is None else f"{one.similarity:.4f}"
    proposed = "; ".join(one.terms)
    count = counts.get(one.entity, 0)
    return one.entity, one.how, count, proposed, similarity, one.like, candidates, decision, opinion.note


def read_review(path: Path, *, terms: Mapping[str, Term] = TERMS) -> dict[str, Opinion]:
    """What a clinician wrote, by entity.

    Raises `ConfigError`, naming the line, where the file is none of ours, a decision names no term, or an entity is
    decided twice in different ways.
    """
    opinions: dict[str, Opinion] = {}
    for line, row in _rows(path):
        entity = plain_name(unescaped(row["entity"] or ""))
        if not entity:
            continue
        opinion = Opinion(_decision(path, line, row["decision"] or "", terms), unescaped(row.get("note") or ""))
        before = opinions.get(entity, opinion)
        if before.decision != opinion.decision:
            raise ConfigError(
                f"{path}, line {line}: its entity is decided twice, and differently; keep one line of it."
            )
        if opinion != Opinion():
            opinions[entity] = opinion
    return opinions


def _rows(path: Path) -> Iterable[tuple[int, dict[str, str | None]]]:
    """The lines of the file with their numbers; separated by commas, or by semicolons as some spreadsheets save."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; give the review.csv that a label job wrote, edited.")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; save it as 'CSV UTF-8'.") from None
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    missing = [name for name in ("entity", "decision") if name not in (reader.fieldnames or ())]
    if missing:
        raise ConfigError(f"{path} has no column '{missing[0]}'; give the review.csv that a label job wrote, edited.")
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ConfigError(
            f"{path}, line {reader.line_num}: this is no CSV ({error}); save it as 'CSV UTF-8'."
        ) from None


def _decision(path: Path, line: int, cell: str, terms: Mapping[str, Term]) -> tuple[str, ...] | None:
    names = [name for name in (plain_name(part) for part in unescaped(cell).split(";")) if name]
    if not names:
        return None
    if names == [NONE]:
        return ()
    for name in names:
        if name not in terms:
            near = difflib.get_close_matches(name, [*terms, NONE], n=3, cutoff=0.5)
            hint = f"perhaps {' or '.join(repr(one) for one in near)}" if near else "docs/labels.md says where they are"
            raise ConfigError(f"{path}, line {line}: decision '{name[:60]}' is no term's name; {hint}.")
    return tuple(dict.fromkeys(names))


def escaped(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula.

    >>> escaped("=1+1"), escaped("av block"), escaped(-3)
    ("'=1+1", 'av block', -3)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def unescaped(cell: str) -> str:
    """What `escaped` was given.

    >>> unescaped("'=1+1"), unescaped("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """CSV as spreadsheets expect it: UTF-8 with its mark, lines ending in CR LF, cells quoted where need be."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([escaped(cell) for cell in row] for row in rows)
    return file.getvalue().encode("utf-8-sig")
