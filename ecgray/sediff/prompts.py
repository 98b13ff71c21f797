"""What a generator is asked for: a clinical text and, where they are known, age, sex and heart rate.

What the text itself says of rate, age and sex is read from it where no field says it; where both do and disagree, the
field is followed and a flag says so. A prompt is refused only where nothing can be made of it.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, replace

from ecgray.errors import ConfigError
from ecgray.text.lexical import plain_text
from ecgray.text.terms import TERMS

MOST_CHARACTERS = 2000
"""Characters of a prompt, and of a retrieved report, at the most."""
SLOWEST_BPM, FASTEST_BPM = 20.0, 300.0
OLDEST = 120.0
_RATE = re.compile(r"\b(\d{2,3})\s*(?:bpm\b|/\s*min\b|beats (?:per|a) minute\b)|\brate (?:of |is |at )?(\d{2,3})\b")
_AGE = re.compile(
    r"\b(\d{1,3})[\s-]*(?:years?|yrs?|y)[\s-]*(?:old|of age)\b|\b(\d{1,3})\s*y/?o\b|\bage[d:]?\s*(\d{1,3})\b"
)
_FEMALE, _MALE = re.compile(r"\b(female|woman|girl|lady)\b"), re.compile(r"\b(male|man|boy|gentleman)\b")
_OPPOSITES = (
    ("bradycardia", "tachycardia"),
    ("atrial fibrillation", "sinus rhythm"),
    ("atrial fibrillation", "first degree av block"),
    ("left bundle branch block", "right bundle branch block"),
)
"""Pairs that one 10 s strip can hardly show together."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What one ECG is to show."""

    text: str
    """Diagnoses in words, as a report states them."""
    age: float | None = None
    """Years."""
    sex: str | None = None
    """F or M."""
    heart_rate_bpm: float | None = None
    experience: str = ""
    """The retrieved report r (jobs/retrieve.py); empty where there is none."""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ConfigError(
                'a prompt is empty; write what the ECG is to show, as "sinus rhythm, anterior infarction".'
            )
        for name, text in (("a prompt", self.text), ("an experience report", self.experience)):
            if len(text) > MOST_CHARACTERS:
                raise ConfigError(
                    f"{name} has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read. Shorten it."
                )
        if self.age is not None and not 0 <= self.age <= OLDEST:
            raise ConfigError(f"age={self.age:g} must lie between 0 and {OLDEST:g} years.")
        if self.sex not in (None, "F", "M"):
            raise ConfigError("sex must be F or M, or left out.")
        if self.heart_rate_bpm is not None and not SLOWEST_BPM <= self.heart_rate_bpm <= FASTEST_BPM:
            raise ConfigError(
                f"heart_rate={self.heart_rate_bpm:g} bpm must lie between {SLOWEST_BPM:g} and {FASTEST_BPM:g}."
            )

    @property
    def hash(self) -> str:
        """Twelve digits of all that is asked: what stands in a header instead of the text."""
        asked = (self.text, self.age, self.sex, self.heart_rate_bpm, self.experience)
        return hashlib.sha256(repr(asked).encode()).hexdigest()[:12]

    @property
    def numbers(self) -> tuple[float, float, float]:
        """Age, sex (M: 1) and heart rate; NaN where not asked for."""
        sex = {None: math.nan, "F": 0.0, "M": 1.0}[self.sex]
        return tuple(math.nan if value is None else value for value in (self.age, sex, self.heart_rate_bpm))  # type: ignore[return-value]


def understood(prompt: Prompt) -> Prompt:
    """The prompt with what only its text says of age, sex and rate in the fields.

    >>> found = understood(Prompt(text="Sinus tachycardia, 130 bpm, 71-year-old woman"))
    >>> found.age, found.sex, found.heart_rate_bpm
    (71.0, 'F', 130.0)
    """
    age, sex, rate = _said(prompt.text)
    return replace(
        prompt,
        age=age if prompt.age is None else prompt.age,
        sex=sex if prompt.sex is None else prompt.sex,
        heart_rate_bpm=rate if prompt.heart_rate_bpm is None else prompt.heart_rate_bpm,
    )


def _said(text: str) -> tuple[float | None, str | None, float | None]:
    plain = text.lower()
    age, rate = _number(_AGE.search(plain), 0, OLDEST), _number(_RATE.search(plain), SLOWEST_BPM, FASTEST_BPM)
    female, male = _FEMALE.search(plain), _MALE.search(plain)
    return age, ("F" if female else "M") if bool(female) != bool(male) else None, rate


def _number(found: re.Match[str] | None, low: float, high: float) -> float | None:
    if found is None:
        return None
    value = float(next(group for group in found.groups() if group))
    return value if low <= value <= high else None


def flags(prompt: Prompt) -> list[str]:
    """What is odd about a prompt, as stable words (docs/generation.md); empty as a rule.

    >>> flags(Prompt(text="sinus bradycardia, 150 bpm"))
    ['rate_against_text']
    >>> flags(Prompt(text="el paciente tiene fiebre")), flags(Prompt(text="sinus rhythm", heart_rate_bpm=75))
    (['no_known_term'], [])
    """
    plain = f" {' '.join(plain_text(prompt.text).split())} "
    age, sex, said = _said(prompt.text)
    rate = prompt.heart_rate_bpm or said
    odd = []
    slow, fast = "bradycardia" in plain, "tachycardia" in plain
    named = said is not None and prompt.heart_rate_bpm is not None and abs(said - prompt.heart_rate_bpm) > 5
    if named or (rate is not None and ((slow and rate > 60) or (fast and rate < 100))):
        odd.append("rate_against_text")
    if age is not None and prompt.age is not None and abs(age - prompt.age) > 1:
        odd.append("age_against_text")
    if sex is not None and prompt.sex is not None and sex != prompt.sex:
        odd.append("sex_against_text")
    if any(all(f" {name} " in plain for name in pair) for pair in _OPPOSITES):
        odd.append("text_against_itself")
    words = set(re.findall(r"\w+", prompt.text))
    if not words & _ABBREVIATIONS and not any(f" {wording} " in plain for wording in _WORDINGS):
        odd.append("no_known_term")
    return odd


_WORDINGS = tuple(
    " ".join(plain_text(wording).split()) for term in TERMS.values() for wording in (term.name, *term.synonyms)
)
_ABBREVIATIONS = {short for term in TERMS.values() for short in term.abbreviations}
