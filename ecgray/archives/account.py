"""The account of an ingest: every recording of the manifest stands once, in the records or in the quarantine."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ecgray.errors import ClusterError
from ecgray.parquet import parquet_files, write_table
from ecgray.tables import QUARANTINE

_TOP_FLAGS = 12


def settle(out: Path) -> dict[str, Any]:
    """Check the records and the quarantine in `out` against its manifest, and count what they hold.

    `flags` counts the records that carry one, for whichever of their leads.

    Raises `ClusterError` where a recording is lost or doubled, or a patient stands in two splits.
    """
    patients: dict[str, str] = {}
    splits, flags, codes = Counter[str](), Counter[str](), Counter[str]()
    for manifest in parquet_files(out / "manifest"):
        records = pq.read_table(out / "records" / manifest.name, columns=["record_id", "subject_id", "split", "flags"])
        refused = _refused(out / "quarantine" / manifest.name)
        _check_ids(manifest, records["record_id"], refused["record_id"], out)
        splits.update(records["split"].to_pylist())
        flags.update(flag for row in records["flags"].to_pylist() for flag in {word.partition(":")[0] for word in row})
        codes.update(refused["code"].to_pylist())
        _check_patients(patients, records)
    if not codes:
        write_table(QUARANTINE.empty_table(), out / "quarantine" / "part-00000.parquet")
    return {
        "records": splits.total(),
        "quarantined": codes.total(),
        "patients": len(patients),
        "splits": {split: splits[split] for split in ("train", "val", "test")},
        "flags": dict(flags.most_common(_TOP_FLAGS)),
        "codes": dict(codes.most_common()),
    }


def _refused(path: Path) -> pa.Table:
    return pq.read_table(path) if path.exists() else QUARANTINE.empty_table()


def _check_ids(manifest: Path, kept: pa.ChunkedArray, refused: pa.ChunkedArray, out: Path) -> None:
    named = pq.read_table(manifest, columns=["record_id"])["record_id"].to_pylist()
    found = kept.to_pylist() + refused.to_pylist()
    if sorted(found) != sorted(named):
        raise ClusterError(
            f"{manifest.name} names {len(named)} recordings, records and quarantine hold {len(found)} or others; "
            f"delete that file below {out}/records and {out}/quarantine and run the same command again."
        )


def _check_patients(patients: dict[str, str], records: pa.Table) -> None:
    pairs = zip(records["subject_id"].to_pylist(), records["split"].to_pylist(), strict=True)
    for patient, split in pairs:
        if patients.setdefault(patient, split) != split:
            raise ClusterError("A patient stands in two splits of the records; delete the output folder and run again.")
