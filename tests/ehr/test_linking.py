"""An ECG belongs to the admission that it was recorded in, else to the last one before, else to none."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pytest
from hospitals import write_hospital

from ecgray.ehr.hospital import hosp_folder, read_hospital
from ecgray.ehr.linking import link_ecgs

DAY = datetime.timedelta(days=1)


@pytest.fixture
def admissions(tmp_path: Path) -> pa.Table:
    stays = [
        "1,10,2180-01-10 12:00:00,2180-01-12 12:00:00,2180-01-10 06:00:00",
        "1,11,2180-02-01 12:00:00,2180-02-20 12:00:00,",
        "1,12,2180-02-05 12:00:00,2180-02-06 12:00:00,",  # within the one before
        "2,13,2180-01-10 12:00:00,2180-01-12 12:00:00,",
    ]
    return read_hospital(write_hospital(tmp_path, admissions=stays)).admissions


@pytest.mark.parametrize(
    ("patient", "time", "admission", "kind"),
    [
        (1, "2180-01-11 00:00:00", "10", "during"),
        (1, "2180-01-11T00:00", "10", "during"),
        (1, "2180-01-10 12:00:00", "10", "during"),
        (1, "2180-01-12 12:00:00", "10", "during"),
        (1, "2180-01-10 07:00:00", "10", "during"),  # in the emergency department
        (1, "2180-01-10 05:59:59", None, "no_admission"),
        (1, "2180-01-12 12:00:01", "10", "before"),
        (1, "2180-01-31 12:00:00", "10", "before"),
        (1, "2180-02-05 13:00:00", "12", "during"),
        (1, "2180-02-07 00:00:00", "11", "during"),
        (1, "2180-02-21 00:00:00", "11", "before"),
        (1, "2180-03-22 12:00:00", "11", "before"),
        (1, "2180-03-22 12:00:01", None, "no_admission"),  # 31 days
        (2, "2180-02-05 13:00:00", "13", "before"),
        (2, "2179-02-05 13:00:00", None, "no_admission"),
        (3, "2180-01-11 00:00:00", None, "no_admission"),
        (1, None, None, "no_time"),
        (1, "last week", None, "no_time"),
    ],
)
def test_an_ecg_belongs_where_it_was_recorded(
    admissions: pa.Table, patient: int, time: str | None, admission: str | None, kind: str
):
    links = link_ecgs(pa.array([f"mimic-iv-ecg:{patient}"]), pa.array([time], pa.string()), admissions, days_before=31)
    (row,) = links.admission.tolist()
    assert (admissions["admission_id"][row].as_py() if row >= 0 else None) == (admission and f"mimic-iv:{admission}")
    assert (links.kinds()[0] or links.codes()[0]) == kind


def test_without_the_emergency_department_a_stay_begins_with_admission(admissions: pa.Table):
    subject, time = pa.array(["mimic-iv-ecg:1"]), pa.array(["2180-01-10 07:00:00"])
    assert link_ecgs(subject, time, admissions, days_before=31, emergency=False).admission.tolist() == [-1]


def test_all_at_once_is_as_one_by_one(tmp_path: Path):
    """Against a loop over every admission, with stays that overlap."""
    random = np.random.default_rng(0)
    start = datetime.datetime(2180, 1, 1)
    stays = []
    for number in range(120):
        first = start + float(random.integers(0, 400)) * DAY
        last = first + float(random.integers(0, 30)) * DAY
        stays.append(f"{random.integers(1, 9)},{100 + number},{first},{last},")
    table = read_hospital(write_hospital(tmp_path, admissions=stays)).admissions
    rows = table.to_pylist()
    times = [start + float(hours) / 24 * DAY for hours in random.integers(0, 24 * 450, 500)]
    subjects = [f"mimic-iv-ecg:{random.integers(1, 11)}" for _ in times]
    links = link_ecgs(pa.array(subjects), pa.array([str(time) for time in times]), table, days_before=60)
    for subject, time, row, during in zip(subjects, times, links.admission, links.during, strict=True):
        own = [each for each in rows if each["subject_id"] == subject and each["admitted"] <= time]
        holding = [each for each in own if time <= each["discharged"]]
        over = max((each["discharged"] for each in own), default=None)
        if holding:
            assert during
            assert rows[row] in holding
        elif over is not None and time - over <= 60 * DAY:
            assert not during
            assert rows[row]["discharged"] == over
        else:
            assert row == -1


def test_ecgs_without_any_admission_are_linked_to_none(tmp_path: Path):
    table = read_hospital(write_hospital(tmp_path)).admissions
    links = link_ecgs(pa.array(["a", None]), pa.array(["2180-01-10 07:00:00", None]), table, days_before=31)
    assert links.admission.tolist() == [-1, -1]
    assert links.codes() == ["no_admission", "no_time"]


@pytest.mark.real
def test_most_ecgs_of_the_demo_of_mimic_iv_lie_in_an_admission(real_data: Path):
    """66 rows of its record list: 49 in a stay that counts from the emergency department, 35 in one that does not."""
    listed = pa_csv.read_csv(
        real_data / "tables" / "mimic_iv_ecg" / "demo_record_list_excerpt.csv",
        convert_options=pa_csv.ConvertOptions(column_types={"subject_id": pa.string(), "ecg_time": pa.string()}),
    )
    subject = pc.binary_join_element_wise("mimic-iv-ecg", listed["subject_id"], ":")
    table = read_hospital(hosp_folder(real_data / "mimic_iv_demo_2.2")).admissions
    for emergency, kinds in ((True, (49, 8, 9)), (False, (35, 14, 17))):
        found = link_ecgs(subject, listed["ecg_time"], table, days_before=365, emergency=emergency).kinds()
        assert (found.count("during"), found.count("before"), found.count(None)) == kinds
