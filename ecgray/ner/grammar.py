"""The statement grammar: statements as machines and cardiologists word them, and what they say.

Every term of the vocabulary is drawn in every wording, at sites, with ages, rates and conduction, hedged, negated,
joined, as a cause. What it draws is what the embedded model knows; what lies outside is `strangers.py`'s.

Rules that hold for every drawn statement, and so for what the model learns:

- a hedge makes a finding Uncertain; a negation leaves it out;
- "and", "&" and "/" carry a hedge on to the next finding, "with" and a comma do not; "or" makes both Uncertain;
- rate and conduction stay with their head: "atrial flutter with 2:1 block" is one entity;
- the age of an infarct is part of it where a term has it; "age undetermined" adds nothing;
- remarks about the patient, the comparison or the confirmation are no findings.
"""

from __future__ import annotations

import functools
import random
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ecgray.ner.phrases import base_form, owners, reword
from ecgray.ner.words import Site, common_terms, frames, paraphrases, sites, wordings
from ecgray.text.entities import Certainty, Entity, Reading
from ecgray.text.terms import TERMS

Part = Literal["train", "held out"]

AND_LIKE = frozenset({"and", "&", "/", ", and", "as well as", "or", ", or", "and/or", "plus", "+"})
_CONDUCTION: Mapping[str, Mapping[str, str]] = {
    "atrial fibrillation": {"controlled": "atrial fibrillation with controlled ventricular response"},
    "atrial flutter": {
        "fixed": "atrial flutter with fixed av conduction",
        "variable": "atrial flutter with variable av conduction",
        "controlled": "atrial flutter",
    },
    "supraventricular tachycardia": {
        "fixed": "supraventricular tachycardia",
        "variable": "supraventricular tachycardia",
    },
    "atrial tachycardia": dict.fromkeys(["fixed", "variable"], "atrial tachycardia with av block"),
}
"""How each head is conducted, and the term that head and conduction are together."""
_COMMON = 0.4
"""Part of the findings that is drawn from the terms that most reports speak of."""
_HELD_OUT = 10
"""One in so many pairs of term and hedge is never trained on."""


@dataclass(frozen=True)
class Finding:
    """A stretch of a statement and the terms that it names."""

    text: str
    terms: tuple[str, ...]
    cited: str


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


# --- findings


@functools.cache
def _families() -> Mapping[str, tuple[tuple[Site, str], ...]]:
    """What several sites share, as "st elevation": each site and its term."""
    found: dict[str, list[tuple[Site, str]]] = {}
    for name in TERMS:
        cut = cut_site(name)
        if cut:
            found.setdefault(cut[1], []).append((cut[0], name))
    return {rest: tuple(each) for rest, each in found.items() if len(each) > 1}


def cut_site(name: str) -> tuple[Site, str] | None:
    """The site in a term's name, and the name without it ("acute inferior X" gives "acute X")."""
    for site in sites():
        for before in ("", "acute ", "recent ", "old "):
            start = f"{before}{site.name} "
            if name.startswith(start) and "fascicular" not in name and "escape" not in name:
                return site, before + name.removeprefix(start)
    return None


def draw_finding(rng: random.Random, *, term: str | None = None) -> Finding:
    """A finding in one of its wordings."""
    if term is None and rng.random() < 0.10:
        return _several_sites(rng)
    name = term or rng.choice(common_terms() if rng.random() < _COMMON else _names())
    cut = cut_site(name)
    if cut and cut[1] in _families() and rng.random() < 0.65:
        text = _at_sites(reword(_age_placed(cut[1], rng), rng), (cut[0],), rng)
        return Finding(text, (_owner(text, name),), text)
    dice = rng.random()
    each = paraphrases().get(name, ()) if dice > 0.6 else ()
    each = each or wordings()[name][: 1 if dice < 0.25 else None]
    text = _varied(_at_a_lead(reword(rng.choice(each), rng), rng), name, rng)
    found = Finding(text, (_owner(text, name),), text)
    return _decorated(found, rng)


_LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")


def _at_a_lead(text: str, rng: random.Random) -> str:
    """A wording that names lead V1 as an example, at any lead, and now and then without the word: "v4 omitted"."""
    lead = rng.choice(_LEADS)
    return re.sub(r"\blead v1\b", lead if rng.random() < 0.2 else f"lead {lead}", text)


_PREDICATE = re.compile(
    r"(short|prolonged|long|tall|flat|low|high|inverted|biphasic|peaked|notched|wide|broad|narrow|abnormal|irregular|"
    r"deep|absent|intermittent|frequent|reversed|elevated|depressed|delayed|slow|fast|rapid|poor|prominent|nonspecific|"
    r"indeterminate|vertical|horizontal|superior|retrograde|wandering|unstable|paced|misplaced|accelerated|incomplete|"
    r"complete|multifocal|paroxysmal|normal|interpolated|diffuse|variable|bifid|giant|reciprocal) ([a-z' -]+[a-z'])"
)
_SPARE = re.compile(r"waves?|segment|interval|complex(es)?|rhythm|pattern|leads?|qrs|type")


def _varied(text: str, name: str, rng: random.Random) -> str:
    """Now and then the words in another order, as a sentence, one more between them, or a spare one left out.

    So the model learns to hear the words and not their order. What becomes another term's wording is left as it was.
    """
    words, dice = text.split(), rng.random()
    if len(words) < 2 or dice > 0.18 or not text.replace(" ", "").replace("-", "").isalpha():
        return text
    stated = _PREDICATE.fullmatch(text) if dice < 0.04 else None
    if stated:
        varied = [stated[2], "are" if stated[2].endswith("s") else rng.choice(["is", "is", "appears"]), stated[1]]
    elif dice < 0.06:
        turn = rng.randrange(1, len(words))
        varied = [*words[turn:], *words[:turn]] if rng.random() < 0.6 else rng.sample(words, len(words))
    elif dice < 0.12:
        place = rng.randrange(1, len(words))
        varied = [
            *words[:place],
            rng.choice([*frames()["severity"], "the", "of", "of the", "a", "some"]),
            *words[place:],
        ]
    else:
        spare = [place for place, word in enumerate(words) if _SPARE.fullmatch(word)]
        if not spare or len(words) < 3:
            return text
        place = rng.choice(spare)
        varied = [*words[:place], *words[place + 1 :]]
    other = " ".join(varied)
    return other if owners().get(base_form(other), name) == name else text


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(TERMS)


def _owner(text: str, name: str) -> str:
    """The term whose wording the text is; a rewritten wording may be that of a narrower term."""
    return owners().get(base_form(text), name)


def _age_placed(rest: str, rng: random.Random) -> str:
    """The age before its finding, as "acute myocardial infarction", or after it."""
    found = re.match(r"(acute|recent|old) (.+)", rest)
    if not found or rng.random() < 0.5:
        return rest
    age, what = found.groups()
    return rng.choice([f"{what}, {age}", f"{what} - {age}", f"{what} {age}", f"{what} ({age})"])


def _at_sites(rest: str, at: Sequence[Site], rng: random.Random) -> str:
    """A finding at one or several sites, in one of the ways to say so."""
    names = [site.name for site in at]
    joint = rng.choice([" and ", "/", ", ", " & ", " and "]) if len(at) > 1 else ""
    where = joint.join(names)
    found = re.match(r"(acute|recent|old|new|prior|previous) (.+)", rest)
    age, what = (found.group(1) + " ", found.group(2)) if found else ("", rest)
    choices = [
        *[f"{age}{where} {what}"] * 6,
        f"{age}{what} in {where} leads",
        f"{age}{what}, {where} leads",
        f"{age}{what} in the {where} leads",
        f"{age}{where} lead {what}",
        f"{age}{what} of the {where} wall",
        f"{age}{where} wall {what}",
        f"{age}{what} in {where} region",
        f"{age}{what}, {where}",
        f"{age}{what} ({where})",
        f"{age}{what} - {where}",
        f"{where} {age}{what}",
        f"{age}{what} {where} leads",
    ]
    if len(at) == 1 and at[0].adverb:
        choices.append(f"{age}{what} {at[0].adverb}")
    if len(at) == 1 and at[0].leads:
        leads = rng.choice(at[0].leads)
        choices += [f"{age}{what} in {leads}", f"{age}{what} in leads {leads}", f"{age}{what}, {leads}"]
    return rng.choice(choices)


def _several_sites(rng: random.Random) -> Finding:
    """One finding at two or three sites: each is a term."""
    rest, each = rng.choice(list(_families().items()))
    chosen = rng.sample(each, min(len(each), rng.choice([2, 2, 2, 3])))
    text = _at_sites(reword(_age_placed(rest, rng), rng), [site for site, _ in chosen], rng)
    whole = owners().get(base_form(text))
    return Finding(text, (whole,) if whole else tuple(name for _, name in chosen), text)


def _decorated(found: Finding, rng: random.Random) -> Finding:
    """Now and then how severe it is, its age, its rate, its conduction, its abbreviation."""
    text, (name,) = found.text, found.terms
    cited, dice = found.cited, rng.random()
    if dice < 0.12:
        severity = rng.choice(frames()["severity"])
        more = owners().get(base_form(f"{severity} {text}"))
        if more:
            return Finding(f"{severity} {text}", (more,), f"{severity} {text}")
        return Finding(f"{severity} {text}", (name,), cited)
    if "infarction" in name and not re.match("acute|old|recent", name) and dice < 0.5:
        return Finding(glue(text, rng.choice(frames()["age_after"])), (name,), cited)
    if name in _CONDUCTION and dice < 0.5:
        kind, together = rng.choice(list(_CONDUCTION[name].items()))
        whole = glue(text, rng.choice(frames()[kind]))
        return Finding(whole, (together,), whole if together != name else cited)
    if TERMS[name].group == "technical" and dice < 0.35:
        return Finding(f"{text} {rng.choice(frames()['at_leads'])}".replace(" ,", ","), (name,), cited)
    if TERMS[name].group in ("rhythm", "pacing") and dice < 0.22:
        return Finding(glue(text, _rate(rng)), (name,), cited)
    if dice > 0.8 and (measure := _measure(name)):
        return Finding(glue(text, numbered(rng.choice(frames()[measure]), rng)), (name,), cited)
    if dice > 0.95:
        short = [each for each in wordings()[name] if len(each) < 6 and each != text]
        if short:
            return Finding(f"{text} ({rng.choice(short)})", (name,), cited)
    return found


def _measure(name: str) -> str | None:
    """How a finding is measured, as a kind of frame."""
    if re.search("interval|duration|first degree|prolonged", name):
        return "measure_ms"
    if re.search("st (elevation|depression)|amplitude|voltage", name):
        return "measure_mm"
    return "measure_degrees" if "axis" in name else None


def _rate(rng: random.Random) -> str:
    return numbered(rng.choice(frames()["rate"]), rng)


def numbered(text: str, rng: random.Random) -> str:
    """The text with numbers in place of its signs."""
    return re.sub("#", lambda _: _number(rng), text)


def _number(rng: random.Random) -> str:
    """A count, a size in mm or mV, or a rate, a duration, an angle."""
    dice = rng.random()
    if dice < 0.2:
        return str(rng.randint(1, 19))
    return f"{rng.uniform(0.1, 9):.1f}" if dice < 0.3 else str(rng.randint(20, 480))


def glue(left: str, right: str) -> str:
    """Two stretches, with a blank unless the right one begins with a sign."""
    return f"{left}{right}" if right.startswith((",", ";", ":")) else f"{left} {right}"


# --- statements


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
    """Two to four findings; a hedge before the first is carried on by "and"."""
    number = rng.choice([2, 2, 2, 2, 3, 3, 4])
    said: list[tuple[Finding, Certainty | None]] = []
    text, carried = "", False
    for place in range(number):
        found = draw_finding(rng)
        join = rng.choice(frames()["join"]) if place else ""
        carried = carried and join in AND_LIKE
        hedged = None
        if rng.random() < 0.22:
            hedged = _hedge(found, rng, part="train", before_only=True)
        carried = carried or bool(hedged)
        piece = hedged or found.text
        text = glue(glue(text, join), piece) if place else piece
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
    head = Finding(spelled, (_owner(spelled, name),), spelled)
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
        if rng.random() < 0.2:
            text = f"{text} or {_abnormal_finding(rng).text}"
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
    _negated: 9,
    _without: 6,
    _otherwise: 2,
    _remark: 5,
    _with_remark: 5,
    _report: 3,
}
