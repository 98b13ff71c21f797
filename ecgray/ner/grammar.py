"""The statement grammar: statements as machines and cardiologists word them, and what they say.

Findings (`findings.py`) are stated, hedged, negated, joined, given as a cause. What is drawn here is what the embedded
model knows; what lies outside is `strangers.py`'s.

Rules that hold for every drawn statement, and so for what the model learns:

- a hedge makes a finding Uncertain; a negation leaves it out;
- "and", "&" and "/" carry a hedge on to the next finding, "with" and a comma do not; "or" makes both Uncertain;
- rate and conduction stay with their head: "atrial flutter with 2:1 block" is one entity;
- the age of an infarct is part of it where a term has it; "age undetermined" adds nothing;
- remarks about the patient, the comparison or the confirmation are no findings.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ecgray.ner.findings import Finding, draw_finding, glue, numbered, owner_of
from ecgray.ner.phrases import base_form, owners, reword
from ecgray.ner.words import frames, wordings
from ecgray.text.entities import Certainty, Entity, Reading
from ecgray.text.terms import TERMS

Part = Literal["train", "held out"]

AND_LIKE = frozenset({"and", "&", "/", ", and", "as well as", "or", ", or", "and/or", "plus", "+"})
_HELD_OUT = 10
"""One in so many pairs of term and hedge is never trained on."""


@dataclass(frozen=True)
class Statement:
    """A statement and what it says."""

    text: str
    reading: Reading


def draw_statement(rng: random.Random, *, part: Part = "train") -> Statement:
    """One statement that says something; of part "held out" one with a pair of term and hedge never trained on."""
    if part == "held out":
        return _hedged_alone(rng, part)
    draw = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
    return draw(rng)


def certainty_of(term: str) -> Certainty:
    """What stating a term plainly says of the heart."""
    if TERMS[term].normal:
        return "Normal"
    return "Uncertain" if term.startswith("borderline") else "Abnormal"


def is_held_out(term: str, hedge: str) -> bool:
    """Whether the pair is kept from training; the same on every machine."""
    return zlib.crc32(f"{term}|{hedge}".encode()) % _HELD_OUT == 0


def say(text: str, *entities: tuple[Finding, Certainty | None]) -> Statement:
    """A statement with these findings; a certainty of None leaves each term its own. Each term counts once."""
    said: dict[str, Entity] = {}
    for found, certainty in entities:
        for term in found.terms:
            said.setdefault(term, Entity(term, certainty or certainty_of(term), found.cited))
    return Statement(text, Reading(tuple(said.values()), unknown=False))


def _hedge(found: Finding, rng: random.Random, *, part: Part, before_only: bool = False) -> str | None:
    """The finding under a hedge that this part may pair with its terms; None where it finds none."""
    kinds = ["hedge_before"] * 3 + ([] if before_only else ["hedge_after"])
    for _ in range(200):
        kind = rng.choice(kinds)
        hedge = rng.choice(frames()[kind])
        held = [is_held_out(term, hedge) for term in found.terms]
        if any(held) if part == "train" else not all(held):
            continue
        text = f"{hedge} {found.text}" if kind == "hedge_before" else glue(found.text, hedge)
        if base_form(text) not in owners():
            return text
    return None


def _hedged_alone(rng: random.Random, part: Part = "train") -> Statement:
    while True:
        found = draw_finding(rng)
        text = _hedge(found, rng, part=part)
        if text:
            return say(text, (found, "Uncertain"))


def _sure(found: Finding, rng: random.Random) -> str:
    """Now and then words around it that change nothing."""
    dice = rng.random()
    if dice < 0.13:
        return f"{rng.choice(frames()['sure_before'])} {found.text}"
    if dice < 0.23:
        return glue(found.text, rng.choice(frames()["sure_after"]))
    return found.text


def _plain(rng: random.Random) -> Statement:
    found = draw_finding(rng)
    return say(_sure(found, rng), (found, None))


def _joined(rng: random.Random) -> Statement:
    """Two to four findings; a hedge before the first is carried on by "and", one behind a finding is its own."""
    joins = ["", *(rng.choice(frames()["join"]) for _ in range(rng.choice([1, 1, 1, 1, 2, 2, 3]))), ""]
    said: list[tuple[Finding, Certainty | None]] = []
    text, carried = "", False
    for join, after in itertools.pairwise(joins):
        found = draw_finding(rng)
        carried = carried and join in AND_LIKE
        hedged = None
        if rng.random() < 0.22:
            alone = not carried and join not in AND_LIKE and after not in AND_LIKE
            hedged = _hedge(found, rng, part="train", before_only=not alone)
        carried = carried or bool(hedged)
        if text.endswith("?") and join not in AND_LIKE and rng.random() < 0.5:
            join = ""
        piece = hedged or found.text
        text = glue(glue(text, join) if join else text, piece) if text else piece
        said.append((found, "Uncertain" if carried else None))
    return say(text, *said)


_RHYTHMS = (
    *("sinus rhythm", "sinus bradycardia", "sinus tachycardia") * 4,
    *("sinus arrhythmia", "atrial fibrillation", "rapid atrial fibrillation", "atrial flutter", "paced rhythm") * 2,
    *("junctional rhythm", "ventricular paced rhythm", "atrial paced rhythm", "ectopic rhythm", "atrial tachycardia"),
)


def _rhythm_with(rng: random.Random) -> Statement:
    """A rhythm and what disturbs it, as carts begin: "sinus rhythm with 1st degree a-v block and pvc(s)"."""
    name = rng.choice(_RHYTHMS)
    spelled = reword(rng.choice(wordings()[name][:2]), rng)
    head = Finding(spelled, (owner_of(spelled, name),), spelled)
    found = [draw_finding(rng) for _ in range(rng.choice([1, 1, 1, 2, 2, 3]))]
    text = glue(head.text, rng.choice(["with", "with", "with", "with", ", with", "w/", "with occasional", "and"]))
    text = f"{text} {rng.choice([' and ', ' and ', ', ']).join(each.text for each in found)}"
    return _unless_a_wording(text, say(text, (head, None), *((each, None) for each in found)))


def _listed(rng: random.Random) -> Statement:
    """A whole reading in one line: "nsr, 1st degree avb, lafb"."""
    found = [draw_finding(rng) for _ in range(rng.randint(3, 5))]
    joint = rng.choice([", ", ", ", "; ", " / ", " + "])
    return say(joint.join(each.text for each in found), *((each, None) for each in found))


def _caused(rng: random.Random) -> Statement:
    sure = rng.random() < 0.4
    first, second = draw_finding(rng), draw_finding(rng)
    link = rng.choice(frames()["cause_sure"]) if sure else _link(frames()["cause_unsure"], [second], rng)
    text = f"{glue(first.text, link)} {second.text}"
    return say(text, (first, None), (second, None if sure else "Uncertain"))


def _link(links: Sequence[str], hedged: Sequence[Finding], rng: random.Random) -> str:
    """A link that hedges what follows; none whose words are a hedge held out for one of the terms."""
    terms = {term for each in hedged for term in each.terms}
    hedges = frames()["hedge_before"]

    def is_free(link: str) -> bool:
        at_its_end = [hedge for hedge in hedges if f" {link.strip(' ,;-')}".endswith(f" {hedge}")]
        return not any(is_held_out(term, hedge) for term in terms for hedge in at_its_end)

    return rng.choice([link for link in links if is_free(link)] or ["may be due to"])


_MAY_BE = (", consider", "- consider", ", may be", ", suggests", ", possible", ", probable", "suggest", ", rule out")


def _considered(rng: random.Random) -> Statement:
    """A finding and what it may be: "st elevation, consider pericarditis, injury, or early repolarization"."""
    first, others = draw_finding(rng), [draw_finding(rng) for _ in range(rng.choice([2, 2, 3]))]
    listed = ", ".join(each.text for each in others[:-1]) + rng.choice([", or ", " or ", ", ", "/"]) + others[-1].text
    link = _link(_MAY_BE, others, rng)
    return say(f"{glue(first.text, link)} {listed}", (first, None), *((each, "Uncertain") for each in others))


def _either(rng: random.Random) -> Statement:
    first, second = draw_finding(rng), draw_finding(rng)
    text = f"{glue(first.text, _link(frames()['or'], [first, second], rng))} {second.text}"
    return say(text, (first, "Uncertain"), (second, "Uncertain"))


def _abnormal_finding(rng: random.Random) -> Finding:
    while True:
        found = draw_finding(rng)
        if not any(TERMS[term].normal for term in found.terms):
            return found


def _negated(rng: random.Random) -> Statement:
    found = _abnormal_finding(rng)
    if rng.random() < 0.7:
        text = f"{rng.choice(frames()['negation_before'])} {found.text}"
        if rng.random() < 0.3:
            more = [_abnormal_finding(rng).text for _ in range(rng.choice([1, 1, 2, 2, 3]))]
            last = rng.choice([" or ", ", or ", " nor ", " and "])
            text = f"{', '.join([text, *more[:-1]])}{last}{more[-1]}"
    else:
        text = glue(found.text, rng.choice(frames()["negation_after"]))
    return _unless_a_wording(text, Statement(text, Reading((), unknown=False)))


def _unless_a_wording(text: str, otherwise: Statement) -> Statement:
    """A wording may begin with a negation: "no p waves" is an absent p wave."""
    owner = owners().get(base_form(text))
    return say(text, (Finding(text, (owner,), text), None)) if owner else otherwise


def _without(rng: random.Random) -> Statement:
    """A finding, and one or two that are not there: "no q waves, flat t waves", "flat t waves, no st change"."""
    found = draw_finding(rng)
    if rng.random() < 0.25:
        text = f"no {_abnormal_finding(rng).text}{rng.choice([', ', '; ', ' but '])}{found.text}"
        return _unless_a_wording(text, say(text, (found, None)))
    text = f"{glue(found.text, rng.choice(frames()['without']))} {_abnormal_finding(rng).text}"
    if rng.random() < 0.25:
        text = f"{text}{rng.choice([', no ', ' or ', ' and no '])}{_abnormal_finding(rng).text}"
    return _unless_a_wording(text, say(text, (found, None)))


def _replaced(rng: random.Random) -> Statement:
    """What was and what is: "atrial fibrillation has been replaced by sinus rhythm"; only what is counts."""
    gone, found = draw_finding(rng), draw_finding(rng)
    if rng.random() < 0.5:
        text = f"{glue(gone.text, rng.choice(frames()['gone_before']))} {found.text}"
    else:
        text = f"{glue(found.text, rng.choice(frames()['gone_after']))} {gone.text}"
    return _unless_a_wording(text, say(text, (found, None)))


def _otherwise(rng: random.Random) -> Statement:
    """A finding in an ECG that is otherwise normal: "summary: bradycardia - otherwise normal ecg"."""
    found = draw_finding(rng)
    rest = rng.choice(frames()["otherwise"])
    normal = Finding(rest, ("otherwise normal ecg",), rest.strip(" ,;-"))
    return say(glue(_sure(found, rng), rest), (found, None), (normal, None))


def draw_remark(rng: random.Random) -> str:
    """What carts print that is no finding."""
    text = numbered(rng.choice(frames()["quality"]), rng)
    if rng.random() < 0.25:
        text = f"{text}{rng.choice([', ', ' - ', ' '])}{numbered(rng.choice(frames()['quality']), rng)}"
    return text


def _remark(rng: random.Random) -> Statement:
    """A remark, or what only names a part of the ECG."""
    text = rng.choice(frames()["fragment"]) if rng.random() < 0.2 else draw_remark(rng)
    return Statement(text, Reading((), unknown=False))


def _with_remark(rng: random.Random) -> Statement:
    found = draw_finding(rng)
    joint = rng.choice([", ", " - ", "; ", " ", ": "])
    remark = draw_remark(rng)
    text = f"{found.text}{joint}{remark}" if rng.random() < 0.5 else f"{remark}{joint}{found.text}"
    return say(text, (found, None))


def _report(rng: random.Random) -> Statement:
    """A few statements as one text, for who asks whole reports."""
    parts = [
        rng.choice([_plain, _plain, _joined, _hedged_alone, _negated, _remark])(rng) for _ in range(rng.randint(2, 4))
    ]
    said: dict[tuple[str, Certainty], Entity] = {}
    for each in parts:
        for entity in each.reading.entities:
            said.setdefault((entity.name, entity.certainty), entity)
    return Statement(". ".join(each.text for each in parts), Reading(tuple(said.values()), unknown=False))


_KINDS = {
    _plain: 34,
    _hedged_alone: 18,
    _joined: 18,
    _listed: 6,
    _rhythm_with: 14,
    _caused: 7,
    _either: 3,
    _considered: 3,
    _negated: 12,
    _replaced: 3,
    _without: 6,
    _otherwise: 2,
    _remark: 5,
    _with_remark: 5,
    _report: 3,
}
