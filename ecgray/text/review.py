"""The review file: what a clinician should look at before the labels are used, and how the answers come back.

A CSV file that spreadsheets open and save: one entity a line, the most frequent first. In `decision` stand names of
terms, separated by `;`, or `none` where the entity stands for no term; an empty cell has no opinion. `note` is free.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgray.errors import ConfigError
from ecgray.text.mapping import EntityMapping
from ecgray.text.spreadsheet import NONE, csv_bytes, csv_rows, unescaped
from ecgray.text.terms import TERMS, Term
from ecgray.text.wording import plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = ("entity", "how", "count", "proposed", "similarity", "like", "candidates", "decision", "note")
_WANTED = "the review.csv that a label job wrote, edited"


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
    for line, row in csv_rows(path, ("entity", "decision"), wanted=_WANTED):
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
