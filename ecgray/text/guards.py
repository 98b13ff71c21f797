"""What no similarity may bring together: first and third degree, left and right, elevation and depression.

A text encoder puts opposites next to each other, because all their other words agree (SuPreME's Table 6: third and
second degree AV block at 0.98). So each text is read for its qualifiers, by plain word lists, and two rules hold:

- *Opposed* texts are never the same finding: each names a side of a family, and not the same. It is symmetric.
- A text may stand for a *wider* finding, never for a narrower one: what a term *claims* (a site, a side, an age, a
  degree, completeness, a direction) its entity must hold. "Inferior ST elevation" may become "ST elevation", not the
  other way round.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ecgray.text.wording import wording

if TYPE_CHECKING:
    from collections.abc import Mapping

Verdict = Literal["same", "wider", "narrower", "beside", "opposed"]


@dataclass(frozen=True)
class Family:
    """Qualifiers of one kind. Each side is a set of words, in the spelling of `wording`."""

    name: str
    sides: Mapping[str, str]
    """Side to its words."""
    shared: bool = False
    """Whether texts that share a side agree even where one names more: inferior, inferior and lateral."""
    unclaimed: frozenset[str] = frozenset()
    """Sides that a term may name though its entity does not; "*" for all."""
    kept: frozenset[str] = frozenset()
    """Sides that no text may lose: an incomplete block is no block of that name, a negated finding is none."""


FAMILIES = (
    Family("degree", {"first": "first", "second": "second", "third": "third"}),
    Family("type", {"one": "one", "two": "two", "three": "three"}),
    Family("ratio", {"2": "2to1", "3": "3to1", "4": "4to1", "5": "5to1", "variable": "variable"}),
    Family("side", {"left": "left leftward", "right": "right rightward"}),
    Family(
        "level",
        {
            "high": "high tall increased large peaked giant prominent",
            "low": "low decreased flat small reduced diminished",
        },
    ),
    Family("length", {"long": "long wide widened broad", "short": "short narrow"}),
    Family("st", {"elevation": "elevation", "depression": "depression"}),
    Family(
        "completeness", {"complete": "complete", "incomplete": "incomplete partial"}, kept=frozenset({"incomplete"})
    ),
    Family(
        "origin",
        {
            "sinus": "sinus sinoatrial",
            "atrial": "atrial biatrial",
            "junctional": "junctional",
            "ventricular": "ventricular biventricular idioventricular",
            "supraventricular": "supraventricular",
        },
    ),
    Family("focus", {"sinus": "sinus", "ectopic": "ectopic ectopy"}),
    Family(
        "pace",
        {"fast": "tachycardia tachy rapid fast", "slow": "bradycardia brady slow", "accelerated": "accelerated"},
    ),
    Family(
        "kind",
        {"fibrillation": "fibrillation", "flutter": "flutter", "tachycardia": "tachycardia", "standstill": "arrest"},
    ),
    Family("timing of a beat", {"premature": "premature", "escape": "escape"}),
    Family(
        "beats in a row",
        {
            "bigeminy": "bigeminy bigeminal",
            "trigeminy": "trigeminy trigeminal",
            "quadrigeminy": "quadrigeminy",
            "pair": "couplet paired pair",
            "triplet": "triplet",
        },
    ),
    Family("polarity", {"inverted": "inversion negative", "upright": "upright positive"}, kept=frozenset({"upright"})),
    Family(
        "age",
        {
            "acute": "acute evolving new active",
            "recent": "recent subacute",
            "old": "old healed remote",
            "chronic": "chronic",  # it is still there: a previous atrial fibrillation is no chronic one
        },
    ),
    Family(
        "course",
        {
            "paroxysmal": "paroxysmal intermittent nonsustained",
            "lasting": "chronic persistent permanent sustained incessant",
        },
    ),
    Family(
        "site",
        {
            "anterior": "anterior anteroseptal anterolateral anteroapical",
            "inferior": "inferior inferolateral inferoposterior inferoposterolateral inferoseptal",
            "lateral": "lateral anterolateral inferolateral posterolateral inferoposterolateral",
            "septal": "septal anteroseptal inferoseptal",
            "posterior": "posterior inferoposterior posterolateral inferoposterolateral",
            "apical": "apical anteroapical",
        },
        shared=True,
    ),
    Family("rotation", {"clockwise": "clockwise", "counterclockwise": "counterclockwise"}),
    Family(
        "normality",
        {
            "normal": "normal",
            "abnormal": "abnormality deviation disturbance disorder defect deviated",
        },
        unclaimed=frozenset({"abnormal"}),
    ),
    Family("pacing", {"paced": "paced pacemaker", "unpaced": "unpaced nonpaced"}, kept=frozenset({"unpaced"})),
    Family("leads", {"chest": "chest", "limb": "limb", "arm": "arm"}),
    Family("timing", {"early": "early", "late": "late delayed"}),
    Family(
        "lesion",
        {
            "infarction": "infarction",
            "ischemia": "ischemia ischemic",
            "injury": "injury",
            "aneurysm": "aneurysm",
        },
    ),
    Family(
        "wave",
        {name: name for name in ("p", "q", "r", "s", "t", "u", "st", "pr", "qt", "qrs")},
        shared=True,
        unclaimed=frozenset({"*"}),
    ),
    Family("without a wave", {"without": "nonst nonq"}, kept=frozenset({"without"})),
    Family("negation", {"negated": "no not without absent absence non never excluded"}, kept=frozenset({"negated"})),
    *(
        Family(words.split()[0], {"held": words})
        for words in (
            "blocked nonconducted",
            "subendocardial",
            "nonspecific",
            "nondiagnostic",
            "congenital",
            "multifocal polymorphic",
            "fragmented notched",
            "strain",
            "biphasic",
            "diffuse widespread extensive",
            "hypertrophy enlargement overload dilatation",
            "block",
            "deviation",
            "reversal reversed misplaced misplacement",
            "fusion",
            "aberrant aberration",
            "frequent",
            "marked severe",
            "biventricular dual",
            "controlled",
            "interpolated",
            "retrograde",
            "alternating",
            "reciprocal",
            "secondary",
            "upsloping",
            "downsloping",
            "horizontal",
        )
    ),
)


def _bits() -> tuple[dict[str, int], list[tuple[int, bool]], int, int]:
    """The bits of each word, each family's bits and whether it is shared, the claiming bits, the kept bits."""
    of_word: dict[str, int] = {}
    families, claiming, kept, bit = [], 0, 0, 1
    for family in FAMILIES:
        mask = 0
        for side, words in family.sides.items():
            for word in words.split():
                of_word[word] = of_word.get(word, 0) | bit
            mask |= bit
            kept |= bit if side in family.kept else 0
            claiming |= 0 if family.unclaimed & {side, "*"} else bit
            bit <<= 1
        families.append((mask, family.shared))
    return of_word, families, claiming, kept


_OF_WORD, _MASKS, _CLAIMING, _KEPT = _bits()
_NO_LEVEL = {("high", "lateral"), ("low", "atrial"), ("low", "right"), ("low", "left")}
"""Places, not amounts: a high lateral infarction, a low atrial rhythm."""


@functools.lru_cache(maxsize=1 << 16)
def qualifiers(text: str) -> int:
    """The qualifiers of a text, a bit each. Only for `opposed_bits` and `claimed_bits`."""
    words = wording(text)
    found = 0
    for word, after in itertools.pairwise([*words, ""]):
        if (word, after) not in _NO_LEVEL:
            found |= _OF_WORD.get(word, 0)
    if {"biatrial", "biventricular"} & set(words):
        found |= _OF_WORD["left"] | _OF_WORD["right"]
    return found


def opposed_bits(one: int, other: int) -> bool:
    """Whether two texts with these qualifiers cannot be the same finding."""
    return bool((one ^ other) & _KEPT) or clashing_bits(one, other)


def clashing_bits(one: int, other: int) -> bool:
    """Whether two texts with these qualifiers name different sides of a family."""
    for mask, shared in _MASKS:
        a, b = one & mask, other & mask
        if a and b and (not a & b if shared else a != b):
            return True
    return False


def claimed_bits(entity: int, term: int) -> int:
    """The qualifiers that the term claims and the entity does not hold."""
    return term & ~entity & _CLAIMING


def same_family(one: str, other: str) -> bool:
    """Whether two words are sides of one family, as two sites or two waves are.

    >>> same_family("inferior", "lateral"), same_family("st", "t"), same_family("left", "block")
    (True, True, False)
    """
    a, b = _OF_WORD.get(one, 0), _OF_WORD.get(other, 0)
    return any(a & mask and b & mask for mask, _ in _MASKS)


def opposed(one: str, other: str) -> bool:
    """Whether two texts cannot be the same finding, whatever their similarity.

    >>> opposed("third degree av block", "second degree av block"), opposed("st elevation", "inferior st elevation")
    (True, False)
    """
    return opposed_bits(qualifiers(one), qualifiers(other))


def passes(entity: str, term: str) -> bool:
    """Whether an entity may be called by a term: not opposed, and the term claims nothing that the entity lacks.

    >>> passes("inferior st elevation", "st elevation"), passes("st elevation", "inferior st elevation")
    (True, False)
    """
    one, other = qualifiers(entity), qualifiers(term)
    return not opposed_bits(one, other) and not claimed_bits(one, other)


def verdict(one: str, other: str) -> Verdict:
    """How the first text stands to the second, by their qualifiers alone.

    >>> verdict("complete right bundle branch block", "right bundle branch block")
    'narrower'
    """
    a, b = qualifiers(one), qualifiers(other)
    if opposed_bits(a, b):
        return "opposed"
    more, less = bool(claimed_bits(b, a)), bool(claimed_bits(a, b))
    if more and less:
        return "beside"
    return "narrower" if more else "wider" if less else "same"
