"""Small hospitals: MIMIC-IV's hosp tables from rows of a test."""

from __future__ import annotations

import gzip
from pathlib import Path

HEADERS = {
    "admissions": "subject_id,hadm_id,admittime,dischtime,edregtime",
    "diagnoses_icd": "subject_id,hadm_id,seq_num,icd_code,icd_version",
    "procedures_icd": "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version",
    "prescriptions": "subject_id,hadm_id,drug_type,drug",
}


def write_hospital(folder: Path, *, packed: bool = False, **rows: list[str]) -> Path:
    """Write the four tables; one that is not given has its header only."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, header in HEADERS.items():
        text = "\n".join([header, *rows.get(table, []), ""]).encode()
        if packed:
            (folder / f"{table}.csv.gz").write_bytes(gzip.compress(text))
        else:
            (folder / f"{table}.csv").write_bytes(text)
    return folder
