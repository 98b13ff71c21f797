"""No patient on both sides of a split: whoever was learnt from cannot judge what was learnt."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ecgray.errors import ConfigError
from ecgray.parquet import parquet_files, read_columns
from ecgray.tables import RECORDS


def refuse_shared_patients(records: Path) -> None:
    """Raise `ConfigError` where a patient of a records table stands in split train and in another one."""
    fields = [RECORDS.field(name) for name in ("subject_id", "split")]
    table = pa.concat_tables(read_columns(file, fields) for file in parquet_files(records))
    refuse_shared(table["subject_id"], table["split"])


def refuse_shared(subject: pa.ChunkedArray, split: pa.ChunkedArray) -> None:
    """The same of two columns."""
    sides = pa.table({"subject": subject, "train": pc.equal(split, "train")}).group_by(["subject", "train"])
    pairs = sides.aggregate([])
    both = pairs.num_rows - len(pc.unique(pairs["subject"]))
    if both:
        raise ConfigError(
            f"{both} patients of the records stand in the training set and in another one, so that what is learnt "
            "would be scored on patients it has seen; ingest the archive again: it splits by patient."
        )
