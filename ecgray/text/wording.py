"""One way to write a finding: spellings, hyphens, plurals and word order that do not change what is meant.

Two texts with the same `wording_key` say the same in other letters: "A-V block, 1st degree" and "first degree
atrioventricular block". What changes the meaning even a little (a site, a degree, a hedge) stays in the key.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_RATIO = re.compile(r"\b(\d) ?(?::|to) ?1\b")
_COORDINATORS = re.compile(r"[/,;&+]")
_SITES = "anterior|inferior|lateral|septal|posterior|apical|anteroseptal|anterolateral|inferolateral|inferoposterior"

_PHRASES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"\b(?:a v|atrio ?ventricular|auriculo ?ventricular)\b", "av"),
        (r"\b(supra|intra|inter|sub|idio|antero|infero|postero|sino|counter|anti) (?=[a-z])", r"\1"),
        (r"\b(inferopostero) (?=lateral\b)", r"\1"),
        (r"\bnon (?=specific|diagnostic|conducted|sustained|paced\b|st\b|q\b)", "non"),
        (r"\bpre (?=excit)", "pre"),
        (r"\bre (?=entr)", "re"),
        (r"\bun (?=paced\b)", "un"),
        (r"\bbi (?=atrial\b|ventricular\b|phasic\b)", "bi"),
        (r"\b(tachy|brady) (?=cardia\b)", r"\1"),
        (r"\b([pqrstu])waves?\b", r"\1 wave"),
        (r"\b([pq] ?r|q ?tc?|r ?r|p ?p) intervals?\b", r"\1"),
        (r"\bdeg\b", "degree"),
        (r"\b(?:1|1st|i) (?=degree\b)", "first "),
        (r"\b(?:2|2nd|ii) (?=degree\b)", "second "),
        (r"\b(?:3|3rd|iii) (?=degree\b)", "third "),
        (r"\bmobitz (?!type\b)", "mobitz type "),
        (r"\btype (?:1|i)\b", "type one"),
        (r"\btype (?:2|ii)\b", "type two"),
        (r"\btype (?:3|iii)\b", "type three"),
        (r"\bheart block\b", "av block"),
        (r"\bcomplete av block\b", "third degree av block"),
        (r"\b(?:electrocardiograms?|electrocardiographic|ekg)\b", "ecg"),
        (r"\b(?:mi|infarcts?|infarctions?)\b", "infarction"),
        (r"\b(?<!myocardial )infarction\b", "myocardial infarction"),
        (r"\bextrasystoles?\b", "premature complex"),
        (r"\bhemi ?blocks?\b", "fascicular block"),
        (r"\bqrs complex(?:es)?\b", "qrs"),
        (r"\b(?:of )?age (?:undetermined|indeterminate|unknown)\b|\b(?:un|in)determined age\b", ""),
        (r"\bventricular (?=response\b|rate\b)", ""),
        (rf"\b({_SITES}|limb|chest|precordial|extremity) leads?\b", r"\1"),
    ]
]
_ABBREVIATED = {
    "lbbb": "left bundle branch block",
    "rbbb": "right bundle branch block",
    "bbb": "bundle branch block",
    "lvh": "left ventricular hypertrophy",
    "rvh": "right ventricular hypertrophy",
    "lafb": "left anterior fascicular block",
    "lpfb": "left posterior fascicular block",
    "pvc": "premature ventricular complex",
    "pac": "premature atrial complex",
    "afib": "atrial fibrillation",
    "lv": "left ventricular",
    "rv": "right ventricular",
}
"""Those that mean one thing only, also inside a longer text."""
_SAME = {
    "auricular": "atrial",
    "atrium": "atrial",
    "atria": "atrial",
    "ventricle": "ventricular",
    "septum": "septal",
    "nodal": "junctional",
    "precordial": "chest",
    "extremity": "limb",
    "beat": "complex",
    "contraction": "complex",
    "depolarization": "complex",
    "elevated": "elevation",
    "depressed": "depression",
    "prolonged": "long",
    "prolongation": "long",
    "lengthened": "long",
    "shortened": "short",
    "shortening": "short",
    "inverted": "inversion",
    "flattened": "flat",
    "flattening": "flat",
    "enlarged": "enlargement",
    "pathologic": "abnormality",
    "pathological": "abnormality",
    "abnormal": "abnormality",
    "change": "abnormality",
    "alteration": "abnormality",
    "prior": "old",
    "previous": "old",
    "anticlockwise": "counterclockwise",
    "qtc": "qt",
    "preexcited": "preexcitation",
    "reentry": "reentrant",
    "pacing": "paced",
    "front": "anterior",
}
_SILENT = frozenset(
    {"a", "an", "the", "of", "in", "on", "at", "is", "are", "was", "were", "has", "there", "this", "noted", "seen"}
    | {"present", "evidence", "finding", "sign", "pattern", "wave", "segment", "wall"}
)
"""They add nothing: "T wave inversion in the inferior leads", "inferior T inversion"."""
_SPELLING = [
    (re.compile(r"isation\b"), "ization"),
    (re.compile(r"ised\b"), "ized"),
    (re.compile(r"aemi"), "emi"),
    (re.compile(r"\bhaem"), "hem"),
]


def plain_name(text: str) -> str:
    """Lower case, single blanks: how the vocabulary writes its names.

    >>> plain_name("  Sinus   RHYTHM ")
    'sinus rhythm'
    """
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


@functools.lru_cache(maxsize=1 << 16)
def wording(text: str) -> tuple[str, ...]:
    """The words of a finding in one spelling and in their order; `/`, `,` and `&` are "and".

    >>> wording("ST/T changes, 1st-degree A-V block")
    ('st', 'and', 't', 'abnormality', 'and', 'first', 'degree', 'av', 'block')
    >>> wording("Inferior MI")
    ('inferior', 'myocardial', 'infarction')
    """
    plain = _RATIO.sub(r"\1to1", plain_name(text))
    plain = _COORDINATORS.sub(" and ", plain)
    plain = " ".join(re.findall(r"[^\W_]+", plain))
    for pattern, replacement in _SPELLING:
        plain = pattern.sub(replacement, plain)
    plain = " ".join(_ABBREVIATED.get(_singular(word), word) for word in plain.split())
    for pattern, replacement in _PHRASES:
        plain = pattern.sub(replacement, plain)
    singular = (_singular(word) for word in plain.split())
    return tuple(_SAME.get(word, word) for word in singular if word not in _SILENT)


def _singular(word: str) -> str:
    """Without the ending of a plural; words of three letters (AVs, PVC) and Latin ones keep theirs.

    >>> [_singular(word) for word in ("complexes", "waves", "abnormalities", "sinus", "digitalis", "pvcs")]
    ['complex', 'wave', 'abnormality', 'sinus', 'digitalis', 'pvc']
    """
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith("xes") else word[:-1]


def key_of(words: Iterable[str]) -> tuple[str, ...]:
    """What texts of the same meaning share, from their words: order and "and" aside."""
    return tuple(sorted(word for word in words if word not in {"and", "or"}))


def wording_key(text: str) -> tuple[str, ...]:
    """What texts of the same meaning share.

    >>> wording_key("ST-elevation in inferior leads") == wording_key("inferior ST segment elevation")
    True
    """
    return key_of(wording(text))
