"""From the archives' codes, or what reports say, to the labels table."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ecgray.archives import read_manifest
from ecgray.cluster.labels import label
from ecgray.errors import ConfigError
from ecgray.parquet import read_table, write_table, write_tables
from ecgray.recipes.label import LabelConfig
from ecgray.tables import ENTITIES, LABELS, MANIFEST, RECORDS
from ecgray.text.review import read_review

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


# --- from entities

SAID: dict[str, list[tuple[str, str]]] = {
    "1": [("sinus rhythm", "Normal"), ("LBBB", "Abnormal"), ("inferior infarct", "Uncertain")],
    "2": [("sinus rhythm", "Normal"), ("sinus rhythm", "Normal"), ("made up words", "Abnormal")],
    "3": [("inferior/lateral st elevation", "Abnormal"), ("inferior infarct", "Uncertain")],
    "4": [("inferior infarct", "Uncertain")],
    "5": [("made up words", "Abnormal")],
    "6": [],
}
SPLITS = {"1": "train", "2": "val", "3": "train", "4": "train", "5": "test", "6": "train"}


def _reports(folder: Path, *, rows_a_file: int = 2) -> dict[str, Path]:
    """Records, and beside each of their files one of entities."""
    rows = [{"id": one, "split": SPLITS[one], "codes": ["scp:AFIB"], "likelihoods": None} for one in SAID]
    records = _records(folder / "records-out", rows, rows_a_file=rows_a_file)
    for number, start in enumerate(range(0, len(rows), rows_a_file)):
        found = [
            {"record_id": f"x:{row['id']}", "subject_id": f"x:p{row['id']}", "statement": "s", "cited": "s"}
            | {"entity": entity, "certainty": certainty}
            for row in rows[start : start + rows_a_file]
            for entity, certainty in SAID[row["id"]]
        ]
        table = pa.Table.from_pylist(found, schema=ENTITIES)
        write_table(table, folder / "entities-out" / "entities" / f"part-{number:05d}.parquet")
    return {"records": records, "entities": folder / "entities-out"}


def _of_entities(tmp_path: Path, out: str = "out", *, rows_a_file: int = 2, **settings: Any) -> dict[str, Any]:
    given = _reports(tmp_path / "in", rows_a_file=rows_a_file)
    return label(LabelConfig(source="entities", out=tmp_path / out, **given, **settings))


def test_reports_give_terms(tmp_path: Path):
    figures = _of_entities(tmp_path, with_parents=False)
    assert _terms(tmp_path / "out") == {
        "x:1": ["left bundle branch block", "sinus rhythm"],
        "x:2": ["sinus rhythm"],
        "x:3": ["inferior st elevation", "lateral st elevation"],
    }, "codes are not asked, what is uncertain is not said"
    table = {row["record_id"]: row for row in read_table(tmp_path / "out" / "labels").to_pylist()}
    assert table["x:2"]["unmapped"] == ["made up words"]
    assert (table["x:1"]["split"], table["x:2"]["split"]) == ("train", "val")
    assert figures | {"out": ""} == {
        "records": 6,
        "labelled": 3,
        "without_entities": 1,
        "only_uncertain": 1,
        "without_terms": 1,
        "terms": 4,
        "unmapped": 1,
        "entities": 4,
        "uncertain_dropped": 3,
        "exact": 1,
        "synonym": 2,
        "abbreviation": 0,
        "review": 0,
        "nearest": 0,
        "one_to_many": 1,
        "out": "",
    }


def test_how_entities_were_mapped_is_written_down(tmp_path: Path):
    _of_entities(tmp_path)
    noted = json.loads((tmp_path / "out" / "terms.json").read_text())
    rows = {row["entity"]: row for row in noted["entities"]}
    assert rows["sinus rhythm"]["records"] == 2, "records are counted, not rows"
    assert (rows["lbbb"]["how"], rows["lbbb"]["terms"]) == ("synonym", ["left bundle branch block"])
    assert noted["unmapped"] == {"made up words": 2}
    mapping = list(csv.DictReader((tmp_path / "out" / "mapping.csv").read_text("utf-8-sig").splitlines()))
    assert [row["entity"] for row in mapping][:2] == ["made up words", "sinus rhythm"]
    review = list(csv.DictReader((tmp_path / "out" / "review.csv").read_text("utf-8-sig").splitlines()))
    assert {row["entity"] for row in review} == {"made up words", "inferior/lateral st elevation"}
    frequency = list(csv.DictReader((tmp_path / "out" / "frequency.csv").read_text("utf-8-sig").splitlines()))
    assert {row["term"]: row["records"] for row in frequency}["st elevation"] == "1"
    assert "left bundle branch block" in (tmp_path / "out" / "frequency.svg").read_text()


def test_a_clinicians_decisions_win_and_stay(tmp_path: Path):
    _of_entities(tmp_path)
    edited = (tmp_path / "out" / "review.csv").read_text("utf-8-sig").splitlines()
    edited = [line[:-1] + "t wave inversion;st depression,mine" if "made up" in line else line for line in edited]
    (tmp_path / "review.csv").write_text("\n".join([*edited, 'LBBB,,,,,,,none,""']))
    figures = _of_entities(tmp_path, "again", review=tmp_path / "review.csv", with_parents=False)
    assert _terms(tmp_path / "again") == {
        "x:1": ["sinus rhythm"],
        "x:2": ["sinus rhythm", "st depression", "t wave inversion"],
        "x:3": ["inferior st elevation", "lateral st elevation"],
        "x:5": ["st depression", "t wave inversion"],
    }
    assert (figures["review"], figures["unmapped"]) == (2, 0), "decided to stand for nothing is not unmapped"
    kept = read_review(tmp_path / "again" / "review.csv")
    assert kept == read_review(tmp_path / "review.csv")
    assert kept["made up words"].note == "mine"


def test_uncertain_entities_may_be_kept(tmp_path: Path):
    figures = _of_entities(tmp_path, uncertain="keep")
    assert (figures["uncertain_dropped"], figures["only_uncertain"], figures["labelled"]) == (0, 0, 4)
    assert "inferior myocardial infarction" in _terms(tmp_path / "out")["x:4"]


def test_without_dedup_the_raw_names_are_the_labels(tmp_path: Path):
    figures = _of_entities(tmp_path, dedup="off", min_count=2)
    assert _terms(tmp_path / "out") == {
        "x:1": ["sinus rhythm"],
        "x:2": ["made up words", "sinus rhythm"],
        "x:5": ["made up words"],
    }
    assert (figures["entities"], figures["terms"], figures["unmapped"]) == (4, 2, 2)
    counted = json.loads((tmp_path / "out" / "terms.json").read_text())
    assert {row["name"]: row["group"] for row in counted["terms"]} == {
        "sinus rhythm": "rhythm",
        "made up words": "entity",
    }
    assert not (tmp_path / "out" / "review.csv").exists()


def test_files_make_no_difference_to_entities_either(tmp_path: Path):
    _of_entities(tmp_path / "a", rows_a_file=1)
    _of_entities(tmp_path / "b", rows_a_file=100)
    one, other = (read_table(tmp_path / name / "out" / "labels") for name in "ab")
    assert one.equals(other)


@pytest.mark.parametrize("nobody", ["no rows", "only blank entities"])
def test_reports_without_entities_give_an_empty_table(tmp_path: Path, nobody: str, monkeypatch: pytest.MonkeyPatch):
    said = [] if nobody == "no rows" else [("  ", "Abnormal")]
    monkeypatch.setattr(sys.modules[__name__], "SAID", {one: list(said) for one in SAID})
    figures = _of_entities(tmp_path)
    assert (figures["without_entities"], figures["labelled"]) == (6, 0)
    assert _terms(tmp_path / "out") == {}


def test_entities_of_other_records_are_refused(tmp_path: Path):
    given = _reports(tmp_path / "in")
    (given["entities"] / "entities" / "part-00002.parquet").rename(given["entities"] / "entities" / "part-9.parquet")
    with pytest.raises(ConfigError, match=r"holds 3 files and the records 3, and part-00002\.parquet is in one"):
        label(LabelConfig(source="entities", out=tmp_path / "out", **given))
    (given["entities"] / "entities" / "part-9.parquet").rename(given["entities"] / "entities" / "part-00002.parquet")
    table = read_table(given["entities"] / "entities")
    write_table(table, given["entities"] / "entities" / "part-00000.parquet")
    with pytest.raises(ConfigError, match=r"speaks of \d records that .* does not hold"):
        label(LabelConfig(source="entities", out=tmp_path / "out", **given))
    assert not (tmp_path / "out" / "config.json").exists(), "the folder is free for the corrected command"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "entities"}, "needs --entities"),
        ({"entities": Path("e")}, "reads neither"),
        ({"source": "entities", "entities": Path("e"), "review": Path("r"), "dedup": "off"}, "nothing to decide"),
        ({"min_similarity": 1.5}, "it is a cosine"),
        ({"min_count": 0}, "at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        LabelConfig(records=Path("x"), out=Path("y"), **settings)
