"""Records and labels tables for the trainer's tests: trains of pulses whose rate, sign and height are the terms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from ecgray.parquet import write_table
from ecgray.tables import LABELS, RECORDS, ecg_bytes

TERMS = ("fast pulses", "inverted pulses", "tall pulses")


def draw_tables(
    out: Path, *, records: int, seed: int = 0, first: int = 0, rows: int = 64, group: int = 16
) -> tuple[Path, Path]:
    """Write OUT/records and OUT/labels; every fifth record is of split val. Returns both folders."""
    random = np.random.default_rng(seed)
    holds = random.random((records, len(TERMS))) < 0.5
    who = [
        {"record_id": f"wfdb:{n}", "subject_id": f"wfdb:p{n // 2}", "split": "val" if n // 2 % 5 == 4 else "train"}
        for n in range(first, first + records)
    ]
    ecg = [ecg_bytes(_pulses(row, random)) for row in holds]
    for start in range(0, records, rows):
        piece = slice(start, start + rows)
        columns = {name: pa.array([row[name] for row in who[piece]], pa.string()) for name in who[0]}
        columns["ecg"] = pa.array(ecg[piece], RECORDS.field("ecg").type)
        write_table(_fill(columns, RECORDS), out / "records" / f"part-{start:05d}.parquet", row_group=group)
    terms = [[term for term, held in zip(TERMS, row, strict=True) if held] for row in holds]
    labels = {name: pa.array([row[name] for row in who], pa.string()) for name in who[0]}
    labels["terms"] = pa.array(terms, LABELS.field("terms").type)
    write_table(_fill(labels, LABELS), out / "labels" / "part-00000.parquet")
    return out / "records", out / "labels"


def _fill(columns: dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    rows = len(next(iter(columns.values())))
    full = [columns.get(field.name, pa.nulls(rows, field.type)) for field in schema]
    return pa.table(full, schema=schema)


def _pulses(holds: np.ndarray, random: np.random.Generator) -> np.ndarray:
    fast, inverted, tall = holds
    period = int(random.integers(200, 260) if fast else random.integers(450, 550))
    phase = np.arange(5000) % period
    pulse = np.exp(-0.5 * ((phase - period / 2) / 12) ** 2) * (2000 if tall else 700) * (-1 if inverted else 1)
    return (pulse + random.normal(0, 30, (12, 5000))).astype(np.int16)
