"""The most similar admissions of a pool, exactly: weighted Jaccard over three views, SE-Diff Eq. 21-22.

    tau(u, v) = sum_X lambda_X J(E_u^X, E_v^X),    J(A, B) = |A n B| / |A u B|,  0 where both are empty

Counting what two admissions share costs most. The few codes that many admissions have are kept as bits, 64 to a word:
a word of the whole pool is counted by one AND and one population count. The many codes that few admissions have are
kept as lists of those admissions. How many words a view gets is what costs least by the codes' frequencies.

|A u B| is at least max(|A|, |B|). The pool lies in blocks of admissions of like sizes, so that within a block
sum_X lambda_X |A n B| / max(|A|, least |B|) bounds tau: whole numbers of 16 bits, one multiplication a view. Only
admissions whose bound reaches the k-th best found so far are compared exactly, in the order of what their block can
reach, until no block can reach it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int32, Int64, UInt16, UInt64
from scipy.sparse import csr_matrix

from ecgray.ehr.profiles import Profiles, View
from ecgray.errors import ConfigError

WORD = 64
BLOCKS = 40
"""Blocks of a large pool: the more, the closer the bounds, and the more calls."""
LEAST_BLOCK, MOST_BLOCK = 1 << 13, 1 << 15
"""Admissions that are compared at a stretch at the least, and at the most: what a processor's own cache holds."""
BANDS = 6
"""Parts of the pool by how many drugs; in each the number of diagnoses rises."""
_WORD_COST = 0.25
"""Looking at one word of an admission, in the time that one entry of a list takes."""
_SCALE = 1 << 14
"""What a bound of sum_X lambda_X is as a whole number."""


@dataclass(frozen=True)
class _Index:
    """One view of the pool."""

    sizes: Int32[np.ndarray, " place"]
    words: UInt64[np.ndarray, "word place"]
    """The bits of the frequent codes."""
    frequent: Int32[np.ndarray, " code"]
    """The bit of each code; -1 where it has a list."""
    starts: Int64[np.ndarray, " code_and_end"]
    places: Int32[np.ndarray, " entry"]
    """Where each rare code stands."""
    extremes: Int32[np.ndarray, "least_most=2 block"]
    """The least and the greatest size in each block."""


@dataclass(frozen=True)
class Pool:
    """Admissions to be found, sorted by sizes. Plain arrays, so that processes can share one."""

    views: tuple[_Index, _Index, _Index]
    rank: Int64[np.ndarray, " place"]
    """Which row of the profiles stands in each place: ties go to the lower."""
    owner: Int64[np.ndarray, " place"]
    """Whose admission it is."""
    block: int
    """Admissions in a block."""

    def __len__(self) -> int:
        return len(self.rank)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """lambda_1, lambda_2 and lambda_3 of Eq. 22."""

    diagnoses: float = 1.0
    medications: float = 1.0
    procedures: float = 1.0

    def __post_init__(self) -> None:
        if not (min(self) >= 0 and 0 < sum(self) < float("inf")):
            raise ConfigError(f"weights={tuple(self)} must be at least 0 each, and one of them above 0.")

    def __iter__(self) -> Iterator[float]:
        return iter((self.diagnoses, self.medications, self.procedures))


def build_pool(profiles: Profiles, owner: Int64[np.ndarray, " row"]) -> Pool:
    """An index over profiles; `owner` is a number for each patient."""
    order = _by_sizes(profiles.sizes())
    block = min(max(-(-len(profiles) // BLOCKS), LEAST_BLOCK), MOST_BLOCK)
    one, two, three = (_index(view, order, block) for view in profiles.views)
    return Pool((one, two, three), order, owner[order], block)


def _by_sizes(sizes: Int64[np.ndarray, "view=3 row"]) -> Int64[np.ndarray, " place"]:
    """The rows in bands by their number of drugs, and in each by their number of diagnoses."""
    diagnoses, medications, procedures = sizes
    by_medications = np.argsort(medications, kind="stable")
    band = np.empty(len(medications), np.int64)
    band[by_medications] = np.arange(len(medications)) * BANDS // max(len(medications), 1)
    return np.lexsort((procedures, diagnoses, band))


def _index(view: View, order: Int64[np.ndarray, " place"], block: int) -> _Index:
    total = len(view)
    counts = np.bincount(view.codes, minlength=view.names)
    by_count = np.argsort(-counts, kind="stable")
    words = _best_words(counts[by_count] / max(total, 1))
    frequent = np.full(view.names, -1, np.int32)
    frequent[by_count[: words * WORD]] = np.arange(min(words * WORD, view.names))
    place = np.empty(total, np.int32)
    place[order] = np.arange(total)
    rows, bit = np.repeat(place, view.sizes()), frequent[view.codes]
    bits = np.zeros((words, total), np.uint64)
    for word in range(words):
        here = bit // WORD == word
        np.bitwise_or.at(bits[word], rows[here], _as_bit(bit[here]))
    rare = bit < 0
    entries = (np.ones(int(rare.sum()), np.uint8), (view.codes[rare], rows[rare]))
    lists = csr_matrix(entries, shape=(view.names, total))  # in linear time
    lists.sort_indices()
    sizes = view.sizes()[order].astype(np.int32)
    blocks = np.arange(0, total, block)
    extremes = np.stack([np.minimum.reduceat(sizes, blocks), np.maximum.reduceat(sizes, blocks)])
    return _Index(sizes, bits, frequent, lists.indptr.astype(np.int64), lists.indices.astype(np.int32), extremes)


def _as_bit(numbers: Int32[np.ndarray, " code"]) -> UInt64[np.ndarray, " code"]:
    return np.uint64(1) << (numbers % WORD).astype(np.uint64)


def _best_words(frequency: Float64[np.ndarray, " code"]) -> int:
    """How many words of bits cost least; queries are like the pool, so a code comes up as often as it is there."""
    touched = np.append(np.cumsum((frequency**2)[::-1])[::-1], 0.0)  # by the lists of this code and all rarer ones
    choices = range(len(frequency) // WORD + 2)
    return min(choices, key=lambda words: words * _WORD_COST + touched[min(words * WORD, len(frequency))])


@dataclass(frozen=True)
class _Query:
    """One view of a query."""

    size: int
    bits: UInt64[np.ndarray, " word"]
    rare: Int32[np.ndarray, " code"]


class Searcher:
    """Finds admissions in a pool, one query at a time; it holds the memory for that, so use one in each process."""

    def __init__(self, pool: Pool, *, weights: Weights, k: int) -> None:
        self.pool, self.weights, self.k = pool, tuple(weights), k
        self._owners = np.sort(pool.owner)
        size = min(pool.block, len(pool))
        most = max(int(index.sizes.max(initial=0)) for index in pool.views)
        whole = np.uint8 if most <= np.iinfo(np.uint8).max else np.uint16  # what counts the codes of an admission
        self._listed: list[Any] = [np.zeros(len(pool), whole) for _ in pool.views]
        self._masked, self._counted = np.empty(size, np.uint64), np.empty(size, np.uint8)
        self._shared: list[Any] = [np.empty(size, whole) for _ in pool.views]
        self._scaled, self._bound = np.empty(size, np.uint16), np.empty(size, np.uint16)

    def search(
        self, queries: Profiles, owner: Int64[np.ndarray, " query"]
    ) -> tuple[Int64[np.ndarray, "query k"], Float64[np.ndarray, "query k"]]:
        """The `k` most similar admissions of other patients for each query, as rows of the pool's profiles, and tau.

        The most similar comes first, of equals the lower row. -1 and 0 where fewer than `k` share anything at all.
        """
        rows, tau = np.full((len(queries), self.k), -1), np.zeros((len(queries), self.k))
        if not len(self.pool):
            return rows, tau
        for number, mine in enumerate(owner.tolist()):
            query = [
                _query(index, view.row(number)) for index, view in zip(self.pool.views, queries.views, strict=True)
            ]
            found, values = self._search_one(query, mine)
            rows[number, : len(found)], tau[number, : len(found)] = found, values
        return rows, tau

    def _search_one(
        self, query: list[_Query], owner: int
    ) -> tuple[Int64[np.ndarray, " found"], Float64[np.ndarray, " found"]]:
        own = np.searchsorted(self._owners, [owner, owner + 1])
        best = _Best(self.k + int(own[1] - own[0]), self.pool.rank)  # one's own are found, too, and left out at the end
        self._count_lists(query)
        reach = self._reach(query)
        for block in np.argsort(-reach, kind="stable").tolist():
            if reach[block] <= 0 or reach[block] < best.least:
                break
            self._compare(block, query, best)
        kept = (self.pool.owner[best.places] != owner) & (best.tau > 0)
        return self.pool.rank[best.places[kept]][: self.k], best.tau[kept][: self.k]

    def _count_lists(self, query: list[_Query]) -> None:
        """Count the rare codes that each admission of the pool shares."""
        for index, one, listed in zip(self.pool.views, query, self._listed, strict=True):
            listed.fill(0)
            for code in one.rare.tolist():  # an admission stands once in a list
                places = index.places[index.starts[code] : index.starts[code + 1]].astype(np.intp)
                listed[places] += 1

    def _reach(self, query: list[_Query]) -> Float64[np.ndarray, " block"]:
        """What tau can be in each block by the sizes alone."""
        total = np.zeros(-(-len(self.pool) // self.pool.block))
        for index, one, weight in zip(self.pool.views, query, self.weights, strict=True):
            nearest = np.clip(one.size, *index.extremes)
            total += weight * (np.minimum(nearest, one.size) / np.maximum(np.maximum(nearest, one.size), 1))
        return total

    def _compare(self, block: int, query: list[_Query], best: _Best) -> None:
        """Hold the admissions of a block against the best: by their bound first, then exactly."""
        bound = self._bounds(block, query)
        least = best.least
        if least <= 0 and best.wanted < len(bound):  # a first guess: the most promising ones have some tau
            some = np.argpartition(bound, -best.wanted)[-best.wanted :]
            least = float(self._exact(block, some, query).min())
        floor = max(int(least / sum(self.weights) * _SCALE * (1 - 1e-9)), 1)
        within = np.flatnonzero(bound >= np.uint16(floor))
        if len(within):
            best.add(within + block * self.pool.block, self._exact(block, within, query))

    def _bounds(self, block: int, query: list[_Query]) -> UInt16[np.ndarray, " within"]:
        """What tau / sum_X lambda_X of each admission of a block is at most, times `_SCALE`; counts what is shared."""
        start = block * self.pool.block
        here = slice(start, min(start + self.pool.block, len(self.pool)))
        size = here.stop - start
        masked, counted = self._masked[:size], self._counted[:size]
        scaled, bound = self._scaled[:size], self._bound[:size]
        bound.fill(0)
        for number, (index, one, weight) in enumerate(zip(self.pool.views, query, self.weights, strict=True)):
            shared = self._shared[number][:size]
            np.copyto(shared, self._listed[number][here])
            for word, bits in zip(index.words, one.bits, strict=True):
                if bits:
                    np.bitwise_and(word[here], bits, out=masked)
                    np.bitwise_count(masked, out=counted)
                    np.add(shared, counted, out=shared)
            union = max(one.size, int(index.extremes[0, block]), 1)
            step = int(weight / sum(self.weights) * _SCALE / union * (1 + 1e-9)) + 1
            np.multiply(shared, np.uint16(step), out=scaled, dtype=np.uint16)
            np.add(bound, scaled, out=bound)
        return bound

    def _exact(
        self, block: int, within: Int64[np.ndarray, " within"], query: list[_Query]
    ) -> Float64[np.ndarray, " within"]:
        """Tau of some admissions of the block that `_bounds` counted last."""
        tau = np.zeros(len(within))
        places = within + block * self.pool.block
        for index, one, counted, weight in zip(self.pool.views, query, self._shared, self.weights, strict=True):
            shared = counted[within]
            union = index.sizes[places] + (one.size - shared.astype(np.int32))
            tau += weight * (shared / np.maximum(union, 1))
        return tau


def _query(index: _Index, codes: Int32[np.ndarray, " code"]) -> _Query:
    bit = index.frequent[codes]
    bits, often = np.zeros(len(index.words), np.uint64), bit[bit >= 0]
    np.bitwise_or.at(bits, often // WORD, _as_bit(often))
    return _Query(len(codes), bits, codes[bit < 0])


class _Best:
    """The best places so far, the best first, of equals that of the lower rank."""

    def __init__(self, wanted: int, rank: Int64[np.ndarray, " place"]) -> None:
        self.wanted, self._rank = wanted, rank
        self.places, self.tau = np.zeros(0, np.int64), np.zeros(0)
        self.least = 0.0
        """What a place must reach to be among the best."""

    def add(self, places: Int64[np.ndarray, " place"], tau: Float64[np.ndarray, " place"]) -> None:
        """Hold these against the best."""
        good = tau >= self.least
        places = np.concatenate([self.places, places[good]])
        tau = np.concatenate([self.tau, tau[good]])
        if len(tau) > self.wanted:  # what is left to sort are the best and those that equal the last of them
            good = tau >= np.partition(tau, -self.wanted)[-self.wanted]
            places, tau = places[good], tau[good]
        order = np.lexsort((self._rank[places], -tau))[: self.wanted]
        self.places, self.tau = places[order], tau[order]
        if len(self.tau) == self.wanted:
            self.least = float(self.tau[-1])
