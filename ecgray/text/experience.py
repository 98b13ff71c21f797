"""The experience report r: what a writer is told of a record, and what its paragraph must be (SE-Diff App. E).

A writer knows the record's own report, heart rate, age and sex, and the ECG reports of the retrieved admissions. It
does not know the intervals that were measured: they are what a generator is to be judged by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ecgray.text.entities import AnswerError, load_answer
from ecgray.text.statements import split_statements

LEAST_WORDS, MOST_WORDS = 60, 120
MOST_LETTERS = 4000
"""Letters of a question; a record's own report comes first, so that only neighbours' reports are cut."""

REPORT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"report": {"type": "string"}},
    "required": ["report"],
    "additionalProperties": False,
}
"""JSON schema of an answer."""

_REMARK = re.compile(
    r"\b(?:confirmed|unconfirmed|reviewed|edited|signed|physician|dr|md|compared|comparison|previous|prior|since|"
    r"warning|report made|patient'?s|sex|age not|interpret\w*|requires|referred|ordered)\b|\d{3,}|\d+[/.]\d+[/.]"
)
"""What a report says of people, of other tracings and of its own making: no finding, and no writer's business."""
_UNREAD = re.compile(r"\s*-?\s*no further (?:analysis|rhythm analysis).*$")
"""What a machine adds to a paced rhythm."""
_NUMBER = re.compile(r"(?<![A-Za-z\d.])\d+(?:\.\d+)?")
_SPELLED = re.compile(
    r"\b(?:thir|four|fif|six|seven|eigh|nine)teen\b|\b(?:twen|thir|for|fif|six|seven|eigh|nine)ty\b|"
    r"\b(?:eleven|hundred|thousand|dozen)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\b(?:19|2\d)\d\d\b|\b\d{1,2}[/.]\d{1,2}[/.]\d|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|"
    r"\b(?:january|february|april|june|july|august|september|october|november|december)\b|\b(?:March|May)\s+\d",
    re.IGNORECASE,
)
_TITLE = re.compile(r"\b(?:Mrs?|Ms|Dr|Prof|Doctor|Nurse|Sir)\b\.?\s+[A-Z]|\bM\.?D\.?\b")
_CAPITAL = re.compile(r"(?<![.!?:]\s)(?<!\A)\b[A-Z][a-z]{2,}")
_EPONYMS = {
    *("Wolff", "Parkinson", "White", "Mobitz", "Wenckebach", "Brugada", "Bachmann", "Lown", "Ganong", "Levine"),
    *("Sokolow", "Lyon", "Cornell", "Ashman", "Mahaim", "Osborn", "Bazett", "Fridericia"),
}
"""Names that belong to findings."""
_ADVICE = re.compile(
    r"\b(?:recommend\w*|prescri\w+|administ\w+|anticoagula\w+|cardioversion|follow-up|treat(?:ed|ing|ment)?|therapy)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a writer is told."""

    report: str
    """The record's own report, as the source words it."""
    heart_rate_bpm: int | None
    age: int | None
    sex: str | None
    """F or M."""
    retrieved: tuple[str, ...]
    """The ECG report of each retrieved admission."""

    def statements(self) -> tuple[str, ...]:
        """What the record's own report states: cleaned, without remarks."""
        return findings_of(self.report)

    def similar(self) -> list[tuple[str, ...]]:
        """What each retrieved report states."""
        return [findings_of(report) for report in self.retrieved]


def case_of(record: Mapping[str, Any], retrieved: Sequence[str]) -> Case:
    """What a writer is told of a row of the records table.

    >>> row = {"report": "Sinus rhythm", "rr_ms": 800.0, "age": 52.0, "sex": "F"}
    >>> case_of(row, ["Sinus rhythm"]).heart_rate_bpm
    75
    """
    age, rr_ms = record["age"], record["rr_ms"]
    return Case(
        report=record["report"] or "",
        heart_rate_bpm=round(60_000 / rr_ms) if rr_ms and rr_ms > 0 else None,
        age=int(age) if age is not None else None,
        sex=record["sex"],
        retrieved=tuple(retrieved),
    )


def findings_of(report: str) -> tuple[str, ...]:
    """The statements of a report that speak of its ECG.

    >>> findings_of("Sinus rhythm. Left axis deviation. Compared to the previous tracing, no change. Confirmed by X")
    ('sinus rhythm', 'left axis deviation')
    """
    stated = (_UNREAD.sub("", each) for each in split_statements(report))
    return tuple(each for each in stated if each and not _REMARK.search(each))


def question(case: Case) -> str:
    """What a language model is asked about a case."""
    years = f"{case.age} years" if case.age is not None else "unknown"
    lines = [
        "ECG report: " + (" | ".join(case.statements()) or "none"),
        f"Heart rate: {case.heart_rate_bpm} beats per minute" if case.heart_rate_bpm else "Heart rate: unknown",
        f"Age: {years}",
        "Sex: " + {"F": "female", "M": "male"}.get(case.sex or "", "unknown"),
        "ECG reports of similar patients: " + " | ".join("; ".join(each) or "none" for each in case.similar()),
    ]
    return "\n".join(lines)[:MOST_LETTERS]


def read_report(asked: str, answer: str) -> str:
    """The paragraph of an answer.

    Raises `AnswerError` where the answer is not of the schema's shape, or its paragraph is not what it must be.
    """
    found = load_answer(answer)
    if not isinstance(found, dict) or set(found) != {"report"} or not isinstance(found["report"], str):
        raise AnswerError("answer_off_schema", "The answer is JSON of another shape than the schema asks for.")
    if any("\ud800" <= letter <= "\udfff" for letter in found["report"]):
        raise AnswerError("answer_off_schema", "The answer holds half a character.")
    report = " ".join(found["report"].split())
    check_report(asked, report)
    return report


def check_report(asked: str, report: str) -> None:
    """Raise `AnswerError` where a paragraph is too long or short, or holds what nobody told its writer.

    >>> check_report("Age: 52 years", "A 53-year-old woman. " + "The rhythm is regular. " * 16)
    Traceback (most recent call last):
    ecgray.text.entities.AnswerError: The paragraph holds a number that its question does not.
    """
    words = len(report.split())
    if not LEAST_WORDS <= words <= MOST_WORDS:
        raise AnswerError("answer_length", f"The paragraph has {words} words, not {LEAST_WORDS} to {MOST_WORDS}.")
    if _DATE.search(report):
        raise AnswerError("answer_date", "The paragraph holds a date.")
    if _TITLE.search(report) or any(each not in _EPONYMS for each in _CAPITAL.findall(report)):
        raise AnswerError("answer_name", "The paragraph holds a capital where a name would have one.")
    if set(_numbers(report)) - set(_numbers(asked)) - {"12"}:
        raise AnswerError("answer_number", "The paragraph holds a number that its question does not.")
    if _ADVICE.search(report):
        raise AnswerError("answer_advice", "The paragraph speaks of treatment.")


def _numbers(text: str) -> Iterator[str]:
    yield from _NUMBER.findall(text)
    yield from (each.lower() for each in _SPELLED.findall(text))
