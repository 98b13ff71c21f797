"""Experience retrieval as a job: links, neighbours, paragraphs, refusals, and an engine that answers well or badly."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_llama import TEMPLATE, tiny_llama

from ecgray.cluster import experience_llm
from ecgray.cluster.asking import Asking, answer_part
from ecgray.cluster.cache import Row, remember
from ecgray.cluster.engine import EngineSettings, Said, answers_hash
from ecgray.cluster.llm import Asked, Pool, ask_all
from ecgray.cluster.parts import PartWorker
from ecgray.cluster.retrieve import retrieve
from ecgray.errors import ArchiveError, ConfigError
from ecgray.parquet import read_table, write_table
from ecgray.recipes.retrieve import RetrieveConfig
from ecgray.tables import ADMISSIONS, EHR_QUARANTINE, EXPERIENCE, RECORDS, ecg_bytes
from ecgray.text.prompt import Prompt, load_prompt

PATIENTS = 24
FIRST = datetime.datetime(2180, 1, 1)
ILL = {
    0: ("I4891", "Warfarin", "Atrial fibrillation. Abnormal ECG"),
    1: ("I10", "Lisinopril", "Sinus rhythm. Left ventricular hypertrophy"),
}


def hospital(folder: Path) -> Path:
    """A patient's illness is her number's parity; every patient has one stay, a drug of all and one of the illness."""
    rows: dict[str, list[str]] = {"admissions": [], "diagnoses_icd": [], "procedures_icd": [], "prescriptions": []}
    for patient in range(PATIENTS):
        stay, first = 500 + patient, FIRST + datetime.timedelta(days=10 * patient)
        code, drug, _ = ILL[patient % 2]
        rows["admissions"].append(f"{patient},{stay},{first},{first + datetime.timedelta(days=2)},")
        rows["diagnoses_icd"] += [f"{patient},{stay},1,{code},10", f"{patient},{stay},2,Z{patient:03d},10"]
        rows["prescriptions"] += [f"{patient},{stay},MAIN,{drug}", f"{patient},{stay},MAIN,Acetaminophen"]
    headers = {
        "admissions": "subject_id,hadm_id,admittime,dischtime,edregtime",
        "diagnoses_icd": "subject_id,hadm_id,seq_num,icd_code,icd_version",
        "procedures_icd": "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version",
        "prescriptions": "subject_id,hadm_id,drug_type,drug",
    }
    (folder / "hosp").mkdir(parents=True)
    for table, header in headers.items():
        (folder / "hosp" / f"{table}.csv").write_text("\n".join([header, *rows[table], ""]))
    return folder


def record(number: int, patient: int, time: object, **changes: Any) -> dict[str, Any]:
    row = dict.fromkeys(RECORDS.names) | {
        "record_id": f"mimic-iv-ecg:{number}",
        "subject_id": f"mimic-iv-ecg:{patient}",
        "split": "test" if patient % 8 == 7 else "val" if patient % 8 == 6 else "train",
        "time": str(time) or None,
        "report": ILL[patient % 2][2],
        "age": 60.0 + patient,
        "sex": "FM"[patient % 2],
        "rr_ms": 750.0 + patient,
        "codes": [],
        "flags": [],
        "ecg": ecg_bytes(np.zeros((12, 5000), np.int16)),
    }
    return row | changes


def records(folder: Path, **changes: Any) -> Path:
    """Two ECGs a patient, one of the second day and one of a month later; one of nobody, one of no time."""
    rows = []
    for patient in range(PATIENTS):
        first = FIRST + datetime.timedelta(days=10 * patient)
        rows.append(record(2 * patient, patient, first + datetime.timedelta(days=1)))
        rows.append(record(2 * patient + 1, patient, first + datetime.timedelta(days=32)))
    rows.append(record(900, 77, FIRST))
    rows.append(record(901, 3, ""))
    rows.append(record(902, 4, FIRST))
    rows[0] |= changes
    for start in range(0, len(rows), 20):
        table = pa.Table.from_pylist(rows[start : start + 20], RECORDS)
        write_table(table, folder / "records" / f"part-{start:05d}.parquet")
    return folder


@pytest.fixture
def config(tmp_path: Path) -> RetrieveConfig:
    return RetrieveConfig(records=records(tmp_path / "in"), ehr=hospital(tmp_path / "ehr"), out=tmp_path / "out")


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers in this process: what is tested here is not Ray."""

    def work_through(parts: dict[Path, int], worker: type[PartWorker], plan: object, **_: Any) -> float:
        made = worker(plan)
        done = {"part": [str(part) for part in parts if not (_["tables"][-1] / part.name).exists()]}
        assert not done["part"] or not any(made(done)["failed"])
        return 1.0

    def ask_doctor(texts: Sequence[str], asking: Asking, pool: Pool) -> Asked:
        spent = answer_part("one", texts, Doctor(pool.settings), asking)
        return Asked(texts=spent.texts, calls=spent.calls)

    monkeypatch.setattr("ecgray.cluster.retrieve.work_through", work_through)
    monkeypatch.setattr(experience_llm, "ask_all", ask_doctor)


class Doctor:
    """Writes a paragraph that passes, but invents a rate for women."""

    def __init__(self, settings: EngineSettings) -> None:
        pass

    def ask(self, texts: Sequence[str], prompt: Prompt, attempt: int) -> list[Said]:
        said = []
        for text in texts:
            said.append(Said(paragraph("333" if "Sex: female" in text else rate_of(text))))
        return said


def rate_of(text: str) -> str:
    return text.partition("Heart rate: ")[2].split()[0]


def paragraph(rate: str) -> str:
    return json.dumps({"report": f"The heart rate is {rate} beats per minute. " + "It is so. " * 20})


def rows_of(config: RetrieveConfig) -> dict[str, dict[str, Any]]:
    table = read_table(config.out / "experience")
    assert table.schema.equals(EXPERIENCE)
    return {row["record_id"].split(":")[1]: row for row in table.to_pylist()}


def test_a_record_gets_the_experience_of_patients_as_ill_as_its_own(config: RetrieveConfig, in_process: None):
    figures = retrieve(config)
    rows = rows_of(config)
    assert (figures["records"], figures["during"], figures["before"]) == (51, 24, 24)
    assert figures["codes"] == {"no_admission": 2, "no_time": 1}
    assert figures["with_neighbours"] == 48
    assert figures["pool"] == 18
    assert read_table(config.out / "admissions").schema.equals(ADMISSIONS)
    assert pq.read_schema(next((config.out / "quarantine").glob("*"))).equals(EHR_QUARANTINE)
    training = {f"mimic-iv:{500 + patient}" for patient in range(PATIENTS) if patient % 8 < 6}
    for patient in range(PATIENTS):
        for number, link in ((2 * patient, "during"), (2 * patient + 1, "before")):
            row = rows[str(number)]
            assert (row["admission_id"], row["link"], row["code"]) == (f"mimic-iv:{500 + patient}", link, None)
            assert set(row["neighbours"]) <= training - {row["admission_id"]}
            assert len(row["neighbours"]) == len(set(row["neighbours"])) == 3
            assert row["retrieved"] == [ILL[patient % 2][2]] * 3
            assert row["similarities"] == pytest.approx([1 / 3 + 1] * 3)
            assert row["writer"] == "template"
            assert f"{60 + patient}-year-old" in row["experience"]
    for number, code in (("900", "no_admission"), ("901", "no_time"), ("902", "no_admission")):
        assert (rows[number]["code"], rows[number]["experience"], rows[number]["writer"]) == (code, "", None)
        assert rows[number]["neighbours"] == []
    assert figures["statement_jaccard"] == 1.0
    assert figures["statement_jaccard_by_chance"] < 0.8
    assert not (config.out / ".links.parquet").exists()


def test_of_equals_the_lower_admission_is_taken(config: RetrieveConfig, in_process: None):
    retrieve(config)
    assert rows_of(config)["20"]["neighbours"] == ["mimic-iv:500", "mimic-iv:502", "mimic-iv:504"]


def test_a_finished_run_is_returned_and_a_broken_one_goes_on(config: RetrieveConfig, in_process: None):
    figures = retrieve(config)
    assert retrieve(config) == figures
    before = rows_of(config)
    (config.out / "figures.json").unlink()
    (config.out / "experience" / "part-00020.parquet").unlink()
    kept = (config.out / "experience" / "part-00000.parquet").stat().st_mtime_ns
    assert retrieve(config)["records"] == figures["records"]
    assert rows_of(config) == before
    assert (config.out / "experience" / "part-00000.parquet").stat().st_mtime_ns == kept


def test_a_patient_in_both_sets_is_refused_with_their_number(tmp_path: Path, config: RetrieveConfig):
    leaking = dataclasses.replace(config, records=records(tmp_path / "leaking", split="test"))
    with pytest.raises(ConfigError, match=r"^1 patients of the records stand in the training set and in another one"):
        retrieve(leaking)
    assert not config.out.exists()


def test_admissions_without_codes_are_counted(config: RetrieveConfig, in_process: None):
    path = config.ehr / "hosp" / "diagnoses_icd.csv"
    drugs = config.ehr / "hosp" / "prescriptions.csv"
    for each in (path, drugs):
        each.write_text("\n".join(line for line in each.read_text().splitlines() if not line.startswith("0,")) + "\n")
    figures = retrieve(config)
    assert figures["admissions_without_codes"] == 1
    assert figures["codes"]["no_codes"] == 2
    assert rows_of(config)["0"]["experience"] == ""


def test_ecgs_of_no_admission_have_no_experience_and_stop_nothing(config: RetrieveConfig, in_process: None):
    for path in (config.ehr / "hosp").iterdir():  # all of other patients
        header, *rows = path.read_text().splitlines()
        path.write_text("\n".join([header, *(f"9{row}" for row in rows), ""]))
    figures = retrieve(config)
    assert (figures["admissions"], figures["pool"], figures["with_neighbours"]) == (0, 0, 0)
    assert figures["codes"] == {"no_admission": 50, "no_time": 1}
    assert (figures["mean_similarity"], figures["statement_f1"]) == (None, None)
    assert {row["experience"] for row in rows_of(config).values()} == {""}


def test_without_any_report_nothing_can_be_found(config: RetrieveConfig, in_process: None):
    for path in (config.records / "records").iterdir():
        table = pq.read_table(path)
        silent = pa.array([""] * table.num_rows)
        write_table(table.set_column(table.column_names.index("report"), RECORDS.field("report"), silent), path)
    figures = retrieve(config)
    assert (figures["pool"], figures["codes"]["no_neighbour"]) == (0, 48)


def test_a_hospital_that_is_none_is_refused_and_leaves_nothing(config: RetrieveConfig):
    with pytest.raises(ArchiveError, match=r"no admissions\.csv"):
        retrieve(dataclasses.replace(config, ehr=config.records))
    (config.ehr / "hosp" / "prescriptions.csv").unlink()
    with pytest.raises(ArchiveError, match=r"prescriptions\.csv is missing"):
        retrieve(config)
    assert not config.out.exists()


def test_a_hospital_without_admissions_is_refused_and_leaves_nothing(config: RetrieveConfig):
    table = config.ehr / "hosp" / "admissions.csv"
    table.write_text(table.read_text().splitlines(keepends=True)[0])
    with pytest.raises(ArchiveError, match=r"admissions\.csv lists no admission that can be used; was it copied"):
        retrieve(config)
    assert not config.out.exists()


def test_what_a_model_answers_well_takes_the_templates_place(tmp_path: Path, config: RetrieveConfig, in_process: None):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    asking = dataclasses.replace(config, llm=str(tmp_path / "model"), engine=f"{__file__}:Doctor")
    figures = retrieve(asking)
    rows = rows_of(asking)
    assert figures["questions"] == 24, "two ECGs of a patient ask the same"
    assert figures["asked"] == 36, "what fails is asked once more"
    assert figures["refused_by_code"] == {"answer_number": 24}
    assert figures["by_writer"] == {"llm": 24, "template": 24}
    for patient in range(PATIENTS):
        row = rows[str(2 * patient)]
        if patient % 2:
            assert (row["writer"], row["code"]) == ("llm", None)
            assert row["experience"].startswith(f"The heart rate is {round(60_000 / (750 + patient))} beats")
        else:
            assert (row["writer"], row["code"]) == ("template", "answer_number")
            assert row["experience"].startswith("12-lead ECG")


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 0},
        {"lambda_diagnoses": -1.0},
        {"lambda_diagnoses": 0.0, "lambda_medications": 0.0, "lambda_procedures": 0.0},
        {"lambda_diagnoses": float("nan")},
        {"days_before": -1.0},
        {"days_before": float("nan")},
        {"llm": "embedded"},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ConfigError):
        RetrieveConfig(**wrong)


@pytest.mark.ray
def test_workers_on_ray_find_the_same(config: RetrieveConfig, ray_session: None, in_process: None):
    with pytest.MonkeyPatch.context() as patched:
        from ecgray.cluster.parts import work_through

        patched.setattr("ecgray.cluster.retrieve.work_through", work_through)
        figures = retrieve(dataclasses.replace(config, workers=2, cpus_per_worker=0.5))
    on_ray = rows_of(config)
    alone = dataclasses.replace(config, out=config.out.with_name("alone"))
    assert retrieve(alone)["mean_similarity"] == figures["mean_similarity"]
    assert rows_of(alone) == on_ray


@pytest.mark.ray
def test_what_a_real_engine_babbles_is_refused_and_the_template_stands(
    tmp_path: Path, config: RetrieveConfig, ray_session: None, in_process: None, monkeypatch: pytest.MonkeyPatch
):
    """vLLM and a network of random weights. What is answered well stands in the cache and is never asked again."""
    monkeypatch.setattr(experience_llm, "ask_all", ask_all)
    model, cache = tiny_llama(tmp_path / "model", template=TEMPLATE, mute=False), tmp_path / "cache"
    asking = dataclasses.replace(config, llm=str(model), max_tokens=48, kv_cache_mb=32, cache=cache)
    figures = retrieve(asking)
    assert (figures["questions"], figures["asked"]) == (24, 48), "what fails is asked once more"
    assert figures["tokens_in"] > 48 * len(load_prompt("experience").system) / 4, "the whole prompt each time"
    assert figures["by_writer"] == {"template": 48}
    assert sum(figures["refused_by_code"].values()) == 48
    assert all(code.startswith("answer_") for code in figures["refused_by_code"]), figures["refused_by_code"]
    asked = [row for row in rows_of(asking).values() if row["retrieved"]]
    assert {row["code"] for row in asked} == set(figures["refused_by_code"])
    assert all(row["experience"].startswith("12-lead ECG") for row in asked)
    kept = read_table(cache)
    assert (kept["answer"].null_count, kept.num_rows) == (24, 24)
    good = [Row(text, paragraph(rate_of(text)), None) for text in kept["text"].to_pylist()]
    prompt = load_prompt("experience", max_tokens=48)
    remember(good, cache / "good.parquet", prompt.hash, answers_hash(model, "vllm"))
    again = retrieve(dataclasses.replace(asking, out=tmp_path / "again"))
    assert (again["asked"], again["by_writer"], again["refused_by_code"]) == (0, {"llm": 48}, {})
