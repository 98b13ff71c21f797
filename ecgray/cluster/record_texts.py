"""The text that stands for a record: its report, or the terms of its labels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64

from ecgray.parquet import parquet_files, read_columns
from ecgray.tables import LABELS, RECORDS
from ecgray.text.terms import narrowest
from ecgray.training.shards import Selection, select


@dataclass(frozen=True)
class RecordTexts:
    """Which text each record has; an empty text is none."""

    record_ids: pa.Array
    texts: pa.Array

    @staticmethod
    def read(records: Path, labels: Path | None) -> RecordTexts:
        """The reports of a records table; where there are labels, their narrowest terms, joined by commas."""
        if labels is None:
            fields = [RECORDS.field(name) for name in ("record_id", "report")]
            table = pa.concat_tables(read_columns(file, fields) for file in parquet_files(records))
            texts = pc.utf8_trim_whitespace(pc.fill_null(table["report"], ""))
        else:
            fields = [LABELS.field(name) for name in ("record_id", "terms")]
            table = pa.concat_tables(read_columns(file, fields) for file in parquet_files(labels))
            texts = pa.chunked_array([[", ".join(narrowest(terms or ())) for terms in table["terms"].to_pylist()]])
        return RecordTexts(table["record_id"].combine_chunks(), texts.combine_chunks())

    def of(self, record_ids: pa.Array) -> pa.Array:
        """The texts of these records, in their order; empty where a record has none."""
        return pc.fill_null(self.texts.take(pc.index_in(record_ids, value_set=self.record_ids)), "")

    def distinct(self) -> pa.Array:
        """Every text once, sorted; the empty one is left out."""
        found = pc.unique(self.texts)
        return found.filter(pc.not_equal(found, "")).sort()


def with_text(records: Path, texts: RecordTexts, *, split: str) -> tuple[Selection, pa.Array]:
    """The records of a split that have a text, and their texts."""
    whole = select(records, None, split=split)
    found = texts.of(whole.record_ids)
    kept = pc.not_equal(found, "").to_numpy(zero_copy_only=False)
    return _subset(whole, kept), found.filter(pa.array(kept))


def _subset(selection: Selection, kept: Bool[np.ndarray, " record"]) -> Selection:
    """Some of the records of a selection without terms."""
    mask = pa.array(kept)
    none: Int64[np.ndarray, " _"] = np.zeros(int(kept.sum()) + 1, np.int64)
    return dataclasses.replace(
        selection,
        group=selection.group[kept],
        row=selection.row[kept],
        record_ids=selection.record_ids.filter(mask),
        subject_ids=selection.subject_ids.filter(mask),
        term_start=none,
    )
