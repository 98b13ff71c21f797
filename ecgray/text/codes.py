"""From an archive's codes to standard terms.

A code reads `<system>:<code>`: `scp` (PTB-XL), `snomed` (PhysioNet Challenges, Chapman-Shaoxing-Ningbo), `cpsc` (the
words that CPSC2018 writes), `aha`, and `demo`, whose codes are the standard terms themselves.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ecgray.text.terms import TERMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@functools.cache
def _by_code() -> Mapping[str, tuple[str, ...]]:
    named: dict[str, tuple[str, ...]] = {}
    for term in TERMS.values():
        for code in term.codes:
            named[code] = (*named.get(code, ()), term.name)
    return named


def terms_of_code(code: str) -> tuple[str, ...]:
    """The terms that a code stands for; none where the vocabulary does not know it.

    >>> terms_of_code("scp:NORM"), terms_of_code("demo:atrial flutter"), terms_of_code("scp:NEW")
    (('normal ecg',), ('atrial flutter',), ())
    """
    system, _, own = code.partition(":")
    if system == "demo":
        return (own,) if own in TERMS else ()
    return _by_code().get(code, ())


def terms_of_codes(codes: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The terms of a record's codes and the codes that none stands for, both sorted and without repetition.

    >>> terms_of_codes(["scp:SR", "snomed:426783006", "scp:NEW"])
    (('sinus rhythm',), ('scp:NEW',))
    """
    given = set(codes)
    terms = {term for code in given for term in terms_of_code(code)}
    return tuple(sorted(terms)), tuple(sorted(code for code in given if not terms_of_code(code)))


def likely_codes(
    codes: Sequence[str], likelihoods: Sequence[float | None] | None, *, min_likelihood_percent: float
) -> list[str]:
    """The codes whose likelihood is at least the given one.

    A code without a likelihood is kept, and so is one of likelihood 0: PTB-XL writes 0 where its annotators gave none
    (every rhythm and form statement). At 0 % every code is kept, as the public PTB-XL benchmarks do.

    >>> likely_codes(["scp:LVH", "scp:IMI", "scp:SR"], [100.0, 35.0, 0.0], min_likelihood_percent=50.0)
    ['scp:LVH', 'scp:SR']
    """
    if not likelihoods:
        return list(codes)
    assert len(likelihoods) == len(codes), "one likelihood a code"
    pairs = zip(codes, likelihoods, strict=True)
    return [code for code, likelihood in pairs if not likelihood or likelihood >= min_likelihood_percent]
