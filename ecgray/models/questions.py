"""What makes an answer to a question doubtful, whatever the recording is."""

from __future__ import annotations

import functools

from ecgray.sediff.prompt_findings import read_findings


@functools.lru_cache(maxsize=4096)
def question_flags(question: str, learnt: frozenset[str]) -> tuple[str, ...]:
    """negation, no_known_term, or term_not_learnt; empty as a rule.

    `learnt` are the terms that the classifier was trained on: an answer about another is zero-shot, and how far to
    trust it depends on the text encoder. Empty: not known.

    >>> question_flags("no atrial fibrillation", frozenset()), question_flags("banana split", frozenset())
    (('negation',), ('no_known_term',))
    >>> learnt = frozenset({"atrial fibrillation", "normal ecg"})
    >>> question_flags("AF", learnt), question_flags("abnormal ecg", learnt)
    ((), ('term_not_learnt',))
    """
    found = read_findings(question)
    if found.negated:
        return ("negation",)
    if not found.stated:
        return ("no_known_term",)
    return ("term_not_learnt",) if learnt and not found.stated <= learnt else ()
