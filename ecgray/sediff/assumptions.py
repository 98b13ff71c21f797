"""What a text leaves out and every reader takes for granted: a regular rhythm at a usual rate.

The denoiser was told the rate of most ECGs that it learnt from. Where it is told neither rate nor rhythm it mixes all
that it has seen: of 16 ECGs of "normal ecg" the RR intervals varied by 22 % in the median, of "first degree av block"
by 20 %. Told a usual rate, by 3 and 2 %, and each finding keeps its own measures.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from ecgray.sediff.prompt_findings import read_findings
from ecgray.sediff.prompts import Prompt, understood
from ecgray.text.terms import TERMS, with_parents

RATE_BPM, SPREAD_BPM = 72.0, 10.0
"""Sinus rhythm at rest: mean and deviation; cut to whole numbers between the limits below."""
SLOWEST_USUAL_BPM, FASTEST_USUAL_BPM = 60.0, 99.0
_RHYTHMS = {"rhythm", "pacing"}
"""Groups of terms that say what sets the pace, or how it is disturbed."""
_IRREGULAR = {"second degree av block", "third degree av block", "high-grade av block"} | {
    "variable av block",
    "intermittent av block",
}
"""Findings of other groups, and all below them, that say so, too."""
_PACE = re.compile(
    r"\b(?:rates?|bpm|hr|rhythms?|rhythmic|(?:ir)?regular\w*|tachy\w*|brady\w*|fast\w*|slow\w*|rapid\w*|pac(?:ed?|ing)"
    r"|pacemaker|a[ -]fib\w*|fib\w*|flutter\w*|asystol\w*|arrest|pauses?|escape|ectop\w*|extrasystol\w*|beats?"
    r"|\w*arrhythm\w*|dysrhythm\w*|premature)\b|\d\s*/\s*min",
    re.IGNORECASE,
)
"""Words that say something of it, where no term does."""


@functools.lru_cache(maxsize=4096)
def says_rhythm(text: str) -> bool:
    """Whether a text says, or denies, anything of rate or rhythm, in a term or in a word.

    >>> says_rhythm("left bundle branch block"), says_rhythm("Afib with LBBB"), says_rhythm("LVH, irregular")
    (False, True, True)
    """
    found = read_findings(text)
    names = set(with_parents(found.stated | found.negated))
    terms = any(TERMS[name].group in _RHYTHMS for name in names) or not names.isdisjoint(_IRREGULAR)
    return terms or _PACE.search(text) is not None


def assumed_rate(prompt: Prompt, seed: int, number: int) -> float | None:
    """The heart rate in bpm that ECG `number` of a seed is drawn at; None where the prompt itself says rate or rhythm.

    >>> assumed_rate(Prompt(text="normal ecg"), 7, 0), assumed_rate(Prompt(text="normal ecg, 80 bpm"), 7, 0)
    (72.0, None)
    """
    if understood(prompt).heart_rate_bpm is not None or not read_findings(prompt.text).stated:
        return None
    if says_rhythm(prompt.text) or says_rhythm(prompt.experience):
        return None
    rate = np.random.default_rng((seed, number)).normal(RATE_BPM, SPREAD_BPM)
    return float(np.clip(np.round(rate), SLOWEST_USUAL_BPM, FASTEST_USUAL_BPM))


def with_assumptions(prompts: Sequence[Prompt], seed: int, numbers: Int64[np.ndarray, " ecg"]) -> list[Prompt]:
    """The prompts with what they leave out: what a generator is to be told."""
    rates = [assumed_rate(prompt, seed, number) for prompt, number in zip(prompts, numbers.tolist(), strict=True)]
    return [
        prompt if rate is None else dataclasses.replace(prompt, heart_rate_bpm=rate)
        for prompt, rate in zip(prompts, rates, strict=True)
    ]
