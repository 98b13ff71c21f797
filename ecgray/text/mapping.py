"""From what a report's entities are called to the standard terms (SuPreME 3.1, Fig. 3b), one entity at a time.

In this order: what a clinician decided; the term's own name; a synonym, or a wording that means the same
(`wording.py`); an abbreviation, where the whole name is one; several findings in one name (`composite.py`); at last the
nearest term by cosine of the text encoder that is similar enough *and* that the guards let pass (`guards.py`).

SuPreME first groups entities by similarity (above 0.8) and then names the groups (0.75 on average). Groups chain:
third degree is near second, second near first. Here every entity is named by its own similarity, and groups are shown
only to whoever reviews what no term stands for.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float, Int

from ecgray.text.composite import exact_parts, likely_parts
from ecgray.text.guards import claimed_bits, clashing_bits, opposed_bits, qualifiers
from ecgray.text.terms import TERMS, Term
from ecgray.text.wording import key_of, plain_name, wording, wording_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ecgray.text.encoders import TextEncoder

How = Literal["exact", "synonym", "abbreviation", "review", "nearest", "unmapped"]
MIN_SIMILARITY = 0.75
"""SuPreME 4.1: the (average) similarity of entities to their standard term."""
GROUP_SIMILARITY = 0.8
"""SuPreME 4.1: the similarity of entities that are one."""
CANDIDATES = 3
"""Terms that are proposed beside an entity."""
_FIRST = 16
"""Wordings of the library that are looked at first, the nearest ones; all of them only where these do not settle it."""

_BLOCK = 1024
"""Texts that are encoded and compared at once; all together would fill the memory."""


@dataclass(frozen=True)
class Candidate:
    """A term near an entity."""

    term: str
    similarity: float
    passes: bool
    """Whether the guards let it pass."""


@dataclass(frozen=True)
class EntityMapping:
    """What an entity stands for."""

    entity: str
    """Lower case, single blanks."""
    terms: tuple[str, ...]
    """Names of terms; none where no term stands for it, or a clinician said that none does."""
    how: How
    similarity: float | None = None
    """Cosine with the nearest wording of the term, the lowest of several; only where similarity decided."""
    candidates: tuple[Candidate, ...] = ()
    """The nearest terms, whether they pass or not; only where similarity was asked."""
    like: str = ""
    """Of the unmapped: a more frequent unmapped entity that it resembles."""


@dataclass
class Library:
    """The terms as they are looked up: by name, wording and abbreviation, and as vectors."""

    terms: Mapping[str, Term]
    by_synonym: dict[str, str] = field(init=False)
    by_key: dict[tuple[str, ...], str] = field(init=False)
    by_abbreviation: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        keys: dict[tuple[str, ...], set[str]] = collections.defaultdict(set)
        for term in self.terms.values():
            for text in (term.name, *term.synonyms):
                keys[wording_key(text)].add(term.name)
        # A key that fits two terms settles nothing.
        self.by_key = {key: names.pop() for key, names in keys.items() if key and len(names) == 1}
        self.by_synonym = {text: term.name for term in self.terms.values() for text in term.synonyms}
        self.by_abbreviation = {short: term.name for term in self.terms.values() for short in term.abbreviations}

    def find(self, words: tuple[str, ...]) -> str | None:
        """The term that these words name."""
        return self.by_key.get(key_of(words))

    def look_up(self, entity: str) -> EntityMapping | None:
        """What an entity stands for without asking for similarity; None where that cannot be said."""
        if entity in self.terms:
            return EntityMapping(entity, (entity,), "exact")
        words = wording(entity)
        synonym = self.by_synonym.get(entity) or self.find(words)
        if synonym:
            return EntityMapping(entity, (synonym,), "synonym")
        short = self.by_abbreviation.get(entity.upper().replace(".", ""))
        if short:
            return EntityMapping(entity, (short,), "abbreviation")
        several = exact_parts(words, self.find)
        return EntityMapping(entity, several, "synonym") if several else None


def map_entities(
    names: Sequence[str],
    encoder: TextEncoder,
    *,
    min_similarity: float = MIN_SIMILARITY,
    group_similarity: float = GROUP_SIMILARITY,
    review: Mapping[str, tuple[str, ...]] | None = None,
    terms: Mapping[str, Term] = TERMS,
) -> tuple[EntityMapping, ...]:
    """What each entity stands for, in the order of `names`.

    `names` come the most frequent first, so that the frequent wording leads a group. `review` holds what a clinician
    decided: entity to names of terms, none for "stands for no term".

    >>> from ecgray.text.encoders import load_text_encoder
    >>> [one] = map_entities(["Inferior/lateral ST depression"], load_text_encoder("lexical"))
    >>> one.terms, one.how
    (('inferior st depression', 'lateral st depression'), 'synonym')
    """
    library = Library(terms)
    decided = {plain_name(entity): terms for entity, terms in (review or {}).items()}
    found: dict[str, EntityMapping] = {}
    rest: list[str] = []
    for entity in dict.fromkeys(plain_name(name) for name in names):
        if entity in decided:
            found[entity] = EntityMapping(entity, decided[entity], "review")
            continue
        known = library.look_up(entity)
        if known is None:
            rest.append(entity)
        else:
            found[entity] = known
    for one in _map_by_similarity(rest, encoder, library, min_similarity, group_similarity):
        found[one.entity] = one
    return tuple(found[plain_name(name)] for name in names)


def _map_by_similarity(
    entities: list[str], encoder: TextEncoder, library: Library, min_similarity: float, group_similarity: float
) -> list[EntityMapping]:
    if not entities:
        return []
    parts = {entity: _parts(entity) for entity in entities}
    texts = list(dict.fromkeys([*entities, *(part for several in parts.values() for part in several)]))
    vectors = directions(texts, encoder)
    asked = _nearest(texts, vectors, encoder, library, min_similarity)
    mapped = [_of_parts(asked[entity], [asked[part] for part in parts[entity]]) for entity in entities]
    return _grouped(mapped, dict(zip(texts, vectors, strict=True)), group_similarity)


def _parts(entity: str) -> tuple[str, ...]:
    parts = likely_parts(wording(entity))
    return tuple(" ".join(part) for part in parts) if len(parts) > 1 else ()


def _of_parts(whole: EntityMapping, parts: list[EntityMapping]) -> EntityMapping:
    """An entity that holds several findings: what its parts stand for, if each stands for something."""
    if not parts or not all(part.terms for part in parts):
        return whole
    names = tuple(dict.fromkeys(name for part in parts for name in part.terms))
    similarities = [part.similarity for part in parts if part.similarity is not None]
    return replace(whole, terms=names, how="nearest", similarity=min(similarities, default=1.0))


def _nearest(
    texts: list[str],
    vectors: Float[np.ndarray, "text width"],
    encoder: TextEncoder,
    library: Library,
    min_similarity: float,
) -> dict[str, EntityMapping]:
    """The nearest term of each text that is similar enough and passes the guards; a part may also be found by name."""
    wordings = [(text, term.name) for term in library.terms.values() for text in (term.name, *term.synonyms)]
    known = directions([text for text, _ in wordings], encoder)
    found = {}
    for start in range(0, len(texts), _BLOCK):
        for text, near in zip(texts[start:], vectors[start : start + _BLOCK] @ known.T, strict=False):
            name = library.find(wording(text))
            if name:
                found[text] = EntityMapping(text, (name,), "synonym")
                continue
            first = np.argpartition(-near, min(_FIRST, len(near)) - 1)[:_FIRST]
            one = _best(text, first[np.argsort(-near[first], kind="stable")], near, wordings, min_similarity)
            if not one.terms and near[first].min() >= min_similarity:
                one = _best(text, np.argsort(-near, kind="stable"), near, wordings, min_similarity)
            found[text] = one
    return found


def _best(
    text: str,
    order: Int[np.ndarray, " wording"],
    similarity: Float[np.ndarray, " every"],
    wordings: list[tuple[str, str]],
    min_similarity: float,
) -> EntityMapping:
    """The first wording of `order` that is near enough and passes.

    It may claim nothing that the text lacks; the term's name, which may say more than its synonym, must not clash.
    """
    own = qualifiers(text)
    candidates: dict[str, Candidate] = {}
    best: Candidate | None = None
    for place in order:
        words, name = wordings[place]
        near = float(similarity[place])
        if near < min_similarity and len(candidates) >= CANDIDATES:
            break
        said = qualifiers(words)
        fits = not (opposed_bits(own, said) or claimed_bits(own, said) or clashing_bits(own, qualifiers(name)))
        candidate = Candidate(name, round(near, 4), fits)
        if len(candidates) < CANDIDATES or name in candidates:
            before = candidates.setdefault(name, candidate)
            candidates[name] = replace(before, passes=before.passes or fits)
        if fits and near >= min_similarity:
            best = candidate
            break
    shown = tuple(candidates.values())
    if best is None:
        return EntityMapping(text, (), "unmapped", candidates=shown)
    return EntityMapping(text, (best.term,), "nearest", best.similarity, shown)


def _grouped(
    mapped: list[EntityMapping], vectors: Mapping[str, Float[np.ndarray, " width"]], group_similarity: float
) -> list[EntityMapping]:
    """Note of each unmapped entity the more frequent one that it resembles. A group has one leader: nothing chains."""
    unmapped = [one.entity for one in mapped if not one.terms]
    if not unmapped:
        return mapped
    like: dict[str, str] = {}
    for leader, near in zip(
        unmapped, _alike(np.stack([vectors[one] for one in unmapped]), group_similarity), strict=True
    ):
        if leader in like:
            continue
        for place in near:
            other = unmapped[place]
            if other not in like and not opposed_bits(qualifiers(leader), qualifiers(other)):
                like[other] = leader
    return [replace(one, like=like.get(one.entity, "")) for one in mapped]


def _alike(vectors: Float[np.ndarray, "text width"], least: float) -> Iterator[Int[np.ndarray, " later"]]:
    """Of each row, the later rows that are similar."""
    for start in range(0, len(vectors), _BLOCK):
        similar = vectors[start : start + _BLOCK] @ vectors[start:].T >= least
        for row in range(len(similar)):
            yield start + row + 1 + np.flatnonzero(similar[row, row + 1 :])


def directions(texts: Sequence[str], encoder: TextEncoder) -> Float[np.ndarray, "text width"]:
    """The texts' vectors at length 1, so that their products are cosines; zeros stay zeros."""
    blocks = [encoder.encode(texts[start : start + _BLOCK]) for start in range(0, len(texts), _BLOCK)]
    vectors = np.concatenate([np.zeros((0, encoder.width), np.float32), *blocks])
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length == 0, 1, length)).astype(np.float32)


def count_how(mapped: Iterable[EntityMapping]) -> dict[str, int]:
    """How many entities went which way; `one_to_many` counts those with several terms, whichever way they went."""
    mapped = list(mapped)
    ways: tuple[How, ...] = ("exact", "synonym", "abbreviation", "review", "nearest", "unmapped")
    counts: dict[str, int] = {way: sum(one.how == way for one in mapped) for way in ways}
    return counts | {"one_to_many": sum(len(one.terms) > 1 for one in mapped)}
