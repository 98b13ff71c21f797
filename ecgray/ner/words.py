"""The grammar's plain files: frames, sites, rewrites, and words of other worlds."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ecgray.text.terms import TERMS, Term

LEXICON = Path(__file__).parent / "lexicon"
"""Where the grammar's files lie."""


def _file(name: str) -> str:
    return (LEXICON / name).read_text("ascii")


def _lines(name: str) -> list[str]:
    return [line for line in _file(name).splitlines() if line and not line.startswith("#")]


@functools.cache
def frames() -> Mapping[str, tuple[str, ...]]:
    """What stands around a finding, by kind: hedges, negations, causes, joins, rates, remarks."""
    found: dict[str, tuple[str, ...]] = {}
    for row in csv.DictReader(_file("frames.csv").splitlines()):
        found[row["kind"]] = (*found.get(row["kind"], ()), row["text"])
    return found


@dataclass(frozen=True)
class Site:
    """A wall of the heart: as an adjective, an adverb, and the leads that look at it."""

    name: str
    adverb: str
    leads: tuple[str, ...]


@functools.cache
def sites() -> tuple[Site, ...]:
    """Every site, the longer names first."""
    rows = csv.DictReader(_file("sites.csv").splitlines())
    found = [Site(row["site"], row["adverb"], tuple(filter(None, row["leads"].split(";")))) for row in rows]
    return tuple(sorted(found, key=lambda site: -len(site.name)))


@functools.cache
def rewrites() -> tuple[tuple[str, ...], ...]:
    """Sets of phrases that say the same; the first of each is the base form."""
    return tuple(tuple(phrase.strip() for phrase in line.split("|")) for line in _lines("rewrites.txt"))


@functools.cache
def subjects() -> tuple[tuple[str, ...], ...]:
    """Words of other worlds, one subject a tuple."""
    return tuple(tuple(line.split()) for line in _lines("strangers.txt"))


@functools.cache
def common_terms() -> tuple[str, ...]:
    """Terms that most reports speak of."""
    return tuple(_lines("common.txt"))


@functools.cache
def paraphrases() -> Mapping[str, tuple[str, ...]]:
    """Further wordings of terms, as reports put it."""
    rows = [line.split(" | ") for line in _lines("paraphrases.txt")]
    return {name: tuple(each) for name, *each in rows}


@functools.cache
def wordings() -> Mapping[str, tuple[str, ...]]:
    """Every wording of each term that the vocabulary lists, in lower case; of abbreviations not those of ALSO_WORDS."""
    return {name: tuple(dict.fromkeys([name, *term.synonyms, *_abbreviations(term)])) for name, term in TERMS.items()}


ALSO_WORDS = frozenset({"at", "el", "pace", "dig", "cr", "rad"})
"""Abbreviations that are words, or mean something else in a lower-case statement."""


def _abbreviations(term: Term) -> list[str]:
    found = [text.lower() for text in term.abbreviations]
    return [text for text in found if text not in ALSO_WORDS and re.fullmatch(r"[a-z0-9()-]{2,6}", text)]
