"""From the archives' codes to the labels table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ecgray.archives import read_manifest
from ecgray.cluster.labels import label
from ecgray.errors import ConfigError
from ecgray.recipes.label import LabelConfig
from ecgray.tables import LABELS, MANIFEST, RECORDS, read_table, write_tables

ROWS: list[dict[str, Any]] = [
    {"id": "1", "split": "train", "codes": ["scp:CLBBB", "scp:SR"], "likelihoods": [100.0, 0.0]},
    {"id": "2", "split": "val", "codes": ["scp:IMI", "scp:NEW"], "likelihoods": [35.0, 100.0]},
    {"id": "3", "split": "train", "codes": ["demo:atrial flutter"], "likelihoods": None},
    {"id": "4", "split": "train", "codes": [], "likelihoods": None},
    {"id": "5", "split": "test", "codes": ["scp:NEW"], "likelihoods": [0.0]},
]


def _records(folder: Path, rows: list[dict[str, Any]], *, rows_a_file: int = 2) -> Path:
    full = [
        {"record_id": f"x:{row['id']}", "subject_id": f"x:p{row['id']}"}
        | {name: row[name] for name in ("split", "codes", "likelihoods")}
        for row in rows
    ]
    write_tables(pa.Table.from_pylist(full, schema=RECORDS), folder / "records", rows=rows_a_file)
    return folder


def _terms(out: Path) -> dict[str, list[str]]:
    table = read_table(out / "labels")
    assert table.schema.equals(LABELS)
    return dict(zip(table["record_id"].to_pylist(), table["terms"].to_pylist(), strict=True))


def test_records_get_their_terms_and_what_these_imply(tmp_path: Path):
    figures = label(LabelConfig(records=_records(tmp_path / "in", ROWS), out=tmp_path / "out"))
    terms = _terms(tmp_path / "out")
    assert terms["x:1"] == ["bundle branch block", "conduction disturbance", "left bundle branch block", "sinus rhythm"]
    assert terms["x:2"] == ["inferior myocardial infarction", "myocardial infarction"]
    assert set(terms) == {"x:1", "x:2", "x:3"}, "a record of which nothing is known gets no row"
    assert figures | {"out": ""} == {
        "records": 5,
        "labelled": 3,
        "without_codes": 1,
        "without_terms": 1,
        "terms": 10,
        "unmapped": 1,
        "out": "",
    }
    table = read_table(tmp_path / "out" / "labels").to_pylist()
    assert [row["unmapped"] for row in table] == [[], ["scp:NEW"], []]
    assert [row["split"] for row in table] == ["train", "val", "train"]


def test_terms_are_counted(tmp_path: Path):
    label(LabelConfig(records=_records(tmp_path / "in", ROWS), out=tmp_path / "out"))
    counted = json.loads((tmp_path / "out" / "terms.json").read_text())
    rows = {row["name"]: row for row in counted["terms"]}
    assert rows["sinus rhythm"] == {"name": "sinus rhythm", "group": "rhythm", "count": 1, "train_count": 1}
    assert rows["myocardial infarction"]["train_count"] == 0
    assert counted["unmapped"] == {"scp:NEW": 2}
    held = sum(len(terms) for terms in _terms(tmp_path / "out").values())
    assert sum(row["count"] for row in counted["terms"]) == held


def test_leaves_only_and_likely_ones_only(tmp_path: Path):
    records = _records(tmp_path / "in", ROWS)
    label(LabelConfig(records=records, out=tmp_path / "out", with_parents=False, min_likelihood_percent=50))
    assert _terms(tmp_path / "out") == {
        "x:1": ["left bundle branch block", "sinus rhythm"],
        "x:3": ["atrial flutter"],
    }, "the unlikely infarction is gone, the rhythm that nobody weighed stays"


def test_a_table_may_be_named_itself_and_files_make_no_difference(tmp_path: Path):
    whole = _records(tmp_path / "whole", ROWS, rows_a_file=100)
    label(LabelConfig(records=whole / "records", out=tmp_path / "one"))
    label(LabelConfig(records=_records(tmp_path / "split", ROWS, rows_a_file=1), out=tmp_path / "two"))
    assert read_table(tmp_path / "one" / "labels").equals(read_table(tmp_path / "two" / "labels"))


def test_the_same_again_is_not_computed_again_and_other_settings_are_refused(tmp_path: Path):
    config = LabelConfig(records=_records(tmp_path / "in", ROWS), out=tmp_path / "out")
    first = label(config)
    (tmp_path / "out" / "terms.json").unlink()
    assert label(config) == first
    assert not (tmp_path / "out" / "terms.json").exists()
    with pytest.raises(ConfigError, match="with_parents"):
        label(LabelConfig(records=config.records, out=config.out, with_parents=False))


def test_what_a_killed_run_left_is_replaced(tmp_path: Path):
    config = LabelConfig(records=_records(tmp_path / "in", ROWS), out=tmp_path / "out")
    label(config)
    before = read_table(tmp_path / "out" / "labels")
    (tmp_path / "out" / "figures.json").unlink()
    write_tables(before, tmp_path / "out" / "labels" / "stale.parquet.d")  # no file of ours
    write_tables(before.slice(0, 2), tmp_path / "out" / "labels", rows=1)
    label(config)
    assert read_table(tmp_path / "out" / "labels").equals(before)


def test_an_impossible_likelihood_is_refused():
    with pytest.raises(ConfigError, match="0 to 100"):
        LabelConfig(records=Path("x"), out=Path("y"), min_likelihood_percent=101)


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "layout", "records"),
    [
        ("ptbxl", "ptb-xl", 354),
        ("cpsc2018", "cpsc2018", 106),
        ("chapman_shaoxing_ningbo", "csn", 16),
        ("georgia", "georgia", 13),
        ("ptbxl_cinc2021_format", "wfdb", 9),
    ],
)
def test_every_code_of_real_archives_is_mapped(real_data: Path, tmp_path: Path, folder: str, layout: str, records: int):
    manifest = read_manifest(real_data / folder, layout)
    assert manifest.schema.equals(MANIFEST, check_metadata=False)
    write_tables(manifest, tmp_path / "records")
    figures = label(LabelConfig(records=tmp_path, out=tmp_path / "out"))
    assert figures["records"] == figures["labelled"] == records
    assert (figures["unmapped"], figures["without_codes"], figures["without_terms"]) == (0, 0, 0)
    assert all(_terms(tmp_path / "out").values())


@pytest.mark.real
def test_the_whole_of_ptbxl_keeps_its_superclasses(real_data: Path, tmp_path: Path):
    """8,761 of PTB-XL's rows: a record of class CD, HYP, STTC or NORM carries that class's wide term."""
    import ast
    import csv

    from ecgray.text.tasks import TASKS

    with (real_data / "tables" / "ptbxl_database_partial.csv").open(encoding="utf-8") as file:
        rows = [
            {"id": row["ecg_id"], "split": "train", "codes": [f"scp:{code}" for code in statements]}
            | {"likelihoods": list(statements.values())}
            for row in csv.DictReader(file)
            for statements in [ast.literal_eval(row["scp_codes"])]
        ]
    figures = label(LabelConfig(records=_records(tmp_path / "in", rows, rows_a_file=512), out=tmp_path / "out"))
    assert figures["unmapped"] == 0
    terms = _terms(tmp_path / "out")
    wide = {
        "NORM": "normal ecg",
        "CD": "conduction disturbance",
        "HYP": "hypertrophy",
        "STTC": "st-t change",
    }
    names = [each.name for each in TASKS["ptbxl-super"].classes]
    for row in rows:
        holds = TASKS["ptbxl-super"].truth(row["codes"]) or [False] * 5
        for name, true in zip(names, holds, strict=True):
            if true and name in wide:
                assert wide[name] in terms[f"x:{row['id']}"]
