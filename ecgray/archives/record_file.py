"""One file of the records table, written a recording at a time: 8 MB in memory, whole on disk or not there at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ecgray.leads import LEADS
from ecgray.tables import ECG_BYTES, RECORD_GROUP, RECORDS, SAMPLES
from ecgray.waveform.standard import StandardEcg

_DESCRIBED = [name for name in RECORDS.names if name not in {"flags", "source_fs", "source_duration_s", "ecg"}]


class RecordFile:
    """An open file of the records table; `record_file` makes one."""

    def __init__(self, writer: pq.ParquetWriter, manifest: pa.Table) -> None:
        self._writer = writer
        self._described = manifest.select(_DESCRIBED)
        self._counts = np.empty((RECORD_GROUP, len(LEADS), SAMPLES), "<i2")
        self._rows: list[int] = []
        self._ecgs: list[tuple[list[str], float, float]] = []

    def add(self, row: int, ecg: StandardEcg) -> None:
        """Add the recording that row `row` of the manifest names."""
        self._counts[len(self._rows)] = ecg.counts
        self._rows.append(row)
        self._ecgs.append((list(ecg.flags), ecg.source_fs, ecg.source_duration_s))
        if len(self._rows) == RECORD_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what was added as one row group."""
        if not self._rows:
            return
        flags, rates, durations = zip(*self._ecgs, strict=True)
        held = pa.py_buffer(self._counts)
        described = self._described.take(pa.array(self._rows))
        columns = [
            *described.columns,
            pa.array(flags, RECORDS.field("flags").type),
            pa.array(rates, pa.float32()),
            pa.array(durations, pa.float32()),
            pa.FixedSizeBinaryArray.from_buffers(pa.binary(ECG_BYTES), len(self._rows), [None, held]),
        ]
        self._writer.write_table(pa.table(columns, schema=RECORDS), row_group_size=RECORD_GROUP)
        self._rows.clear()
        self._ecgs.clear()


@contextlib.contextmanager
def record_file(path: Path, manifest: pa.Table) -> Iterator[RecordFile]:
    """Write `path`, a file of the records table, from rows of `manifest`.

    The file appears under its name when the block ends without an error, and only then. One that is there already
    stays: it was written from the same manifest by a job that has since been killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    searched = [name for name in RECORDS.names if name != "ecg"]  # least and largest ECG would be 240 kB a row group
    try:
        with pq.ParquetWriter(
            part, RECORDS, compression="none", use_dictionary=False, write_statistics=searched
        ) as writer:
            file = RecordFile(writer, manifest)
            yield file
            file.flush()
        with part.open("rb") as written:
            os.fsync(written.fileno())
            # What is on disk need not stay in memory: an archive is larger than that, and fresh pages cost more than
            # what is written into them.
            os.posix_fadvise(written.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if not path.exists():
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
