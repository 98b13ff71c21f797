"""The standard terms: what ecgray calls a finding, in its own words, and how the findings hang together.

`vocabulary/terms.csv` holds one term a line, lists separated by `;`. A term's parents are the wider findings that hold
whenever it does: a left bundle branch block is a bundle branch block, which is a conduction disturbance. Two findings
that merely come together are never parent and child. Codes are plain identifiers, `<system>:<code>`.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GROUPS = (
    "normal",
    "rhythm",
    "pacing",
    "conduction",
    "hypertrophy",
    "ischemia and infarction",
    "st-t",
    "axis",
    "form",
    "technical",
    "clinical",
)
"""Each term stands in one. `normal` holds the verdicts on a whole tracing, `abnormal ecg` among them (`Term.normal`
tells which call it normal); `form` speaks of P waves, QRS complexes and patterns of the whole tracing; `technical`
terms are remarks on the recording and its reading; `clinical` terms are diagnoses that some archives code beside their
ECGs but no ECG shows."""


@dataclass(frozen=True)
class Term:
    """One finding: its lower-case name, its group, what it implies, and what others call it."""

    name: str
    group: str
    normal: bool = False
    """Whether stating the term says that something is normal: the tracing, its rhythm, its axis, an interval."""
    parents: tuple[str, ...] = ()
    """Names of the terms that hold whenever this one does, one step up."""
    synonyms: tuple[str, ...] = ()
    """Other wordings, lower case."""
    abbreviations: tuple[str, ...] = ()
    """Abbreviations, upper case: only for text that is known to abbreviate (AT is also a word)."""
    codes: tuple[str, ...] = ()
    """<system>:<code>, of the systems scp, snomed, cpsc and aha."""


def _load() -> dict[str, Term]:
    terms = {row["name"]: _term(row) for row in vocabulary("terms.csv")}
    for term in terms.values():
        assert term.group in GROUPS, term
        assert all(parent in terms for parent in term.parents), term
    return terms


def _term(row: Mapping[str, str]) -> Term:
    return Term(
        name=row["name"],
        group=row["group"],
        normal=row["normal"] == "yes",
        parents=listed(row["parents"]),
        synonyms=listed(row["synonyms"]),
        abbreviations=listed(row["abbreviations"]),
        codes=listed(row["codes"]),
    )


VOCABULARY = Path(__file__).parent / "vocabulary"
TERMS_FILE = VOCABULARY / "terms.csv"
"""Where the terms are written down."""


def vocabulary(name: str) -> list[dict[str, str]]:
    """The lines of a vocabulary file."""
    return list(csv.DictReader((VOCABULARY / name).read_text("ascii").splitlines()))


def listed(cell: str) -> tuple[str, ...]:
    """A cell that holds a list.

    >>> listed("scp:NORM;aha:1"), listed("")
    (('scp:NORM', 'aha:1'), ())
    """
    return tuple(entry for entry in cell.split(";") if entry)


TERMS: Mapping[str, Term] = _load()
"""Every term by its name, in the order of the file."""


@functools.cache
def ancestors(name: str) -> frozenset[str]:
    """Every wider finding that a term implies.

    >>> sorted(ancestors("left bundle branch block"))
    ['bundle branch block', 'conduction disturbance']
    """
    found: set[str] = set()
    for parent in TERMS[name].parents:
        found |= {parent} | ancestors(parent)
    assert name not in found, f"{name} is its own ancestor"
    return frozenset(found)


def with_parents(names: Iterable[str]) -> tuple[str, ...]:
    """The terms and all that they imply, sorted; names outside the vocabulary are kept as they are.

    >>> with_parents(["atrial flutter"])
    ('arrhythmia', 'atrial fibrillation or flutter', 'atrial flutter', 'supraventricular arrhythmia')
    """
    given = set(names)
    return tuple(sorted(given.union(*(ancestors(name) for name in given if name in TERMS))))


def narrowest(names: Iterable[str]) -> tuple[str, ...]:
    """The terms that no other of them implies, sorted: what a record says, without what follows from it.

    >>> narrowest(["arrhythmia", "atrial fibrillation or flutter", "atrial flutter"])
    ('atrial flutter',)
    """
    given = set(names)
    return tuple(sorted(given - {wider for name in given if name in TERMS for wider in ancestors(name)}))


@functools.cache
def _by_wording() -> Mapping[str, Term]:
    wordings = {term.name: term for term in TERMS.values()}
    return wordings | {wording: term for term in TERMS.values() for wording in term.synonyms}


def find_term(wording: str) -> Term | None:
    """The term that a text names, by its name or a synonym; None where it names none.

    >>> find_term("Prolonged QT interval").name
    'long qt interval'
    """
    return _by_wording().get(" ".join(wording.lower().split()))
