"""What a trainer reads: ECGs out of the records table, each with the terms that hold for it."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ecgray.errors import ConfigError
from ecgray.leads import LEADS
from ecgray.parquet import parquet_files, read_columns, read_footer
from ecgray.tables import ECG_BYTES, LABELS, RECORD_GROUP, RECORDS, SAMPLES, SIGNALS, ecg_counts
from ecgray.training.order import Order
from ecgray.training.patients import refuse_shared

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from jaxtyping import Bool, Float32, Int16, Int64, Real


Piece = TypeVar("Piece")
Kind = type[np.int16] | type[np.float32]
"""Counts of 1/1000 mV as they are stored (half the way to a GPU), or as a CPU computes with them (one copy less)."""
READ_AHEAD = 2
"""Batches that wait while one is computed; the thread has one more in hand."""


@dataclass(frozen=True)
class Selection:
    """The records of one split that training may see, and the terms that hold for each.

    `group` counts row groups over all files; `row` counts within a row group.
    """

    terms: tuple[str, ...]
    files: tuple[Path, ...]
    group_file: Int64[np.ndarray, "group"]
    group_number: Int64[np.ndarray, "group"]
    group_rows: Int64[np.ndarray, "group"]
    group: Int64[np.ndarray, "record"]
    row: Int64[np.ndarray, "record"]
    record_ids: pa.Array
    subject_ids: pa.Array
    term_start: Int64[np.ndarray, "_"]
    term_index: Int64[np.ndarray, "_"]
    unlabelled: int
    """Records of the split without a row in the labels table: left out."""
    held_out: int
    """Records of the split that carry an unseen term: left out."""

    def __len__(self) -> int:
        return len(self.group)

    def targets(self, records: Int64[np.ndarray, "batch"]) -> Float32[np.ndarray, "batch term"]:
        """1 where the term holds for the record, else 0."""
        target = np.zeros((len(records), len(self.terms)), np.float32)
        for place, record in enumerate(records):
            target[place, self.term_index[self.term_start[record] : self.term_start[record + 1]]] = 1
        return target


def count_terms(labels: Path, *, split: str, unseen_terms: Sequence[str] = ()) -> dict[str, int]:
    """How many records of a split carry each term, most frequent first, among records without an unseen term."""
    table = _read(labels, LABELS, "split", "terms")
    table = table.filter(pc.equal(table["split"], split))
    terms = table["terms"].combine_chunks()
    kept = terms.filter(pa.array(~_holds_any(terms, unseen_terms)))
    counts = pc.value_counts(kept.flatten()).to_pylist()
    pairs = sorted((-pair["counts"], pair["values"]) for pair in counts)
    return {term: -count for count, term in pairs}


def select(
    records: Path, labels: Path | None, *, split: str, terms: Sequence[str] = (), unseen_terms: Sequence[str] = ()
) -> Selection:
    """The records of `split` that have a row of labels and carry none of `unseen_terms`, in the order of the files.

    Without labels all records of the split. Only the columns that identify a record are read. Raises `ConfigError`
    where the tables do not fit each other, or a patient stands in split train and in another one.
    """
    files = parquet_files(records)
    group_rows = [_group_rows(path) for path in files]
    who = _read(records, RECORDS, "record_id", "subject_id", "split")
    refuse_shared(who["subject_id"], who["split"])
    labelled = _read(labels, LABELS, "record_id", "terms") if labels else _without_terms(who["record_id"])
    match = pc.index_in(who["record_id"], value_set=labelled["record_id"].combine_chunks()).combine_chunks()

    of_split = pc.equal(who["split"], split).to_numpy(zero_copy_only=False)
    has_labels = match.is_valid().to_numpy(zero_copy_only=False)
    held = labelled["terms"].combine_chunks().take(match.filter(match.is_valid()))
    unseen = np.zeros(len(of_split), bool)
    unseen[has_labels] = _holds_any(held, unseen_terms)
    kept = of_split & has_labels & ~unseen

    rows = np.concatenate(group_rows)
    group = np.repeat(np.arange(len(rows)), rows)
    row = np.arange(len(group)) - np.repeat(np.cumsum(rows) - rows, rows)
    start, index = _term_indices(held.filter(pa.array(kept[has_labels])), terms)
    return Selection(
        terms=tuple(terms),
        files=tuple(files),
        group_file=np.repeat(np.arange(len(files)), [len(rows) for rows in group_rows]),
        group_number=np.concatenate([np.arange(len(rows)) for rows in group_rows]),
        group_rows=rows,
        group=group[kept],
        row=row[kept],
        record_ids=who["record_id"].combine_chunks().filter(pa.array(kept)),
        subject_ids=who["subject_id"].combine_chunks().filter(pa.array(kept)),
        term_start=start,
        term_index=index,
        unlabelled=int((of_split & ~has_labels).sum()),
        held_out=int((of_split & unseen).sum()),
    )


def _read(table: Path, schema: pa.Schema, *names: str) -> pa.Table:
    """Some columns of a table."""
    fields = [schema.field(name) for name in names]
    return pa.concat_tables(read_columns(file, fields) for file in parquet_files(table))


def _without_terms(record_ids: pa.ChunkedArray) -> pa.Table:
    """Labels that say nothing of these records."""
    return pa.table({"record_id": record_ids, "terms": pa.array([[]] * len(record_ids), pa.list_(pa.string()))})


def _group_rows(path: Path) -> Int64[np.ndarray, "group"]:
    """How many rows each row group of a records file holds."""
    footer = read_footer(path, SIGNALS)
    written = footer.schema.to_arrow_schema().metadata or {}
    for name, value in (RECORDS.metadata or {}).items():
        if written.get(name) != value:
            raise ConfigError(
                f"{path} says {name.decode()}={written.get(name, b'nothing').decode()}; the records table of this "
                f"version says {value.decode()}. Ingest the archive again."
            )
    return np.array([footer.row_group(number).num_rows for number in range(footer.num_row_groups)], np.int64)


def _holds_any(lists: pa.ListArray, terms: Sequence[str]) -> Bool[np.ndarray, "record"]:
    holds = np.zeros(len(lists), bool)
    hit = pc.is_in(lists.flatten(), value_set=pa.array(list(terms), pa.string()))
    holds[pc.list_parent_indices(lists).to_numpy()[hit.to_numpy(zero_copy_only=False)]] = True
    return holds


def _term_indices(lists: pa.ListArray, terms: Sequence[str]) -> tuple[Int64[np.ndarray, "_"], Int64[np.ndarray, "_"]]:
    """The column of each term that holds, records one after another; terms outside `terms` are passed over."""
    column = pc.index_in(lists.flatten(), value_set=pa.array(list(terms), pa.string()))
    known = column.is_valid().to_numpy(zero_copy_only=False)
    record = pc.list_parent_indices(lists).to_numpy()[known]
    start = np.zeros(len(lists) + 1, np.int64)
    np.cumsum(np.bincount(record, minlength=len(lists)), out=start[1:])
    return start, column.drop_null().to_numpy().astype(np.int64)


class GroupReader:
    """ECGs of a selection, read by whole row groups; the last ones read stay in memory up to `memory_bytes`.

    Where a selection fits into `memory_bytes` it is read once.
    """

    def __init__(self, selection: Selection, *, memory_bytes: float) -> None:
        self._selection = selection
        self._memory_bytes = memory_bytes
        self._kept: OrderedDict[int, Int16[np.ndarray, "row lead=12 time=5000"]] = OrderedDict()
        self._kept_bytes = 0
        self._open = functools.lru_cache(maxsize=16)(self._open_file)

    def ecgs(
        self, records: Int64[np.ndarray, "batch"], *, kind: Kind = np.int16
    ) -> Real[np.ndarray, "batch lead=12 time=5000"]:
        """The stored counts of these records, in this order; cheapest where those of one row group stand together."""
        ecgs = np.empty((len(records), len(LEADS), SAMPLES), kind)
        groups, rows = self._selection.group[records].tolist(), self._selection.row[records].tolist()
        for place, (group, row) in enumerate(zip(groups, rows, strict=True)):
            ecgs[place] = self._group(group)[row]
        return ecgs

    def _group(self, group: int) -> Int16[np.ndarray, "row lead=12 time=5000"]:
        counts = self._kept.pop(group, None)
        if counts is None:
            counts = self._read(group)
            self._kept_bytes += counts.nbytes
        self._kept[group] = counts
        while self._kept_bytes > self._memory_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= dropped.nbytes
        return counts

    def _read(self, group: int) -> Int16[np.ndarray, "row lead=12 time=5000"]:
        path = self._selection.files[self._selection.group_file[group]]
        number = int(self._selection.group_number[group])
        return ecg_counts(self._open(path).read_row_group(number, columns=["ecg"], use_threads=False)["ecg"])

    @staticmethod
    def _open_file(path: Path) -> pq.ParquetFile:
        return pq.ParquetFile(path, memory_map=True)


@dataclass(frozen=True)
class Share:
    """What one worker computes in one step."""

    step: int
    """From 0."""
    records: int
    """Records of this step over all workers."""
    rows: Int64[np.ndarray, "batch"]
    """The records of this share, as numbers within the selection."""
    ecg: Real[np.ndarray, "batch lead=12 time=5000"]
    """Counts of 1/1000 mV."""
    target: Float32[np.ndarray, "batch term"]
    factor: float
    """Counts this worker's mean loss; see `Order.share`."""


def training_shares(
    selection: Selection,
    order: Order,
    *,
    steps: range,
    rank: int,
    world: int,
    memory_bytes: float,
    kind: Kind = np.int16,
) -> Generator[Share]:
    """The shares of one worker in these steps, read ahead by a thread. Memory: at least one window of row groups."""
    window_bytes = (order.window_groups + 2) * ECG_BYTES * int(selection.group_rows.max())
    reader = GroupReader(selection, memory_bytes=max(memory_bytes, window_bytes))

    def read() -> Iterator[Share]:
        for step in steps:
            records, factor = order.share(step, rank=rank, world=world)
            ecg = reader.ecgs(records, kind=kind)
            yield Share(step, order.batch_records(step), records, ecg, selection.targets(records), factor)

    return read_ahead(read)


def ordered_batches(
    selection: Selection,
    records: Int64[np.ndarray, "record"],
    *,
    batch_size: int,
    rank: int,
    world: int,
    kind: Kind = np.int16,
) -> Generator[Real[np.ndarray, "batch lead=12 time=5000"]]:
    """The ECGs of one worker's part of `records` (numbers within the selection), in their order."""
    mine = np.array_split(records, world)[rank]
    reader = GroupReader(selection, memory_bytes=2 * RECORD_GROUP * ECG_BYTES)
    starts = range(0, len(mine), batch_size)
    return read_ahead(lambda: (reader.ecgs(mine[start : start + batch_size], kind=kind) for start in starts))


def read_ahead(source: Callable[[], Iterator[Piece]]) -> Generator[Piece]:
    """What `source` yields, computed by a thread up to `READ_AHEAD` pieces ahead; its errors are raised here."""
    pieces: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=READ_AHEAD)
    stopped = threading.Event()

    def hand_over(kind: str, value: Any) -> bool:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                pieces.put((kind, value), timeout=0.1)
                return True
        return False

    def run() -> None:
        try:
            for piece in source():
                if not hand_over("piece", piece):
                    return
            hand_over("end", None)
        except BaseException as error:  # raised again where the pieces are used
            hand_over("error", error)

    thread = threading.Thread(target=run, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = pieces.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
        thread.join()
