"""The patient's hospital: admissions, diagnoses, procedures and prescriptions that fit, in MIMIC-IV's own columns."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import numpy as np

from ecgray.demo.care import (
    COMMON,
    DIAGNOSES,
    DRUGS,
    FOLLOWS,
    GIVEN,
    GIVEN_TO_ALL,
    PROCEDURES,
    TREATED,
    Code,
    Drug,
)
from ecgray.demo.heart import Patient

HOSP_COLUMNS: dict[str, str] = {
    "patients": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    "admissions": (
        "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admit_provider_id,admission_location,"
        "discharge_location,insurance,language,marital_status,race,edregtime,edouttime,hospital_expire_flag"
    ),
    "diagnoses_icd": "subject_id,hadm_id,seq_num,icd_code,icd_version",
    "procedures_icd": "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version",
    "prescriptions": (
        "subject_id,hadm_id,pharmacy_id,poe_id,poe_seq,order_provider_id,starttime,stoptime,drug_type,drug,"
        "formulary_drug_cd,gsn,ndc,prod_strength,form_rx,dose_val_rx,dose_unit_rx,form_val_disp,form_unit_disp,"
        "doses_per_24_hrs,route"
    ),
    "d_icd_diagnoses": "icd_code,icd_version,long_title",
    "d_icd_procedures": "icd_code,icd_version,long_title",
}
"""The header of each table that is written."""


_INSURANCE = ("Medicare", "Medicaid", "Other")
_RACES = ("WHITE", "BLACK/AFRICAN AMERICAN", "HISPANIC OR LATINO", "ASIAN", "OTHER", "UNKNOWN")


def patient_row(patient: Patient, subject_id: int, *, first_year: int) -> str:
    """One row of patients.csv; the anchor is the year of the first recording."""
    return f"{subject_id},{patient.sex},{int(patient.age)},{first_year},2014 - 2016,"


def admission_rows(
    conditions: frozenset[str],
    patient: Patient,
    *,
    subject_id: int,
    hadm_id: int,
    ecg_time: datetime,
    rng: np.random.Generator,
) -> dict[str, list[str]]:
    """What one admission around one recording adds to each table."""
    icd = 9 if rng.random() < 0.4 else 10
    admitted = ecg_time - timedelta(minutes=int(rng.integers(20, 1800)))
    left = ecg_time + timedelta(minutes=int(60 * 24 * rng.lognormal(1.0, 0.7)) + 240)
    who = f"{subject_id},{hadm_id}"
    found = _chosen([pair for name in sorted(conditions) for pair in FOLLOWS.get(name, ())], rng)
    older = 0.4 + patient.age / 75
    found += [name for name in _chosen([(n, p * older) for n, p in COMMON], rng) if name not in found]
    done = _chosen([pair for name in found for pair in TREATED.get(name, ())], rng)
    given = _chosen([*(pair for name in found for pair in GIVEN.get(name, ())), *GIVEN_TO_ALL], rng)
    day = admitted.date().isoformat()
    return {
        "admissions": [f"{who},{admitted},{left},,{_admission(patient, rng)},,,0"],
        "diagnoses_icd": [
            f"{who},{n},{_code(DIAGNOSES[name], icd)},{icd}" for n, name in enumerate(found or ["chest pain"], 1)
        ],
        "procedures_icd": [f"{who},{n},{day},{_code(PROCEDURES[name], icd)},{icd}" for n, name in enumerate(done, 1)],
        "prescriptions": [
            f"{who},{_prescription(DRUGS[name], hadm_id, n, subject_id, admitted, left, rng)}"
            for n, name in enumerate(given, 1)
        ],
    }


def _chosen(pairs: Iterable[tuple[str, float]], rng: np.random.Generator) -> list[str]:
    """Each name with its chance, none twice, in their order."""
    pairs = list(pairs)
    kept = rng.random(len(pairs)) < np.array([chance for _, chance in pairs])
    return list(dict.fromkeys(name for (name, _), keep in zip(pairs, kept, strict=True) if keep))


def _code(code: Code, icd: int) -> str:
    return code.icd9 if icd == 9 else code.icd10


def _admission(patient: Patient, rng: np.random.Generator) -> str:
    kind = rng.choice(["EW EMER.", "EW EMER.", "URGENT", "OBSERVATION ADMIT", "ELECTIVE"])
    insurance = "Medicare" if patient.age >= 65 else rng.choice(_INSURANCE)
    status = rng.choice(["MARRIED", "SINGLE", "WIDOWED", "DIVORCED"])
    race = rng.choice(_RACES, p=[0.66, 0.13, 0.07, 0.05, 0.05, 0.04])
    return f"{kind},P{rng.integers(36**3):05d},EMERGENCY ROOM,HOME,{insurance},ENGLISH,{status},{race}"


def _prescription(
    drug: Drug,
    hadm_id: int,
    number: int,
    subject_id: int,
    admitted: datetime,
    left: datetime,
    rng: np.random.Generator,
) -> str:
    start = admitted.replace(minute=0, second=0) + timedelta(hours=int(rng.integers(1, 10)))
    stop = left.replace(minute=0, second=0)
    pharmacy = (hadm_id * 31 + number * 7) % 100_000_000
    order = 20 + number * 3
    strength = f'"{drug.strength}"' if "," in drug.strength else drug.strength
    return (
        f"{pharmacy},{subject_id}-{order},{order},,{start},{max(start, stop)},MAIN,{drug.drug},"
        f"{drug.drug[:4].upper()}{number},,0,{strength},,{drug.dose},{drug.unit},1,{drug.form},{drug.per_day},{drug.route}"
    )


def dictionary_rows(codes: dict[str, Code]) -> list[str]:
    """d_icd_diagnoses or d_icd_procedures: each code of both versions, sorted, in our own words."""
    rows = {(code.icd9, 9, code.words) for code in codes.values()} | {
        (code.icd10, 10, code.words) for code in codes.values()
    }
    return [f'{code},{version},"{words}"' for code, version, words in sorted(rows)]
