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
from ecgray.sediff.prompt_findings import read_findings

MOST_CHARACTERS = 2000
"""Characters of a prompt, and of a retrieved report, at the most."""
SLOWEST_BPM, FASTEST_BPM = 20.0, 300.0
OLDEST = 120.0
_NUMBER = r"(?<!\d\.)\b(\d+(?:\.\d+)?)"
_RATE = re.compile(
    rf"{_NUMBER}\s*(?:bpm\b|/\s*min\b|beats (?:per|a) minute\b)"
    rf"|\b(?:rate|hr)\s{{0,3}}(?:of|is|at|[:=])?\s{{0,3}}{_NUMBER}\b"
)
_AGE = re.compile(
    rf"{_NUMBER}[\s-]*(?:years?|yrs?|y)[\s-]*(?:old|of age)\b|{_NUMBER}\s*y/?o\b|\bage[d:]?\s*{_NUMBER}\b"
)
_FEMALE, _MALE = re.compile(r"\b(female|woman|girl|lady)\b"), re.compile(r"\b(male|man|boy|gentleman)\b")
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


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
            if _NO_TEXT.search(text):
                raise ConfigError(
                    f"{name} holds control characters, or bytes that are not UTF-8; write it as plain text."
                )
            if len(text) > MOST_CHARACTERS:
                raise ConfigError(
                    f"{name} has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read. Shorten it."
                )
        if self.age is not None and not 0 <= self.age <= OLDEST:
            raise ConfigError(f"age={self.age:g} must lie between 0 and {OLDEST:g} years.")
        if self.sex not in (None, "F", "M"):
            raise ConfigError(f"sex={self.sex[:12]!r} must be F or M, or left out.")
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


def printable(text: str) -> str:
    """A text of some record as a prompt may hold it: a space for every control character."""
    return _NO_TEXT.sub(" ", text)


def _said(text: str) -> tuple[float | None, str | None, float | None]:
    plain = text.lower()
    (age, _), (rate, _) = _number(_AGE, plain, 0, OLDEST), _number(_RATE, plain, SLOWEST_BPM, FASTEST_BPM)
    female, male = _FEMALE.search(plain), _MALE.search(plain)
    return age, ("F" if female else "M") if bool(female) != bool(male) else None, rate


def _number(pattern: re.Pattern[str], plain: str, low: float, high: float) -> tuple[float | None, bool]:
    """The first number within the limits, and whether there is one beyond them."""
    found = [float(next(filter(None, each.groups()))) for each in pattern.finditer(plain)]
    within = [value for value in found if low <= value <= high]
    return within[0] if within else None, len(within) < len(found)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one generator is known not to draw."""

    not_drawn: tuple[str, ...] = ()
    """Findings that came out as something else when its drawings were looked at; narrower ones count as these."""
    rates_bpm: tuple[float, float] = (SLOWEST_BPM, FASTEST_BPM)
    """Heart rates that it follows."""


def flags(prompt: Prompt, limits: Limits = Limits()) -> list[str]:
    """What is odd about a prompt, as stable words (docs/generation.md); empty as a rule.

    >>> flags(Prompt(text="sinus bradycardia, 150 bpm"))
    ['rate_against_text']
    >>> flags(Prompt(text="complete heart block"), Limits(not_drawn=("third degree av block",)))
    ['finding_not_drawn']
    >>> flags(Prompt(text="el paciente tiene fiebre")), flags(Prompt(text="sinus rhythm", heart_rate_bpm=75))
    (['no_known_term'], [])
    """
    age, sex, said = _said(prompt.text)
    rate = prompt.heart_rate_bpm or said
    found = read_findings(prompt.text)
    slow, fast = "bradycardia" in found.implied, "tachycardia" in found.implied
    named = said is not None and prompt.heart_rate_bpm is not None and abs(said - prompt.heart_rate_bpm) > 5
    plain = prompt.text.lower()
    odd = {
        "rate_against_text": named or (rate is not None and ((slow and rate > 60) or (fast and rate < 100))),
        "age_against_text": age is not None and prompt.age is not None and abs(age - prompt.age) > 1,
        "sex_against_text": sex is not None and prompt.sex is not None and sex != prompt.sex,
        "number_out_of_range": _number(_AGE, plain, 0, OLDEST)[1] or _number(_RATE, plain, SLOWEST_BPM, FASTEST_BPM)[1],
        "text_against_itself": found.against_itself,
        "negation": bool(found.negated),
        "no_known_term": not found.stated and not found.negated,
        "finding_not_drawn": not found.implied.isdisjoint(limits.not_drawn),
        "rate_not_followed": rate is not None and not limits.rates_bpm[0] <= rate <= limits.rates_bpm[1],
    }
    return [name for name, holds in odd.items() if holds]
