"""A clinician's readings come in from a spreadsheet, and what cannot be meant is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecgray.errors import ConfigError
from ecgray.text.entities import Entity, Reading
from ecgray.text.readings import COLUMNS, read_readings
from ecgray.text.spreadsheet import csv_bytes
from ecgray.text.terms import TERMS

LUDB = Path(__file__).parents[2] / "benchmarks" / "ludb_readings.csv"

AXIS = "electric axis of the heart: normal"
ROWS = [
    ("Electric  axis of the heart: NORMAL.", "Normal  Axis", "normal"),
    ("LVH, with strain", "left ventricular hypertrophy", "Abnormal"),
    ("Comparison: see May", "None", ""),
    ("lvh, with strain", "st-t change", "UNCERTAIN"),
    ("lvh, with strain", "st-t change", "Uncertain"),
    ("of this nobody says anything", "", ""),
    ("", "", ""),
]


def _written(
    file: Path, rows: list[tuple[str, str, str]], *, separator: str = ",", encoding: str = "utf-8-sig"
) -> Path:
    """What a spreadsheet saves; with separators that stand in no cell of these but the comma."""
    text = csv_bytes(COLUMNS, rows).decode("utf-8-sig")
    if separator != ",":
        text = "".join(f"{separator.join(row)}\r\n" for row in [COLUMNS, *rows])
    file.write_bytes(text.encode(encoding))
    return file


def _given(*entities: Entity) -> Reading:
    return Reading(entities, unknown=False, corrected=True)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_each_statement_gets_what_its_lines_say(tmp_path: Path, separator: str, encoding: str):
    file = _written(tmp_path / "readings.csv", ROWS, separator=separator, encoding=encoding)
    strain = "lvh, with strain"
    assert read_readings(file, unit="statement") == {
        AXIS: _given(Entity("normal axis", "Normal", AXIS)),
        strain: _given(
            Entity("left ventricular hypertrophy", "Abnormal", strain), Entity("st-t change", "Uncertain", strain)
        ),
        "comparison: see may": _given(),
    }


def test_a_reading_of_a_clinician_has_a_status_of_its_own(tmp_path: Path):
    readings = read_readings(_written(tmp_path / "readings.csv", ROWS), unit="statement")
    assert {one.status for one in readings.values()} == {"corrected"}


def test_a_whole_report_is_one_text(tmp_path: Path):
    file = _written(tmp_path / "readings.csv", [("Sinus rhythm. LVH", "sinus rhythm", "Normal")])
    assert list(read_readings(file, unit="report")) == ["sinus rhythm. lvh"]
    with pytest.raises(ConfigError, match="line 2: its statement is cut into 2"):
        read_readings(file, unit="statement")


def test_a_cell_that_a_spreadsheet_would_compute_comes_back(tmp_path: Path):
    file = _written(tmp_path / "readings.csv", [("-30 degrees axis", "left axis deviation", "Abnormal")])
    assert b"'-30" in file.read_bytes()
    assert list(read_readings(file, unit="statement")) == ["-30 degrees axis"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("qrs thing", "lvh", "abnorml")], "line 2: its certainty is none of Normal, Abnormal, Uncertain"),
        ([("qrs thing", "lvh", "")], "line 2: its certainty is none"),
        ([("qrs thing", "", "Normal")], "line 2: it has a certainty and no entity"),
        ([("qrs thing", "none", ""), ("QRS thing", "lvh", "Normal")], "line 3: its statement is given as 'none' and"),
        ([("qrs thing", "lvh", "Normal"), ("QRS thing", "none", "")], "line 3: its statement is given as 'none' and"),
        ([("qrs thing", "lvh", "Normal"), ("qrs thing", "LVH", "Abnormal")], "line 3: .*another certainty"),
        ([("", "lvh", "Normal")], "line 2: it has an entity and no statement"),
        ([(" .. ", "none", "")], "line 2: it has an entity and no statement"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, rows: list[tuple[str, str, str]], message: str):
    file = _written(tmp_path / "readings.csv", rows)
    with pytest.raises(ConfigError, match=message) as caught:
        read_readings(file, unit="statement")
    assert "qrs thing" not in str(caught.value).lower(), "what reports say stays out of messages"


def test_a_file_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no file"):
        read_readings(tmp_path / "none.csv", unit="statement")
    file = tmp_path / "readings.csv"
    file.write_text("statement,entity\nlvh,lvh\n")
    with pytest.raises(ConfigError, match="line 1: there is no column 'certainty'"):
        read_readings(file, unit="statement")


def test_the_readings_of_ludb_name_terms():
    readings = read_readings(LUDB, unit="statement")
    named = {entity.name for one in readings.values() for entity in one.entities}
    assert len(readings) > 40
    assert named <= set(TERMS)


def test_a_cell_that_never_ends_is_refused(tmp_path: Path):
    file = tmp_path / "readings.csv"
    file.write_text('statement,entity,certainty\n"lvh,lvh,Abnormal\n')
    with pytest.raises(ConfigError, match="this is no CSV"):
        read_readings(file, unit="statement")
