"""What the tables say of each record that an ECG could be drawn from: texts, retrieved report, age, sex, heart rate."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

from ecgray.errors import ConfigError
from ecgray.parquet import parquet_files, read_columns, table_folder
from ecgray.sediff.prompts import MOST_CHARACTERS, Prompt, printable
from ecgray.tables import EXPERIENCE, INTERVALS, LABELS, RECORDS
from ecgray.text.terms import narrowest
from ecgray.waveform.morphologies import class_of

Wordings = Literal["report", "terms", "both"]
_TOLD = ("record_id", "subject_id", "split", "age", "sex", "report", "rr_ms")
_PLAUSIBLE_RR_MS = (200.0, 3000.0)


@dataclass(frozen=True)
class Sources:
    """Where the tables lie: OUT of their jobs, or the tables themselves."""

    records: Path
    labels: Path | None = None
    intervals: Path | None = None
    experience: Path | None = None


@dataclass(frozen=True)
class Conditions:
    """One row a record."""

    record_ids: pa.Array
    subject_ids: pa.Array
    splits: list[str]
    reports: list[str]
    """The report as the source words it; empty where there is none, or it is not wanted."""
    terms: list[str]
    """The narrowest of the labels' terms in one line; empty where there are none, or they are not wanted."""
    experience: list[str]
    numbers: Float32[np.ndarray, "record number=3"]
    """Age, sex (M: 1), heart rate in bpm; NaN where unknown."""
    cls: Int64[np.ndarray, " record"]
    """The class of the simulator's that the beat is judged by; -1 for none."""

    def __len__(self) -> int:
        return len(self.splits)

    def take(self, rows: Int64[np.ndarray, " row"]) -> Conditions:
        """Some of the records."""

        def some(column: list[str]) -> list[str]:
            return [column[row] for row in rows]

        return Conditions(
            record_ids=self.record_ids.take(pa.array(rows)),
            subject_ids=self.subject_ids.take(pa.array(rows)),
            splits=some(self.splits),
            reports=some(self.reports),
            terms=some(self.terms),
            experience=some(self.experience),
            numbers=self.numbers[rows],
            cls=self.cls[rows],
        )

    def prompt(self, row: int) -> Prompt:
        """What would be asked for to get this record: its report where it has one, else its terms."""
        age, sex, rate = (None if np.isnan(value) else float(value) for value in self.numbers[row])
        report = printable(self.reports[row])
        return Prompt(
            text=(report if report.strip() else self.terms[row])[:MOST_CHARACTERS],
            age=age,
            sex=None if sex is None else "FM"[int(sex)],
            heart_rate_bpm=rate if rate is None or 20 <= rate <= 300 else None,
            experience=printable(self.experience[row])[:MOST_CHARACTERS],
        )

    def told(self) -> Int64[np.ndarray, " _"]:
        """The records of which there is a text."""
        return np.flatnonzero([bool(printable(a).strip() or b) for a, b in zip(self.reports, self.terms, strict=True)])


def read_conditions(
    sources: Sources, *, splits: Collection[str], wordings: Wordings, classes: tuple[str, ...] = ()
) -> Conditions:
    """The records of these splits, in the order of their table.

    The heart rate is the recorder's where it told one that is plausible, else the measured one. Raises `ConfigError`
    where `wordings` asks for terms and there are no labels, or a table is of other records, whatever their split.
    """
    records = _columns(sources.records, "records", _TOLD, RECORDS)
    everyone = records["record_id"]
    records = records.filter(pc.is_in(records["split"], value_set=pa.array(sorted(splits), pa.string())))
    ids = records["record_id"].combine_chunks()
    labels = _aligned(sources.labels, "labels", "terms", LABELS, ids, everyone) or [()] * len(ids)
    if wordings != "report" and sources.labels is None:
        raise ConfigError(f"wordings={wordings} needs terms; give --labels, or --wordings report.")
    measured = _aligned(sources.intervals, "intervals", "rr_ms", INTERVALS, ids, everyone) or [None] * len(ids)
    experience = _aligned(sources.experience, "experience", "experience", EXPERIENCE, ids, everyone) or [""] * len(ids)
    sexes = {"M": 1.0, "F": 0.0}
    numbers = [
        records["age"].to_pylist(),
        [sexes.get(sex) for sex in records["sex"].to_pylist()],
        [_rate(rr) or _rate(own) for rr, own in zip(records["rr_ms"].to_pylist(), measured, strict=True)],
    ]
    return Conditions(
        record_ids=ids,
        subject_ids=records["subject_id"].combine_chunks(),
        splits=records["split"].to_pylist(),
        reports=[text or "" for text in records["report"].to_pylist()] if wordings != "terms" else [""] * len(ids),
        terms=[", ".join(narrowest(terms or ())) if wordings != "report" else "" for terms in labels],
        experience=[text or "" for text in experience],
        numbers=np.array(numbers, np.float32).reshape(3, -1).T.copy(),
        cls=np.array([class_of(set(terms or ()), classes) for terms in labels], np.int64),
    )


def _rate(rr_ms: float | None) -> float | None:
    """Heart rate in bpm; None where the interval is no heart's."""
    low, high = _PLAUSIBLE_RR_MS
    return 60_000 / rr_ms if rr_ms is not None and low <= rr_ms <= high else None


def _columns(source: Path, name: str, columns: tuple[str, ...], schema: pa.Schema) -> pa.Table:
    fields = [schema.field(column) for column in columns]
    return pa.concat_tables(read_columns(file, fields) for file in parquet_files(table_folder(source, name)))


def _aligned(
    source: Path | None, name: str, column: str, schema: pa.Schema, ids: pa.Array, everyone: pa.ChunkedArray
) -> list[Any] | None:
    """A column of another table, in the order of `ids`; None where there is no such table, and in rows it lacks."""
    if source is None:
        return None
    table = _columns(source, name, ("record_id", column), schema)
    known = table["record_id"].combine_chunks()
    if len(everyone) and not pc.any(pc.is_in(everyone, value_set=known)).as_py():
        raise ConfigError(
            f"none of {len(everyone):,} records stands in {source}; give the OUT that was made from these records."
        )
    return table[column].combine_chunks().take(pc.index_in(ids, value_set=known)).to_pylist()
