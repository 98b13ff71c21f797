"""What `jobs/generate.py` refuses before it opens OUT, with the generator that ships."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ecgray.cluster.generate import generate
from ecgray.errors import ConfigError
from ecgray.models.generator import EMBEDDED
from ecgray.parquet import write_table
from ecgray.recipes.generate import GENERATE
from ecgray.sediff.conditions import Sources, read_conditions
from ecgray.tables import EXPERIENCE, INTERVALS, LABELS, RECORDS


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_is_a_number_that_a_table_can_hold(seed: int) -> None:
    with pytest.raises(ConfigError, match=rf"seed={seed} must lie between 0 and"):
        dataclasses.replace(GENERATE["debug"], model=Path("m"), prompt="x", seed=seed, out=Path("o"))


def test_what_is_refused_leaves_no_folder_behind(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("text,heart_rate\nsinus rhythm,7x\n")
    for fields, named in (
        ({"prompt": "sinus rhythm", "sex": "x"}, "sex='X' must be F or M"),
        ({"prompt": "sinus \udcff"}, "not UTF-8"),
        ({"prompts": tmp_path / "p.csv"}, r"p\.csv, line 2: heart_rate is no number"),
    ):
        with pytest.raises(ConfigError, match=named):
            generate(dataclasses.replace(GENERATE["debug"], model=EMBEDDED, out=tmp_path / "o", **fields))
    assert not (tmp_path / "o").exists()


def table(folder: Path, name: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> Path:
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    write_table(pa.table(columns, schema=schema), folder / name / "part-00000.parquet")
    return folder


@pytest.fixture
def records(tmp_path: Path) -> Path:
    rows = [
        {"record_id": "a", "subject_id": "a", "split": "train", "report": "AF\0", "flags": []},
        {"record_id": "b", "subject_id": "b", "split": "test", "report": " ", "flags": []},
    ]
    return table(tmp_path / "records", "records", RECORDS, [row | {"ecg": bytes(120_000)} for row in rows])


@pytest.mark.parametrize(("name", "schema"), [("labels", LABELS), ("intervals", INTERVALS), ("experience", EXPERIENCE)])
@pytest.mark.parametrize("theirs", [[], ["c", "d"]], ids=["no rows", "other records"])
def test_a_table_of_other_records_is_refused(
    records: Path, tmp_path: Path, name: str, schema: pa.Schema, theirs: list[str]
) -> None:
    other = table(tmp_path / "other", name, schema, [{"record_id": each} for each in theirs])
    with pytest.raises(ConfigError, match=r"none of 2 records stands in .*other; give the OUT"):
        read_conditions(Sources(records, **{name: other}), splits=("test",), wordings="report")


def test_a_table_may_lack_the_records_of_a_split(records: Path, tmp_path: Path) -> None:
    """Labels of the training records only are still these records' labels."""
    labels = table(tmp_path / "labels", "labels", LABELS, [{"record_id": "a", "terms": ["atrial fibrillation"]}])
    told = read_conditions(Sources(records, labels=labels), splits=("train", "test"), wordings="both")
    assert told.terms == ["atrial fibrillation", ""]
    assert told.told().tolist() == [0]
    assert told.prompt(0).text == "AF "
    only = read_conditions(Sources(records, labels=labels), splits=("test",), wordings="both")
    assert only.terms == [""]
