"""Admissions as three sparse sets of codes each: the tri-view profile of SE-Diff 3.4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64

Level = Literal["full", "3"]


@dataclass(frozen=True)
class View:
    """A set of codes for each admission, as the rows of a sparse matrix. Codes are numbers from 0, in no order."""

    starts: Int64[np.ndarray, " row_and_end"]
    """Where each row's codes begin; the last entry is where they end."""
    codes: Int32[np.ndarray, " entry"]
    names: int
    """How many codes there are."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, number: int) -> Int32[np.ndarray, " code"]:
        """The codes of one admission."""
        return self.codes[self.starts[number] : self.starts[number + 1]]

    def sizes(self) -> Int64[np.ndarray, " row"]:
        """How many codes each admission has."""
        return np.diff(self.starts)

    def take(self, rows: Int64[np.ndarray, " chosen"]) -> View:
        """Some admissions, in this order."""
        sizes = self.starts[rows + 1] - self.starts[rows]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        entries = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], sizes)
        return View(starts, self.codes[entries], self.names)


@dataclass(frozen=True)
class Profiles:
    """The three views of the same admissions: diagnoses, medications, procedures."""

    views: tuple[View, View, View]

    def __len__(self) -> int:
        return len(self.views[0])

    def take(self, rows: Int64[np.ndarray, " chosen"]) -> Profiles:
        """Some admissions, in this order."""
        one, two, three = (view.take(rows) for view in self.views)
        return Profiles((one, two, three))

    def sizes(self) -> Int64[np.ndarray, "view=3 row"]:
        """How many codes each view of each admission has."""
        return np.stack([view.sizes() for view in self.views])


def distinct(values: Int64[np.ndarray, " any"]) -> Int64[np.ndarray, " distinct"]:
    """The sorted values, each once. `np.unique` does it by hashing, which takes ten times as long here.

    >>> distinct(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]


def profiles_of(admissions: pa.Table, *, level: Level = "full") -> Profiles:
    """The profiles of a `tables.ADMISSIONS`; `level` 3 counts diagnoses and procedures by their first characters."""
    diagnoses = admissions["diagnoses" if level == "full" else "diagnoses_3"]
    procedures = _lists(admissions["procedures"])
    if level == "3":
        short = pc.replace_substring_regex(procedures.values, r"(:.{3}).*", r"\1")
        procedures = pa.ListArray.from_arrays(procedures.offsets, short)
    return Profiles((_view(_lists(diagnoses)), _view(_lists(admissions["medications"])), _view(procedures)))


def view_of(sets: Sequence[Sequence[str]]) -> View:
    """A view of sets of texts; repeats count once."""
    return _view(pa.array([list(each) for each in sets], pa.list_(pa.string())))


def _lists(column: pa.ChunkedArray) -> pa.ListArray:
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _view(lists: pa.ListArray) -> View:
    lists = pa.concat_arrays([lists])  # offsets from 0
    coded = lists.flatten().dictionary_encode()
    names = len(coded.dictionary)
    sizes = np.diff(lists.offsets.to_numpy())
    rows = np.repeat(np.arange(len(lists)), sizes)
    pairs = distinct(rows * max(names, 1) + coded.indices.to_numpy(zero_copy_only=False).astype(np.int64))
    starts = np.searchsorted(pairs, np.arange(len(lists) + 1) * max(names, 1))
    return View(starts, (pairs % max(names, 1)).astype(np.int32), names)
