"""How `real_text.py` counts: gold, answers, what is right, and the intervals.

An answered entity is right

- strict: if it is a gold term with the gold's certainty,
- term: if it is a gold term,
- lenient: if it is a gold term, or an ancestor or a descendant of one.

Phrases without a gold term hold nothing to find, so any entity there is false.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgray.text.entities import Certainty
from ecgray.text.terms import TERMS, ancestors

HERE = Path(__file__).parent / "real_text"
LABELER = Path("tables", "ecgfm_mimic_iv_ecg", "labeler")
STATES = ("answered", "partly", "refused", "nothing", "failed")
"""Entities and nothing unknown; entities and something unknown; unknown and no entity; neither; no valid answer."""
_DRAWS = 2000
Named = tuple[str, Certainty]
Right = Callable[[Named, frozenset[Named]], bool]


@dataclass(frozen=True)
class Phrase:
    """A real phrase and what stands in it."""

    text: str
    gold: frozenset[Named]
    no_term: bool
    """Whether it names a finding that no term covers."""

    @property
    def half(self) -> str:
        digest = hashlib.sha256(self.text.encode()).hexdigest()
        return "development" if int(digest[0], 16) < 8 else "held_out"

    @property
    def kind(self) -> str:
        return "findings" if self.gold else "no_term" if self.no_term else "nothing_to_find"

    @property
    def is_technical(self) -> bool:
        return bool(self.gold) and all(TERMS[term].group == "technical" for term, _ in self.gold)


@dataclass(frozen=True)
class Answer:
    """What was answered: terms, each with its certainty; an entity that no term stands for keeps its own name."""

    state: str
    named: frozenset[Named] = frozenset()


def stated(term: str) -> Certainty:
    """The certainty of a term that is stated without a hedge."""
    return "Normal" if TERMS[term].normal else "Uncertain" if term.startswith("borderline") else "Abnormal"


def read_phrases(data: Path) -> list[Phrase]:
    """The phrases with their entities as terms, through the crosswalk."""
    folder = data / LABELER
    site = {one["name"] for one in _json(folder / "desc_tem.json") if one["category"] == "location"}
    hedges = set(_json(folder / "uncertainty_map.json"))
    with (HERE / "crosswalk.csv").open(newline="", encoding="ascii") as file:
        crosswalk = {(row["ecgfm_entity"], row["descriptors"]): row for row in csv.DictReader(file)}
    phrases = []
    for pattern in _json(folder / "entity_pat.json"):
        gold: set[Named] = set()
        no_term = False
        for entity in pattern["entities"]:
            row = crosswalk[entity["tem"], ";".join(each for each in entity["descriptors"] if each in site)]
            hedged = bool(hedges & set(entity["descriptors"])) or entity["tem"].startswith("Borderline")
            gold |= {(term, "Uncertain" if hedged else stated(term)) for term in row["terms"].split(";") if term}
            no_term |= row["note"] == "no term"
        phrases.append(Phrase(pattern["pattern"], frozenset(gold), no_term))
    return phrases


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def score(phrases: Sequence[Phrase], answers: Mapping[str, Answer]) -> dict[str, Any]:
    """All figures for both halves and together."""
    halves = {half: [one for one in phrases if one.half == half] for half in ("development", "held_out")}
    return {half: _score(chosen, answers) for half, chosen in {"all": list(phrases), **halves}.items()}


def _score(phrases: Sequence[Phrase], answers: Mapping[str, Answer]) -> dict[str, Any]:
    findings = [one for one in phrases if not one.is_technical]
    return {
        "phrases": len(phrases),
        "states": _states(phrases, answers),
        "by_gold": {kind: _kind(phrases, answers, kind) for kind in ("findings", "nothing_to_find", "no_term")},
        "phrases_right": {name: sum(is_right(one, answers, right) for one in phrases) for name, right in RULES.items()},
        "entities": _entities(phrases, answers),
        "without_technical_phrases": {
            "phrases": len(findings),
            "states": _states(findings, answers),
            "phrases_right": {n: sum(is_right(one, answers, right) for one in findings) for n, right in RULES.items()},
            "entities": _entities(findings, answers),
        },
    }


def _states(phrases: Sequence[Phrase], answers: Mapping[str, Answer]) -> dict[str, int]:
    count = Counter(answers[one.text].state for one in phrases)
    return {state: count[state] for state in STATES}


def _kind(phrases: Sequence[Phrase], answers: Mapping[str, Answer], kind: str) -> dict[str, Any]:
    chosen = [one for one in phrases if one.kind == kind]
    silent = sum(answers[one.text].state in ("refused", "nothing") for one in chosen)
    return {"phrases": len(chosen), "states": _states(chosen, answers), "refused_or_empty": silent}


def _entities(phrases: Sequence[Phrase], answers: Mapping[str, Answer]) -> dict[str, Any]:
    counted = [answers[one.text].named for one in phrases]
    found: dict[str, Any] = {
        "gold": sum(len(one.gold) for one in phrases),
        "answered": sum(map(len, counted)),
    }
    for name, right in RULES.items():
        hits = [[right(each, one.gold) for each in named] for one, named in zip(phrases, counted, strict=True)]
        # found is the same relation read from the other side
        finds = [[right(each, named) for each in one.gold] for one, named in zip(phrases, counted, strict=True)]
        found[name] = {"precision": _share(hits), "recall": _share(finds)}
    return found


def is_right(phrase: Phrase, answers: Mapping[str, Answer], right: Right) -> bool:
    """Whether all that stands in a phrase was found and nothing else; a failed answer is never right."""
    named = answers[phrase.text].named
    if answers[phrase.text].state == "failed":
        return False
    return all(right(each, phrase.gold) for each in named) and all(right(each, named) for each in phrase.gold)


def _strict(one: Named, others: frozenset[Named]) -> bool:
    return one in others


def _term(one: Named, others: frozenset[Named]) -> bool:
    return any(one[0] == other for other, _ in others)


def _lenient(one: Named, others: frozenset[Named]) -> bool:
    wider = ancestors(one[0]) if one[0] in TERMS else frozenset()
    return any(
        one[0] == other or other in wider or (other in TERMS and one[0] in ancestors(other)) for other, _ in others
    )


RULES: Mapping[str, Right] = {"strict": _strict, "term": _term, "lenient": _lenient}


def _share(hits: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """A share over all entities: its 95 % intervals by drawing phrases anew (percentiles), and Wilson's."""
    right, of = np.array([sum(each) for each in hits]), np.array([len(each) for each in hits])
    total = int(of.sum())
    if not total:
        return {"right": 0, "of": 0}
    draws = np.random.default_rng(0).integers(len(hits), size=(_DRAWS, len(hits)))  # (draw, phrase)
    below = of[draws].sum(1)
    shares = right[draws].sum(1)[below > 0] / below[below > 0]
    return {
        "right": int(right.sum()),
        "of": total,
        "share": round(float(right.sum() / total), 4),
        "by_phrase_95": [round(float(edge), 4) for edge in np.percentile(shares, [2.5, 97.5])],
        "wilson_95": list(wilson(int(right.sum()), total)),
    }


def wilson(right: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share.

    >>> wilson(9, 10)
    (0.5958, 0.9821)
    """
    z = 1.959964
    middle = (right + z * z / 2) / (of + z * z)
    half = z / (of + z * z) * (right * (of - right) / of + z * z / 4) ** 0.5
    return round(middle - half, 4), round(middle + half, 4)
