"""The beats that the autoencoder learns from: R peaks out of the intervals table, crops out of the recordings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Float32, Int64

from ecgray.errors import ConfigError
from ecgray.parquet import parquet_files, read_columns
from ecgray.sediff.loss import Beats
from ecgray.tables import INTERVALS
from ecgray.waveform.beats import padded_beats

Peaks = list[Int64[np.ndarray, " _"]]


@dataclass(frozen=True)
class PeakTable:
    """The R peaks of many records."""

    record_ids: pa.Array
    r_peaks: pa.ListArray

    @staticmethod
    def read(folder: Path) -> PeakTable:
        """The columns of an intervals table; `ConfigError` where it is none."""
        fields = [INTERVALS.field("record_id"), INTERVALS.field("r_peaks")]
        table = pa.concat_tables(read_columns(file, fields) for file in parquet_files(folder))
        return PeakTable(table["record_id"].combine_chunks(), table["r_peaks"].combine_chunks())

    def check(self, record_ids: pa.Array) -> None:
        """Raise `ConfigError` where a record has no row here."""
        missing = int(pc.sum(pc.invert(pc.is_in(record_ids, value_set=self.record_ids))).as_py() or 0)
        if missing:
            raise ConfigError(
                f"{missing} of {len(record_ids)} training records have no row of intervals; run jobs/measure.py on the "
                "same records."
            )

    def of(self, record_ids: pa.Array) -> Peaks:
        """The R peaks of these records, in their order; samples at 500 Hz."""
        rows = self.r_peaks.take(pc.index_in(record_ids, value_set=self.record_ids))
        values, ends = rows.flatten().to_numpy().astype(np.int64), np.cumsum(pc.list_value_length(rows).to_numpy())
        return np.split(values, ends[:-1])


def batch_beats(ecg: Float32[np.ndarray, "batch lead=12 time"], peaks: Peaks, *, most: int) -> Beats:
    """The beats of a batch that a step of training learns from, at most `most` of each record; mV at 500 Hz.

    The first whole beat of a record is always among them, the others are spread evenly.
    """
    crops, real = padded_beats(ecg, peaks, most=most)
    return Beats(torch.from_numpy(crops), torch.from_numpy(real))
