"""Statements of an ECG report as parts of a sentence: what each speaks of, and its abbreviations in capitals."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from ecgray.text.experience import findings_of
from ecgray.text.terms import TERMS, find_term

GROUPS: tuple[tuple[str, str], ...] = (
    ("verdict", r"\b(?:normal|abnormal|borderline|atypical) ecg\b|^summary\b|^(?:otherwise )?normal tracing"),
    ("technical", r"artifact|quality|lead reversal|baseline wander|\bmissing\b|misplace|noise|tremor"),
    (
        "rhythm",
        r"rhythm|sinus (?:tachy|brady|arrhyth|pause|arrest)|fibrillation|flutter|tachycardia|bradycardia|\bpaced\b|"
        r"pacemaker|premature|ectop|\bpacs?\b|\bpvcs?\b|\bpac\(s\)|\bpvc\(s\)|bigemin|escape|complete a-?v block|"
        r"third degree|3rd degree",
    ),
    (
        "conduction",
        r"block|conduction|\bpr interval|fascicular|\b[lr]bbb\b|\bl[ap]fb\b|\bivcd\b|preexcitation|pre-excitation|wpw|"
        r"intraventricular|aberran|\brsr|\baxis\b|axis deviation",
    ),
    ("chambers", r"hypertrophy|enlargement|\b[lr]vh\b|atrial abnormality|voltage|p waves|r wave progression|dilat"),
    (
        "repolarization",
        r"\bst\b|st-t|t wave|\bt-?wave|infarct|ischemi|injury|repolari[sz]ation|\bqtc?\b|q waves?|pericarditis|"
        r"\bu waves?|\bmi\b",
    ),
)
"""What a statement speaks of, by the first pattern that it fits."""
_GROUP_OF_TERM = {
    "rhythm": "rhythm",
    "pacing": "rhythm",
    "conduction": "conduction",
    "axis": "conduction",
    "hypertrophy": "chambers",
    "form": "chambers",
    "ischemia and infarction": "repolarization",
    "st-t": "repolarization",
    "technical": "technical",
    "normal": "verdict",
}
"""Where a standard term belongs that fits no pattern."""

SAY_LITTLE = ("verdict", "technical")
"""Groups that say nothing of a heart."""
_PATTERNS = [(name, re.compile(pattern)) for name, pattern in GROUPS]
_CAPITALS = re.compile(
    r"\b(?:ecg|st|pr|qtc?|qrs|a-?v|s-?a|[lr]vh|[lr]bbb|l[ap]fb|ivcd|wpw|pacs?|pvcs?|pac\(s\)|pvc\(s\)|apc|vpc|svt|vt|mi|iv|"
    r"ii|iii|v[1-9]|rsr|qs|st-t|nsst|lad|rad|iacd)(?![\w])|\b[pqrstu](?=[- ](?:waves?|progression|changes?|inversion))"
)
_AUGMENTED = re.compile(r"\bav([rlf])\b")
_EPONYM = re.compile(r"\b(?:wolff|parkinson|white|mobitz|wenckebach|brugada)\b")


def group_of(statement: str) -> str:
    """What a cleaned statement speaks of.

    >>> [group_of(each) for each in ("sinus rhythm with 1st degree a-v block", "rbbb", "low voltages", "normal ecg")]
    ['rhythm', 'conduction', 'chambers', 'verdict']
    """
    fitting = next((name for name, pattern in _PATTERNS if pattern.search(statement)), None)
    if fitting is None:
        term = TERMS.get(meaning(statement))
        fitting = _GROUP_OF_TERM.get(term.group, "other") if term else "other"
    return fitting


def speaks_of(statement: str, group: str) -> bool:
    """Whether a statement speaks of this, too: a rhythm may name a block.

    >>> speaks_of("sinus rhythm with 1st degree a-v block", "conduction")
    True
    """
    return any(name == group and pattern.search(statement) for name, pattern in _PATTERNS)


def meaning(statement: str) -> str:
    """The standard term that a cleaned statement names, so that one finding in two wordings is one; else itself.

    >>> meaning("lbbb"), meaning("left bundle branch block"), meaning("lvh by voltage")
    ('left bundle branch block', 'left bundle branch block', 'lvh by voltage')
    """
    term = find_term(statement)
    return term.name if term else _abbreviated().get(statement.upper(), statement)


@functools.lru_cache(maxsize=1 << 16)
def findings(report: str) -> frozenset[str]:
    """What a report states, verdicts and remarks apart, one finding in two wordings as one.

    >>> sorted(findings("Sinus rhythm. LBBB. Abnormal ECG"))
    ['left bundle branch block', 'sinus rhythm']
    """
    stated = (each for each in findings_of(report) if group_of(each) not in SAY_LITTLE)
    return frozenset(meaning(each) for each in stated)


@functools.cache
def _abbreviated() -> Mapping[str, str]:
    return {short: term.name for term in TERMS.values() for short in term.abbreviations}


def written(statement: str) -> str:
    """A cleaned statement as it stands in a sentence.

    >>> written("inferior st depression, t wave changes in avl and v4, wolff-parkinson-white pattern; pac(s)")
    'inferior ST depression, T wave changes in aVL and V4, Wolff-Parkinson-White pattern; PAC(s)'
    """
    text = _CAPITALS.sub(lambda found: _capital(found.group()), statement)
    text = _AUGMENTED.sub(lambda found: f"aV{found.group(1).upper()}", text)
    return _EPONYM.sub(lambda found: found.group().capitalize(), text)


def _capital(word: str) -> str:
    """PAC(s), PVCs and QTc keep their small letters."""
    return re.sub(r"(?<=P[AV]C)(?:S$|\(S\)$)|(?<=QT)C", lambda found: found.group().lower(), word.upper())
