"""The most similar admissions of a pool, exactly: weighted Jaccard over three views, SE-Diff Eq. 21-22.

    tau(u, v) = sum_X lambda_X J(E_u^X, E_v^X),    J(A, B) = |A n B| / |A u B|,  0 where both are empty

Counting what two admissions share costs most. A code that many admissions have is kept as a column of bytes, 0 or 1 for
each admission: a query adds up the columns of its codes, some dozens of whole-pool additions of bytes. The many codes
that few admissions have are kept as lists of those admissions.

The pool lies in blocks of admissions of like sizes. Within a block |A u B| is at least max(|A|, least |B|), and at
least |A| + least |B| - greatest |A n B|; the larger of the two bounds tau by sum_X lambda_X |A n B| / that: small
whole numbers, one multiplication a view. Only admissions whose bound reaches the k-th best found so far are compared
exactly, in the order of what their block can reach by its sizes, until no block can reach it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int32, Int64, UInt, UInt8
from scipy.sparse import csr_matrix

from ecgray.ehr.profiles import Profiles, View
from ecgray.errors import ConfigError

OFTEN = 0.03
"""Frequency from which a code has a column: what adding a column costs, in the time that one entry of a list takes."""
BLOCKS = 16
"""Blocks of a large pool: the more, the closer the bounds, and the more calls."""
LEAST_BLOCK, MOST_BLOCK = 1 << 13, 1 << 15
"""Admissions that are compared at a stretch at the least, and at the most: what a processor's own cache holds."""
BANDS = 4
"""Parts of the pool by how many drugs; in each the number of diagnoses rises."""
_TRIED = 60
"""Admissions beyond those wanted that are compared for a first guess."""
_WAITING = 4000
"""Admissions that wait to be compared exactly together: fewer calls, and a floor that rises a little later."""
_SCALE = 1 << 15
"""What a bound of sum_X lambda_X is as a whole number."""


@dataclass(frozen=True)
class _Index:
    """One view of the pool."""

    sizes: Int32[np.ndarray, " place"]
    columns: UInt8[np.ndarray, "column place"]
    """1 where an admission has the code of a column, 0 elsewhere."""
    column: Int32[np.ndarray, " code"]
    """The column of each code; -1 where it has a list."""
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
    often = np.flatnonzero(np.bincount(view.codes, minlength=view.names) > OFTEN * total)
    column = np.full(view.names, -1, np.int32)
    column[often] = np.arange(len(often))
    place = np.empty(total, np.int32)
    place[order] = np.arange(total)
    rows, which = np.repeat(place, view.sizes()), column[view.codes]
    columns = np.zeros((len(often), total), np.uint8)
    columns[which[which >= 0], rows[which >= 0]] = 1
    rare = which < 0
    entries = (np.ones(int(rare.sum()), np.uint8), (view.codes[rare], rows[rare]))
    lists = csr_matrix(entries, shape=(view.names, total))  # in linear time
    lists.sort_indices()
    sizes = view.sizes()[order].astype(np.int32)
    blocks = np.arange(0, total, block)
    extremes = np.stack([np.minimum.reduceat(sizes, blocks), np.maximum.reduceat(sizes, blocks)])
    return _Index(sizes, columns, column, lists.indptr.astype(np.int64), lists.indices.astype(np.int32), extremes)


class Searcher:
    """Finds admissions in a pool, one query at a time; it holds the memory for that, so use one in each process."""

    def __init__(self, pool: Pool, *, weights: Weights, k: int) -> None:
        self.pool, self.weights, self.k = pool, tuple(weights), k
        self._total = sum(weights)
        self._owners = np.sort(pool.owner)
        size = min(pool.block, len(pool))
        most = max(int(index.sizes.max(initial=0)) for index in pool.views)
        self._shared: list[Any] = [np.zeros(len(pool), np.min_scalar_type(most)) for _ in pool.views]
        bound = np.uint16 if 3 * most < _SCALE else np.uint32  # rounding up adds one for each code that is shared
        self._scaled, self._bound = np.empty(size, bound), np.empty(size, bound)

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
            sizes = [self._count(at, view.row(number)) for at, view in enumerate(queries.views)]
            found, values = self._search_one(sizes, mine)
            rows[number, : len(found)], tau[number, : len(found)] = found, values
        return rows, tau

    def _count(self, at: int, codes: Int32[np.ndarray, " code"]) -> int:
        """Count the codes of one view that each admission of the pool shares; returns how many there are."""
        index, shared = self.pool.views[at], self._shared[at]
        shared.fill(0)
        column = index.column[codes]
        for each in column[column >= 0].tolist():
            np.add(shared, index.columns[each], out=shared)
        for code in codes[column < 0].tolist():  # an admission stands once in a list
            shared[index.places[index.starts[code] : index.starts[code + 1]].astype(np.intp)] += 1
        return len(codes)

    def _search_one(
        self, sizes: list[int], owner: int
    ) -> tuple[Int64[np.ndarray, " found"], Float64[np.ndarray, " found"]]:
        own = np.searchsorted(self._owners, [owner, owner + 1])
        best = _Best(self.k + int(own[1] - own[0]), self.pool.rank)  # one's own are found, too, and left out at the end
        reach, waiting = self._reach(sizes), list[Any]()
        for block in np.argsort(-reach, kind="stable").tolist():
            if reach[block] <= 0 or reach[block] < best.least:
                break
            waiting.append(self._promising(block, sizes, best))
            if best.least <= 0 or sum(map(len, waiting)) > _WAITING:
                self._settle(waiting, sizes, best)
        self._settle(waiting, sizes, best)
        kept = (self.pool.owner[best.places] != owner) & (best.tau > 0)
        return self.pool.rank[best.places[kept]][: self.k], best.tau[kept][: self.k]

    def _reach(self, sizes: list[int]) -> Float64[np.ndarray, " block"]:
        """What tau can be in each block by the sizes alone."""
        total = np.zeros(-(-len(self.pool) // self.pool.block))
        for index, size, weight in zip(self.pool.views, sizes, self.weights, strict=True):
            nearest = np.clip(size, *index.extremes)
            total += weight * (np.minimum(nearest, size) / np.maximum(np.maximum(nearest, size), 1))
        return total

    def _promising(self, block: int, sizes: list[int], best: _Best) -> Int64[np.ndarray, " some"]:
        """The places of a block whose bound reaches the best so far."""
        start = block * self.pool.block
        bound = self._bounds(block, sizes)
        least, tried = best.least, best.wanted + _TRIED
        if least <= 0 and tried < len(bound):  # what the most promising ones reach, the best reach, too
            some = np.argpartition(bound, -tried)[-tried:]
            least = float(np.partition(self._exact(some + start, sizes), _TRIED)[_TRIED])
        floor = max(int(least / self._total * _SCALE * (1 - 1e-9)), 1)
        return np.flatnonzero(bound >= bound.dtype.type(floor)) + start

    def _settle(self, waiting: list[Any], sizes: list[int], best: _Best) -> None:
        """Compare the places that wait exactly."""
        if waiting:
            places = np.concatenate(waiting)
            best.add(places, self._exact(places, sizes))
            waiting.clear()

    def _bounds(self, block: int, sizes: list[int]) -> UInt[np.ndarray, " within"]:
        """What tau / sum_X lambda_X of each admission of a block is at most, times `_SCALE`."""
        start = block * self.pool.block
        here = slice(start, min(start + self.pool.block, len(self.pool)))
        scaled, bound = self._scaled[: here.stop - start], self._bound[: here.stop - start]
        bound.fill(0)
        for index, size, counted, weight in zip(self.pool.views, sizes, self._shared, self.weights, strict=True):
            shared, least = counted[here], int(index.extremes[0, block])
            union = max(size, least, size + least - int(shared.max()), 1)
            step = int(weight / self._total * _SCALE / union * (1 + 1e-9)) + 1
            np.copyto(scaled, shared)
            np.multiply(scaled, scaled.dtype.type(step), out=scaled)
            np.add(bound, scaled, out=bound)
        return bound

    def _exact(self, places: Int64[np.ndarray, " some"], sizes: list[int]) -> Float64[np.ndarray, " some"]:
        """Tau of these places."""
        tau = np.zeros(len(places))
        for index, size, counted, weight in zip(self.pool.views, sizes, self._shared, self.weights, strict=True):
            shared = counted[places]
            union = index.sizes[places] + (size - shared.astype(np.int32))
            tau += weight * (shared / np.maximum(union, 1))
        return tau


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
