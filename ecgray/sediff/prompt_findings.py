"""Which findings a prompt states and which it negates, and whether what it states can stand together.

By plain rules: a finding is a wording of the vocabulary, the longest that fits; "no", "without" and the like negate
what follows to the end of the clause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ecgray.text.lexical import plain_text
from ecgray.text.terms import TERMS, with_parents
from ecgray.text.wording import wording_key

_NEGATIONS = {("no",), ("not",), ("without",), ("denies",), ("rule", "out"), ("rules", "out"), ("absence", "of")}
_CLAUSE_ENDS = {"but", "however", "with", "except"}
_CLAUSES = re.compile(r"[.,;:](?=\s|$)|\n")
_OPPOSITES = (
    {"bradycardia", "tachycardia"},
    {"atrial fibrillation", "sinus rhythm"},
    {"atrial flutter", "sinus rhythm"},
    {"atrial fibrillation", "first degree av block"},
    {"first degree av block", "third degree av block"},
    {"left bundle branch block", "right bundle branch block"},
    {"left axis deviation", "right axis deviation"},
    {"normal ecg", "abnormal ecg"},
)
"""Pairs that one 10 s strip can hardly show together; narrower findings count as these."""
_ABNORMAL = {"rhythm", "pacing", "conduction", "hypertrophy", "ischemia and infarction", "st-t"}
_MAY_BE_NORMAL = {
    "sinus bradycardia",
    "sinus tachycardia",
    "sinus arrhythmia",
    "bradycardia",
    "tachycardia",
    "early repolarization",
    "juvenile t wave pattern",
}
"""Beside a normal ECG they are no contradiction: who is fit or young has them."""


@dataclass(frozen=True)
class Findings:
    """Names of terms."""

    stated: frozenset[str]
    negated: frozenset[str]

    @property
    def implied(self) -> frozenset[str]:
        """What is stated, and all that follows from it."""
        return frozenset(with_parents(self.stated))

    @property
    def against_itself(self) -> bool:
        """Whether two stated findings can hardly stand in one strip, or one cannot in a normal ECG."""
        each = [set(with_parents([name])) for name in self.stated]
        opposite = any(pair <= self.implied and not any(pair <= one for one in each) for pair in _OPPOSITES)
        abnormal = any(
            TERMS[name].group in _ABNORMAL and not TERMS[name].normal and name not in _MAY_BE_NORMAL
            for name in self.stated
        )
        return opposite or ("normal ecg" in self.stated and abnormal)


def read_findings(text: str) -> Findings:
    """The terms that a text states and those that it negates.

    >>> found = read_findings("No atrial fibrillation or LBBB, sinus rhythm")
    >>> sorted(found.stated), sorted(found.negated)
    (['sinus rhythm'], ['atrial fibrillation', 'left bundle branch block'])
    """
    words: list[str] = []
    starts: set[int] = set()
    for clause in _CLAUSES.split(text):
        starts.add(len(words))
        for whole in re.findall(r"\w+", clause):
            shout = whole == "AT" and text.isupper()  # the word, in a text of capitals
            small = whole.lower()
            words += (
                _ABBREVIATED.get("" if shout else whole) or _SMALL.get(small) or _SMALL.get(small[:-1]) or _words(whole)
            )
    starts.add(len(words))
    stated: set[str] = set()
    negated: set[str] = set()
    negative, at = False, 0
    while at < len(words):
        name, length = _longest(words, at)
        negative = negative and at not in starts and words[at] not in _CLAUSE_ENDS
        if name == "normal ecg" and length == 1 and not starts >= {at, at + 1}:
            name = "otherwise normal ecg"  # "normal" within a clause says it of a part only
        if name is not None:
            (negated if negative else stated).add(name)
        elif any(tuple(words[at : at + count]) in _NEGATIONS for count in (1, 2)):
            negative = True
        at += length
    if not stated and not negated:
        stated |= _as_a_whole(text)
    return Findings(frozenset(stated), frozenset(negated))


def _as_a_whole(text: str) -> set[str]:
    """The term that a text is, in the plural, in another order, or abbreviated in small letters.

    >>> _as_a_whole("ST-T changes"), _as_a_whole("lbbb")
    ({'st-t change'}, {'left bundle branch block'})
    """
    name = _SHORT.get(text.strip().lower()) or _KEYS.get(wording_key(text))
    return set() if name is None else {name}


def _longest(words: list[str], at: int) -> tuple[str | None, int]:
    """The term whose wording begins here, and how many words that takes; None and 1 where none does."""
    for length in range(min(_LONGEST, len(words) - at), 0, -1):
        name = _WORDINGS.get(tuple(words[at : at + length]))
        if name is not None:
            return name, length
    return None, 1


def _words(text: str) -> tuple[str, ...]:
    return tuple(_ORDINALS.get(word, word) for word in plain_text(text).split())


def _heart_block(words: tuple[str, ...]) -> tuple[str, ...]:
    """An "AV block" is called a "heart block", too."""
    for at in range(len(words)):
        if words[at : at + 2] == ("av", "block"):
            return (*words[:at], "heart", "block", *words[at + 2 :])
    return words


_ORDINALS = {"1st": "first", "2nd": "second", "3rd": "third"}
_WRITTEN = {_words(text): term.name for term in TERMS.values() for text in (*term.synonyms, term.name)}
_WORDINGS = {_heart_block(words): name for words, name in _WRITTEN.items()} | _WRITTEN
_WORDINGS[("sinus", "node", "arrest")] = "sinus arrest"
_LONGEST = max(map(len, _WORDINGS))
_KEYS = {wording_key(text): term.name for term in TERMS.values() for text in (*term.synonyms, term.name)}
_SHORT = {short.lower(): term.name for term in TERMS.values() for short in term.abbreviations}
_ABBREVIATED = {short: _words(term.name) for term in TERMS.values() for short in term.abbreviations}
_NO_WORDS = (
    "af afib afl aflt avb avnrt avrt bbb clbbb crbbb ilbbb irbbb ivcd lafb lbbb lpfb lvh nsr nstemi nsvt pac paf psvt "
    "pvc rbbb rvh stemi svt vf vfib vpb vpc vt vtach wpw"
)
"""Abbreviations that are no word in small letters either, as "at", "pace" and "dig" are; an s may follow."""
_SMALL = {small: _ABBREVIATED[small.upper()] for small in _NO_WORDS.split()}
