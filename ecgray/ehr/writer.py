"""The experience report r from templates, where no language model writes it: the same case, the same paragraph.

It says what the record's own report states, in the order of a cardiologist's reading, then what the ECGs of the similar
patients showed, with a hedge. It adds no finding and no number. 60 to 120 words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ecgray.ehr.wording import SAY_LITTLE, group_of, meaning, speaks_of, written
from ecgray.text.experience import LEAST_WORDS, MOST_WORDS, Case

_MOST = 6
"""Findings that are listed of one kind, where there is room."""
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NO_CONDUCTION = "Nothing is stated on conduction or axis."
_HEDGE = "Such findings may accompany the present picture but are not established for this patient."
_SUPPORT = "This may support the present reading without adding to it."
_FILL = (
    "Where these patients and the present report differ, the present report and heart rate are to be followed.",
    "What the report leaves unsaid is not known from it, and is not to be taken as normal or as abnormal.",
    "The paragraph rests on the written reports alone, not on a new reading of the tracings.",
)
"""Sentences that are true of every such paragraph, for cases of which little is known."""


def write_experience(case: Case) -> str:
    """The paragraph of a case with at least one retrieved report."""
    for most in range(_MOST, 0, -1):
        sentences = _sentences(case, most)
        if _words(sentences) <= MOST_WORDS:
            break
    else:
        sentences = _cut(sentences)
    for more in _FILL:
        if _words(sentences) < LEAST_WORDS:
            sentences.append(more)
    return " ".join(sentences)


def _words(sentences: Sequence[str]) -> int:
    return len(" ".join(sentences).split())


def _cut(sentences: list[str]) -> list[str]:
    """Without the longest sentences but the first, until it is short enough; a statement may be very long."""
    kept = list(sentences)
    while _words(kept) > MOST_WORDS and len(kept) > 1:
        kept.remove(max(kept[1:], key=len))
    return kept


def _sentences(case: Case, most: int) -> list[str]:
    groups: dict[str, list[str]] = {}
    for statement in case.statements():
        groups.setdefault(group_of(statement), []).append(written(statement))
    said = {name: _listed(found[:most]) for name, found in groups.items()}
    return [
        each
        for each in (
            _patient(case),
            f"The rhythm is read as {said['rhythm']}." if "rhythm" in said else "No rhythm is named.",
            f"Conduction and axis: {said['conduction']}."
            if "conduction" in said
            else ("" if any(speaks_of(each, "conduction") for each in case.statements()) else _NO_CONDUCTION),
            f"Chambers and voltage: {said['chambers']}." if "chambers" in said else "",
            f"Repolarization and ischemia: {said['repolarization']}."
            if "repolarization" in said
            else "No ST-T change, ischemia or infarction is stated.",
            f"Also stated: {said['other']}." if "other" in said else "",
            f"Recording: {said['technical']}." if "technical" in said else "",
            f"Overall impression: {said['verdict']}." if "verdict" in said else "",
            *_similar(case, most),
        )
        if each
    ]


def _patient(case: Case) -> str:
    """12-lead ECG of a 63-year-old woman at a heart rate of 84 beats per minute."""
    who = {"F": "woman", "M": "man"}.get(case.sex or "", "patient")
    age = f"{case.age}-year-old " if case.age is not None else ""
    article = "an" if str(case.age or "").startswith(("8", "11", "18")) and case.age not in range(110, 180) else "a"
    pace = f" at a heart rate of {case.heart_rate_bpm} beats per minute" if case.heart_rate_bpm else ""
    return f"12-lead ECG of {article} {age}{who}{pace}."


def _similar(case: Case, most: int) -> list[str]:
    """What the retrieved ECGs showed: what the record's own report says, too, then the rest; verdicts say little."""
    all_of = [tuple(each for each in found if group_of(each) not in SAY_LITTLE) or found for found in case.similar()]
    similar = [each for each in all_of if each]
    if not similar:
        return ["The ECGs of clinically similar patients have no report that states a finding."]
    own = {meaning(each) for each in case.statements()}
    count = Counter(finding for each in similar for finding in dict.fromkeys(map(meaning, each)))
    words = {meaning(one): one for each in reversed(similar) for one in reversed(each)}  # as the most similar has it
    shared, new = ([each for each in count if (each in own) is mine][:most] for mine in (True, False))
    patients = f"{_number(len(similar))} clinically similar patient" + ("s" if len(similar) > 1 else "")
    ecg = "ECGs" if len(similar) > 1 else "ECG"
    begin = f"In {patients}, matched by diagnoses, medications and procedures, the {ecg} "
    shown = [
        _listed([_counted(words[each], count[each], len(similar)) for each in group])
        for group in (shared, new)
        if group
    ]
    if shared and new:
        return [begin + f"likewise showed {shown[0]}.", f"Also seen: {shown[1]}.", _HEDGE]
    return [begin + f"{'likewise ' * bool(shared)}showed {shown[0]}.", _HEDGE if new else _SUPPORT]


def _counted(statement: str, times: int, patients: int) -> str:
    how = "" if patients == 1 else " (all)" if times == patients else f" ({_number(times)} of {_number(patients)})"
    return written(statement) + how


def _number(count: int) -> str:
    return _COUNTS[count] if count < len(_COUNTS) else "several"


def _listed(found: Sequence[str]) -> str:
    """A, B and C; semicolons where one of them has a comma."""
    if len(found) == 1:
        return found[0]
    mark = ";" if any("," in each for each in found) else ","
    return f"{mark} ".join(found[:-1]) + f"{mark if mark == ';' else ''} and {found[-1]}"
