"""A table's files on Ray Data, one by one: a worker that holds a model reads a file and writes one of its own.

No ECG passes through the object store: a row of the dataset is the name of a file. What a worker writes exists whole or
not at all, so a killed job loses at the most one file a worker, and the same command does what is missing.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray.data
from jaxtyping import Float32
from tqdm import tqdm

from ecgray.cluster.connect import connected
from ecgray.cluster.preflight import check_room
from ecgray.cluster.workers import Workers
from ecgray.errors import ClusterError, ConfigError, EcgrayError
from ecgray.parquet import parquet_files, read_footer, reading
from ecgray.tables import COUNTS_PER_MV, ecg_counts


class PartWorker(ABC):
    """One worker: made once with the job's plan, given file after file."""

    @abstractmethod
    def __init__(self, plan: Any) -> None: ...

    @abstractmethod
    def write(self, part: Path) -> int:
        """Do one file; returns how many rows it was."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Do the files of a block (one as a rule)."""
        done = [self._try(Path(part)) for part in batch["part"]]
        return {name: [one[name] for one in done] for name in done[0]}

    def _try(self, part: Path) -> dict[str, Any]:
        try:
            return {"rows": self.write(part), "failed": ""}
        except EcgrayError as error:  # a sentence for the user; anything else is a fault of ours, and Ray's to report
            return {"rows": 0, "failed": str(error)}


def rows_of(table: Path, fields: Sequence[pa.Field] = ()) -> dict[Path, int]:
    """The files of a table, and how many rows each of them has.

    Raises `ConfigError` where none has any, and for a file that cannot be read or lacks one of the columns `fields`.
    """
    rows = {part: read_footer(part, fields).num_rows for part in parquet_files(table)}
    if not sum(rows.values()):
        raise ConfigError(f"{table} has no record; see the quarantine of the ingest job that wrote it.")
    return rows


def read_signals(
    part: Path, *, batch_size: int, columns: Sequence[str]
) -> Iterator[tuple[pa.Table, Float32[np.ndarray, "batch lead=12 time=5000"]]]:
    """The recordings of a file of the records table in mV, batch after batch, each with these columns of its rows."""
    with reading(part), pq.ParquetFile(part, memory_map=True) as file:
        for rows in file.iter_batches(batch_size, columns=[*columns, "ecg"]):
            yield pa.table(rows).select(list(columns)), ecg_counts(rows["ecg"]).astype(np.float32) / COUNTS_PER_MV


def work_here(
    parts: Mapping[Path, int], worker: type[PartWorker], plan: object, *, tables: Sequence[Path], gpu: bool
) -> float | None:
    """As `work_through`, in this process; returns seconds a row of what it did, None where nothing was left.

    Seconds of this process's CPUs (other work on the machine does not count), on a GPU those on the wall.
    """
    clock = time.perf_counter if gpu else time.process_time
    missing = [part for part in parts if not (tables[-1] / part.name).exists()]
    if not missing:
        return None
    one, start = worker(plan), clock()
    for part in missing:
        one.write(part)
    return (clock() - start) / sum(parts[part] for part in missing)


def work_through(
    parts: Mapping[Path, int],
    worker: type[PartWorker],
    plan: object,
    *,
    tables: Sequence[Path],
    size: Workers,
    name: str,
    purpose: str,
) -> float:
    """Have every file done that is not yet in the last of `tables`, which the workers write; returns rows a second.

    `parts` says how many rows count in each file. `name` stands at the bar, `purpose` in a refusal. The rate is that of
    this run, the start of its workers included: 0 where nothing was left to do. Raises `ClusterError` with the sentence
    of the first file that failed.
    """
    start = time.perf_counter()
    for table in tables:
        for left_over in table.glob(".*.parquet.*"):
            left_over.unlink(missing_ok=True)
    missing = [part for part in parts if not (tables[-1] / part.name).exists()]
    if not missing:
        return 0.0
    total, left = sum(parts.values()), sum(parts[part] for part in missing)
    workers = min(size.number, len(missing))
    with connected(), tqdm(total=total, initial=total - left, unit="record", desc=name) as bar:
        check_room(workers=workers, cpus=size.cpus, gpus=int(size.gpu), spare_cpus=0, purpose=purpose)
        named = ray.data.from_items([{"part": str(part)} for part in missing], override_num_blocks=len(missing))
        worked = named.map_batches(
            worker,
            fn_constructor_args=(plan,),
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=size.cpus,
            num_gpus=float(size.gpu),
        )
        for row in worked.iter_rows():
            if row["failed"]:
                raise ClusterError(row["failed"])
            bar.update(row["rows"])
    return left / (time.perf_counter() - start)
