"""What pre-training terms and downstream queries have in common (SuPreME 3.3, Table 6, Fig. 7).

A zero-shot score says more about questions that training never named. So each query is compared with every term, by
the cosine of their vectors; a pair at the threshold or above overlaps. An encoder puts opposites together as well
(Table 6 counts third and second degree AV block), so the guards' verdict stands beside each pair, and queries are
counted once, however many pairs or spellings they come in.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ecgray.text.guards import Verdict, verdict
from ecgray.text.mapping import directions
from ecgray.text.wording import plain_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ecgray.text.encoders import TextEncoder
    from ecgray.text.tasks import Task

THRESHOLD = 0.95
"""SuPreME 3.3."""
ROUNDING = 1e-6
"""What float32 may lose of a cosine: the same text twice is 1, not 0.9999999."""


@dataclass(frozen=True)
class Pair:
    """A term and a query that are similar."""

    term: str
    query: str
    similarity: float
    verdict: Verdict
    """How the term stands to the query by its qualifiers; `opposed` is a false overlap."""


@dataclass(frozen=True)
class Nearest:
    """The term nearest to a class of a task."""

    task: str
    name: str
    pair: Pair
    overlaps: bool
    """Whether it is near enough."""


@dataclass(frozen=True)
class Overlap:
    """What terms and queries have in common."""

    pairs: tuple[Pair, ...]
    """Every distinct pair at the threshold or above, the most similar first."""
    nearest: tuple[Nearest, ...]
    """One a class, in the tasks' order."""
    between: Mapping[tuple[str, str], int]
    """Of two tasks: how many distinct queries of the first have one in the second that is near enough."""
    queries: Mapping[str, int]
    """Distinct queries of each task."""
    false_queries: Mapping[str, int]
    """Of each task: distinct queries that overlap with opposed terms only."""
    true_queries: Mapping[str, int]
    """Of each task: distinct queries that overlap with a term that is not opposed."""

    def figures(self) -> dict[str, int]:
        """The counts; `queries_overlapping` counts each query once, in any spelling and task."""
        overlapping = {plain_name(pair.query) for pair in self.pairs}
        sound = {plain_name(pair.query) for pair in self.pairs if pair.verdict != "opposed"}
        return {
            "pairs": len(self.pairs),
            "pairs_caseless": len({(plain_name(pair.term), plain_name(pair.query)) for pair in self.pairs}),
            "pairs_opposed": sum(pair.verdict == "opposed" for pair in self.pairs),
            "pairs_wider_or_narrower": sum(pair.verdict in ("wider", "narrower", "beside") for pair in self.pairs),
            "queries": len({plain_name(one.pair.query) for one in self.nearest}),
            "queries_overlapping": len(overlapping),
            "queries_overlapping_falsely": len(overlapping - sound),
        }


def find_overlap(
    terms: Sequence[str], tasks: Iterable[Task], encoder: TextEncoder, *, threshold: float = THRESHOLD
) -> Overlap:
    """Compare every term with every query of every task, and the tasks' queries with each other.

    >>> from ecgray.text.encoders import load_text_encoder
    >>> from ecgray.text.tasks import load_task
    >>> found = find_overlap(["atrial fibrillation"], [load_task("cpsc2018")], load_text_encoder("lexical"))
    >>> [(pair.term, pair.query, pair.verdict) for pair in found.pairs]
    [('atrial fibrillation', 'atrial fibrillation', 'same')]
    """
    tasks, terms = list(tasks), list(dict.fromkeys(terms))
    assert terms, "there is something to compare with"
    asked = list(dict.fromkeys(each.query for task in tasks for each in task.classes))
    place = {query: row for row, query in enumerate(asked)}
    vectors = directions(asked, encoder)
    similarity = vectors @ directions(terms, encoder).T  # (query, term)
    least = threshold - ROUNDING
    rows, columns = np.nonzero(similarity >= least)
    pairs = [_pair(terms[c], asked[r], similarity[r, c]) for r, c in zip(rows, columns, strict=True)]
    pairs.sort(key=lambda pair: (-pair.similarity, pair.term, pair.query))
    best = similarity.argmax(axis=1)
    nearest = [
        Nearest(task.name, each.name, _pair(terms[best[row]], each.query, similarity[row, best[row]]), near)
        for task in tasks
        for each in task.classes
        for row in [place[each.query]]
        for near in [bool(similarity[row, best[row]] >= least)]
    ]
    queries = {task.name: list(dict.fromkeys(each.query for each in task.classes)) for task in tasks}
    true, false = _sound(queries, pairs)
    return Overlap(
        tuple(pairs),
        tuple(nearest),
        _between(queries, place, vectors, least),
        {name: len(own) for name, own in queries.items()},
        false,
        true,
    )


def _pair(term: str, query: str, similarity: np.floating) -> Pair:
    return Pair(term, query, round(min(float(similarity), 1.0), 4), verdict(term, query))


def _sound(queries: Mapping[str, list[str]], pairs: list[Pair]) -> tuple[dict[str, int], dict[str, int]]:
    """Of each task: the queries that overlap with a term that is not opposed, and those with opposed ones only."""
    verdicts: dict[str, set[bool]] = collections.defaultdict(set)
    for pair in pairs:
        verdicts[pair.query].add(pair.verdict != "opposed")
    true = {name: sum(True in verdicts[query] for query in own) for name, own in queries.items()}
    false = {name: sum(verdicts[query] == {False} for query in own) for name, own in queries.items()}
    return true, false


def _between(
    queries: Mapping[str, list[str]], place: Mapping[str, int], vectors: Float[np.ndarray, "query width"], least: float
) -> dict[tuple[str, str], int]:
    rows = {name: vectors[[place[query] for query in own]] for name, own in queries.items()}
    return {
        (one, other): int(((rows[one] @ rows[other].T).max(axis=1) >= least).sum()) for one in rows for other in rows
    }
