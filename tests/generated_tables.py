"""What a generate job leaves behind, made of ECGs at hand: OUT/records and OUT/generated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from ecgray.parquet import write_table
from ecgray.tables import GENERATED, RECORDS, ecg_bytes


def write_generated(
    out: Path,
    ecgs: np.ndarray,
    *,
    like: Sequence[str | None],
    prompts: Sequence[str],
    rates: Sequence[float | None],
    rows: int = 64,
) -> Path:
    """Write the tables of these ECGs (counts); each was asked to be like a real record, or of a prompt alone."""
    ids = [f"synthetic:abcdef-0-{n}" for n in range(len(ecgs))]
    for start in range(0, len(ecgs), rows):
        part = slice(start, start + rows)
        own = [
            dict.fromkeys(RECORDS.names)
            | {"record_id": each, "subject_id": each, "split": "synthetic", "ecg": ecg_bytes(ecg)}
            for each, ecg in zip(ids[part], ecgs[part], strict=True)
        ]
        asked = [
            dict.fromkeys(GENERATED.names)
            | {"record_id": each, "like": name, "prompt": prompt, "heart_rate_bpm": rate, "seed": 0, "steps": 25}
            | {"sampler": "ddim", "guidance_scale": 3.0, "flags": [], "experience": ""}
            for each, name, prompt, rate in zip(ids[part], like[part], prompts[part], rates[part], strict=True)
        ]
        name = f"part-{start:05d}.parquet"
        write_table(pa.Table.from_pylist(own, schema=RECORDS), out / "records" / name, row_group=16)
        write_table(pa.Table.from_pylist(asked, schema=GENERATED), out / "generated" / name)
    return out
