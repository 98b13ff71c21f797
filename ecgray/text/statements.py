"""A report to its statements: what a language model is asked one by one, because most reports share them.

Machines print up to 18 short lines, people write sentences; both are cut where a statement ends, and a piece that only
goes on with what was said ("with rapid ventricular response") stays with its head.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

_CONTROL = dict.fromkeys([*range(32), *range(127, 160), 0x2028, 0x2029], " ")
_UNSEEN = dict.fromkeys([*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF, 0xFFFD], " ")
_BLANKS = str.maketrans(_CONTROL | _UNSEEN)
_ORNAMENT = re.compile(r"\*\*\*|=-|=")
_CHEST_LEADS = re.compile(r"\b(v[1-9])((?:,[1-9](?!\d))+)(?!\s?m[mvs]\b)")
"""Chest leads whose letter is written once, as "v5,6"; no "v1,5 mv"."""
_LINE_END = re.compile(r"[\n\r\v\f\x85\u2028\u2029]+")
_MARK = re.compile(r"[();]|\.(?=\s|$)")
_SHORTENED = re.compile(
    r"\b(?:dr|prof|vs|approx|ca|incl|excl|resp|bzw|evtl|poss|prob|susp|vent|[^\W\d_]\.[^\W\d_])\.\s|"
    r"\b(?:v\. a|z\. n|z\. b|st\.p)\.\s|\bno\.\s+\d|\b(?:[1-4]|i{1,3})\.\s+(?:grad|deg)|\ba\.\s+(?:fib|flut)"
)
"""What a full stop may follow without ending a statement: "vs.", "no. 3", "a. fib", German "v. a." and "1. grades"."""
_GOES_ON = re.compile(
    r"(?:with|without|and|or|but|due to|because of|secondary to|consistent with|compatible with|suggestive of|"
    r"suggesting|associated with|as well as|age undetermined|age indeterminate|probably|mit|ohne|und|oder)\b"
)
"""How a piece begins that says something about the piece before it."""
_EDGES = " .,;:"


def clean_report(text: str) -> str:
    r"""A report in one line: lower case, single blanks, `ekg` as `ecg`, the machine's ornaments left out.

    Line ends, control characters, byte-order marks and characters of no width become blanks; nothing else is lost.
    Every chest lead gets its letter.

    >>> clean_report("\ufeff*** Abnormal EKG ***\nT inverted  in V4,5,6")
    'abnormal ecg t inverted in v4, v5, v6'
    """
    plain = _ORNAMENT.sub(" ", text.translate(_BLANKS).lower())
    return _CHEST_LEADS.sub(_with_letters, " ".join(plain.replace("ekg", "ecg").split()))


def _with_letters(leads: re.Match[str]) -> str:
    first, others = leads.groups()
    return ", v".join([first, *re.findall(r"\d", others)])


def words_in(report: str) -> int:
    """How many words a cleaned report has: pieces between blanks that hold a letter or a digit.

    >>> words_in("sinus rhythm - normal ecg ."), words_in("...")
    (4, 0)
    """
    return sum(any(letter.isalnum() for letter in word) for word in report.split())


def is_empty(report: str) -> bool:
    """Whether a report as it came has no word."""
    return words_in(clean_report(report)) == 0


def texts_of(report: str, *, unit: Literal["statement", "report"], min_words: int) -> tuple[str, ...]:
    """What a language model is asked about a report: its statements, or its cleaned text.

    Nothing where the whole report has fewer than `min_words` words (SuPreME: 3), or none.

    >>> texts_of("Sinus rhythm. LVH", unit="statement", min_words=3), texts_of("LVH", unit="statement", min_words=3)
    (('sinus rhythm', 'lvh'), ())
    """
    cleaned = clean_report(report)
    if words_in(cleaned) < max(min_words, 1):
        return ()
    return (cleaned,) if unit == "report" else split_statements(report)


def split_statements(report: str) -> tuple[str, ...]:
    """The statements of a report as it came, each cleaned, in their order, each once.

    A statement ends at a full stop before a blank, at a semicolon and at a line's end, but not within a pair of
    brackets, a number or an abbreviation. Takes time in proportion to the report's length.

    >>> split_statements("Atrial fibrillation. With rapid ventricular response. QRS 0.12 s (vs. 0.10 s; old).")
    ('atrial fibrillation with rapid ventricular response', 'qrs 0.12 s (vs. 0.10 s; old)')
    """
    found: list[list[str]] = []
    for line in _LINE_END.split(report):
        for piece in _pieces(clean_report(line)):
            if found and _GOES_ON.match(piece):
                found[-1].append(piece)
            else:
                found.append([piece])
    return tuple(dict.fromkeys(" ".join(pieces) for pieces in found))


def _pieces(line: str) -> Iterator[str]:
    """The pieces of a cleaned line, without what stands at their edges; those without letter or digit are left out."""
    start = 0
    for end in [*_ends(line), len(line)]:
        piece = line[start:end].strip(_EDGES)
        start = end + 1
        if words_in(piece):
            yield piece


def _ends(line: str) -> Iterator[int]:
    """Where a statement ends."""
    marks = [(mark.start(), mark.group()) for mark in _MARK.finditer(line)]
    paired, inside = _paired(marks), 0
    for at, mark in marks:
        if mark in "()":
            inside += (at in paired) * (1 if mark == "(" else -1)
        elif not inside and not (mark == "." and _is_shortened(line, at)):
            yield at


def _paired(marks: list[tuple[int, str]]) -> set[int]:
    """Where the brackets stand that have a partner: one that was never closed must not swallow the rest."""
    open_at: list[int] = []
    paired: set[int] = set()
    for at, mark in marks:
        if mark == "(":
            open_at.append(at)
        elif mark == ")" and open_at:
            paired |= {open_at.pop(), at}
    return paired


def _is_shortened(line: str, at: int) -> bool:
    """Whether the full stop at `at` belongs to an abbreviation or an ordinal."""
    around = line[max(0, at - 12) : at + 8]
    return any(found.start() < min(at, 12) < found.end() for found in _SHORTENED.finditer(around))
