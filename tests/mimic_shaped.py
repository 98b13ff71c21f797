"""Draw a small archive as MIMIC-IV-ECG lies on disk; recordings share their signal files by hard links."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from ecgray.waveform.write import write_recording

STATEMENTS = [f"report_{position}" for position in range(18)]
MEASURED = ["rr_interval", "p_onset", "p_end", "qrs_onset", "qrs_end", "t_end", "p_axis", "qrs_axis", "t_axis"]
LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


def drawing(seed: int = 0) -> np.ndarray:
    """Twelve leads of one heart in MIMIC's order, int16 counts of 1/1000 mV."""
    rng = np.random.default_rng(seed)
    beat = np.exp(-0.5 * ((np.arange(5000) % 400 - 200) / 8.0) ** 2)
    free = (1000 * rng.uniform(0.3, 1.2, (8, 1)) * beat + rng.normal(0, 4, (8, 5000))).astype(np.int32)
    one, two = free[:2]
    frontal = [one, two, two - one, -((one + two) // 2), (2 * two - one) // 2, (2 * one - two) // 2]
    return np.array([*frontal, *free[2:]]).astype(np.int16)


def mimic_archive(root: Path, records: int, *, per_patient: int = 2) -> list[dict[str, str]]:
    """Write the archive; returns the rows of record_list.csv."""
    rows = []
    for number in range(records):
        subject, study = 10_000_000 + number // per_patient, 40_000_000 + number
        folder = root / f"files/p{subject // 10_000}/p{subject}/s{study}"
        folder.mkdir(parents=True)
        first = root / rows[0]["path"] if rows else None
        if first is None:
            write_recording(folder, str(study), drawing(), leads=LEADS)
        else:
            os.link(first.with_suffix(".dat"), folder / f"{first.name}.dat")
            (folder / f"{study}.hea").write_bytes(first.with_suffix(".hea").read_bytes())
        path = f"files/p{subject // 10_000}/p{subject}/s{study}/{study}"
        rows.append(
            {
                "subject_id": str(subject),
                "study_id": str(study),
                "file_name": str(study),
                "ecg_time": "2180-07-23 08:44:00",
                "path": path,
            }
        )
    write_csv(root / "record_list.csv", rows)
    return rows


def measurement(subject_id: str, study_id: str, *statements: str, **measured: str) -> dict[str, str]:
    """A row of machine_measurements.csv."""
    row = {"subject_id": subject_id, "study_id": study_id, "cart_id": "1", "ecg_time": ""}
    row |= dict.fromkeys(STATEMENTS, "") | dict(zip(STATEMENTS, statements, strict=False))
    return row | dict.fromkeys(MEASURED, "29999") | measured


def write_csv(path: Path, rows: list[dict[str, str]], *, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
