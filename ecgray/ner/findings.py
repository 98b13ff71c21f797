"""How findings are worded: every term in every wording, at sites and leads, with age, rate, conduction and measure.

The order of words, spare words and predicates ("the pr interval is short") vary, so that the model learns to hear the
words and not their order. What becomes another term's wording belongs to that term.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ecgray.ner.phrases import base_form, owners, reword
from ecgray.ner.words import Site, common_terms, frames, paraphrases, sites, wordings
from ecgray.text.terms import TERMS

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


@dataclass(frozen=True)
class Finding:
    """A stretch of a statement and the terms that it names."""

    text: str
    terms: tuple[str, ...]
    cited: str


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
        return Finding(text, (owner_of(text, name),), text)
    dice = rng.random()
    each = paraphrases().get(name, ()) if dice > 0.6 else ()
    each = each or wordings()[name][: 1 if dice < 0.25 else None]
    text = _varied(_at_a_lead(reword(rng.choice(each), rng), rng), name, rng)
    found = Finding(text, (owner_of(text, name),), text)
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


def owner_of(text: str, name: str) -> str:
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
    if name in _families() and dice < 0.2:
        return Finding(glue(text, rng.choice(frames()["no_site"])), (name,), cited)
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
