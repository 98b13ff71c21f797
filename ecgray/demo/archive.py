"""The embedded archive: drawn patients, written as MIMIC-IV-ECG and MIMIC-IV lay out their files.

    OUT/files/p1000/p10000032/s40689238/40689238.hea, .dat   aVF before aVL, as MIMIC-IV-ECG stores them
    OUT/record_list.csv, machine_measurements.csv            one row a recording
    OUT/hosp/*.csv.gz                                        MIMIC-IV's tables
    OUT/demo_truth.csv                                       what each recording was drawn with: ours alone

The same settings give the same bytes, and a patient is the same in a small archive and in a large one.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16

from ecgray.demo.care import DIAGNOSES, PROCEDURES
from ecgray.demo.conditions import CONDITIONS
from ecgray.demo.ehr import HOSP_COLUMNS, admission_rows, dictionary_rows, patient_row
from ecgray.demo.people import Recording, draw_people
from ecgray.demo.reports import STATEMENTS, Measurements
from ecgray.demo.strip import draw_ecgs
from ecgray.errors import ConfigError
from ecgray.leads import LEADS
from ecgray.waveform.write import write_recording

STORED_LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
"""The order of the leads in MIMIC-IV-ECG's files: aVF before aVL."""
BATCH = 100
"""Recordings that the simulator draws at once."""

_STORED = [LEADS.index(lead) for lead in STORED_LEADS]
_MEASUREMENT_COLUMNS = (
    "subject_id,study_id,cart_id,ecg_time,"
    + ",".join(f"report_{number}" for number in range(STATEMENTS))
    + ",bandwidth,filtering,"
    + ",".join(field.name for field in fields(Measurements))
)


def draw_archive(
    out: Path, *, patients: int, seed: int, progress: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Draw `patients` patients and write their archive into `out`; returns figures.

    `progress` is called with the number of recordings just written. 2,000 recordings take 250 MB.
    """
    if patients < 1:
        raise ConfigError(f"patients={patients} makes no archive; give 1 or more.")
    tables = _Tables()
    counts: Counter[str] = Counter()
    for recordings in _batches(draw_people(patients, seed=seed), BATCH):
        for recording, ecg in zip(recordings, draw_ecgs([one.drawing for one in recordings]), strict=True):
            _write_recording(out, recording, ecg)
            tables.add(recording)
            counts.update(recording.conditions)
        if progress:
            progress(len(recordings))
    tables.write(out)
    return {
        "patients": patients,
        "records": len(tables.listed),
        "conditions": {condition.name: counts[condition.name] for condition in CONDITIONS},
    }


def _batches(recordings: Iterator[Recording], size: int) -> Iterator[list[Recording]]:
    batch: list[Recording] = []
    for recording in recordings:
        batch.append(recording)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _path(recording: Recording) -> str:
    subject, study = recording.subject_id, recording.study_id
    return f"files/p{subject // 10_000}/p{subject}/s{study}/{study}"


def _write_recording(out: Path, recording: Recording, ecg: Int16[np.ndarray, "lead=12 time"]) -> None:
    folder = (out / _path(recording)).parent
    folder.mkdir(parents=True, exist_ok=True)
    comments = (f"subject_id: {recording.subject_id}", "synthetic: true")
    write_recording(folder, str(recording.study_id), ecg[_STORED], leads=STORED_LEADS, comments=comments)


class _Tables:
    """The rows of every table, gathered recording by recording."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self.measured: list[str] = []
        self.truth: list[str] = []
        self.hosp: dict[str, list[str]] = {name: [] for name in HOSP_COLUMNS}

    def add(self, recording: Recording) -> None:
        """The rows that one recording adds."""
        who = f"{recording.subject_id},{recording.study_id}"
        self.listed.append(f"{who},{recording.study_id},{recording.time},{_path(recording)}")
        statements = ",".join(_quoted(line) for line in recording.statements)
        figures = ",".join(map(str, astuple(recording.measured)))
        cart = 6_000_000 + recording.subject_id % 997
        self.measured.append(
            f"{who},{cart},{recording.time},{statements},0.005-150 Hz,60 Hz notch Baseline filter,{figures}"
        )
        ordered = [condition.name for condition in CONDITIONS if condition.name in recording.conditions]
        self.truth.append(f"{who},{';'.join(ordered)}")
        if recording.visit == 0:
            first_year = recording.time.year
            self.hosp["patients"].append(patient_row(recording.patient, recording.subject_id, first_year=first_year))
        if recording.hadm_id is not None:
            rows = admission_rows(
                recording.conditions,
                recording.patient,
                subject_id=recording.subject_id,
                hadm_id=recording.hadm_id,
                ecg_time=recording.time,
                rng=recording.rng,
            )
            for name, added in rows.items():
                self.hosp[name] += added

    def write(self, out: Path) -> None:
        """Every table as a file."""
        _csv(out / "record_list.csv", "subject_id,study_id,file_name,ecg_time,path", self.listed)
        _csv(out / "machine_measurements.csv", _MEASUREMENT_COLUMNS, self.measured)
        _csv(out / "demo_truth.csv", "subject_id,study_id,terms", self.truth)
        self.hosp["d_icd_diagnoses"] = dictionary_rows(DIAGNOSES)
        self.hosp["d_icd_procedures"] = dictionary_rows(PROCEDURES)
        (out / "hosp").mkdir(exist_ok=True)
        for name, rows in self.hosp.items():
            text = "\n".join([HOSP_COLUMNS[name], *rows, ""])
            (out / "hosp" / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode("ascii"), 6, mtime=0))


def _quoted(text: str) -> str:
    return f'"{text}"' if "," in text else text


def _csv(path: Path, header: str, rows: list[str]) -> None:
    path.write_text("\n".join([header, *rows, ""]), encoding="ascii", newline="\n")
