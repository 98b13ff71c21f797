"""Extract: filtered, cut, asked once, joined back; bad input and bad engines are counted, and none stops the job."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fake_engines import Echo, asked
from reports_table import REPORTS, stand_in_model, write_reports

from ecgray.cluster import llm
from ecgray.cluster.asking import Asking, answer_part
from ecgray.cluster.cache import part_name
from ecgray.cluster.engine import Said
from ecgray.cluster.extract import extract
from ecgray.cluster.llm import Asked, Pool
from ecgray.errors import ArtifactError, ClusterError, ConfigError
from ecgray.ner.folder import write_sums
from ecgray.parquet import read_table
from ecgray.recipes.extract import EXTRACT, ExtractConfig


def here(texts: list[str], asking: Asking, pool: Pool) -> Asked:
    """`ask_all` without Ray."""
    total = Asked()
    for start in range(0, len(texts), pool.part_rows):
        part = texts[start : start + pool.part_rows]
        name = part_name(asking.cache, part, asking.prompt.hash, asking.model_hash)
        spent = answer_part(name, part, Echo(pool.settings), asking)
        total.texts, total.calls = total.texts + spent.texts, total.calls + spent.calls
    return total


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExtractConfig:
    monkeypatch.setattr(llm, "ask_all", here)
    records = write_reports(tmp_path / "records", REPORTS, rows=7)
    model = stand_in_model(tmp_path / "model")
    return ExtractConfig(records=records, out=tmp_path / "out", model=str(model), engine="fake_engines:Echo")


def table(config: ExtractConfig, name: str = "entities") -> list[dict[str, Any]]:
    return read_table(config.out / name).to_pylist()


def of_record(config: ExtractConfig, number: int) -> list[tuple[str, str]]:
    return [(row["entity"], row["certainty"]) for row in table(config) if row["record_id"] == f"wfdb:{number}"]


def test_every_record_gets_what_its_statements_say(config: ExtractConfig) -> None:
    figures = extract(config)
    assert (figures["records"], figures["empty"], figures["short"]) == (16, 4, 2)
    assert of_record(config, 0) == [("sinus rhythm", "Abnormal"), ("normal ecg", "Normal"), ("lvh", "Uncertain")]
    assert of_record(config, 1) == [("sinus rhythm", "Abnormal"), ("lvh", "Abnormal")]
    assert of_record(config, 2)[0] == ("atrial fibrillation with rapid ventricular response", "Abnormal")
    assert of_record(config, 9) == [("vorhofflimmern mit linkstyp", "Abnormal")]
    assert of_record(config, 10) == [("心房颤动 与 快速 心室 反应", "Abnormal")]
    assert of_record(config, 8) == of_record(config, 11) == of_record(config, 5) == []
    assert of_record(config, 15) == [("y", "Abnormal"), ("lvh", "Abnormal")]
    assert figures["uncited"] == 1
    assert len(asked(Path(config.model))) == figures["asked"] == len(set(asked(Path(config.model))))
    names = [path.name for path in sorted((config.out / "entities").iterdir())]
    assert names == [path.name for path in sorted(config.records.iterdir())]


def test_what_became_of_each_statement_is_on_record(config: ExtractConfig) -> None:
    figures = extract(config)
    rows = {row["statement"]: row for row in table(config, "statements")}
    assert list(rows)[:2] == ["lvh", "sinus rhythm"]
    assert (rows["sinus rhythm"]["records"], rows["lvh"]["records"]) == (3, 3)
    assert rows["no ischemia"]["status"] == "nothing"
    assert rows["gibberish words"]["status"] == "partly"
    assert rows["lvh invented"]["uncited"] == 1
    long = ("x " * 10_000).strip()
    assert (rows[long]["status"], rows[long]["code"], figures["refused_by_code"]) == (
        "refused",
        "too_long",
        {"too_long": 1},
    )
    assert [row["statement"] for row in table(config, "quarantine")] == [long]
    assert figures["records_with_refused"] == 1
    assert figures["statements"] == sum(row["records"] for row in rows.values())


def test_a_finished_folder_answers_at_once(config: ExtractConfig) -> None:
    first = extract(config)
    before = {path: path.stat().st_mtime_ns for path in config.out.rglob("*")}
    assert extract(config) == first
    assert {path: path.stat().st_mtime_ns for path in config.out.rglob("*")} == before


def test_another_run_on_the_same_cache_asks_nothing(config: ExtractConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    first = extract(config)
    monkeypatch.setattr(llm, "ask_all", lambda *_: pytest.fail("the engine was asked"))
    other = dataclasses.replace(config, out=config.out.with_name("other"), cache=config.out / "cache")
    second = extract(other)
    assert (second["asked"], second["cached"]) == (0, first["answered"])
    assert table(other) == table(config)


def test_another_prompt_or_model_is_asked_anew(config: ExtractConfig) -> None:
    first = extract(config)
    other = dataclasses.replace(config, out=config.out.with_name("b"), cache=config.out / "cache", max_tokens=99)
    assert extract(other)["asked"] == first["asked"]
    (Path(config.model) / "config.json").write_text('{"other": 1}')
    third = dataclasses.replace(config, out=config.out.with_name("c"), cache=config.out / "cache")
    assert extract(third)["asked"] == first["asked"]


def test_statements_that_failed_are_asked_by_the_same_command(config: ExtractConfig, monkeypatch) -> None:
    monkeypatch.setattr(Echo, "say", _failing(Echo.say, "lvh"))
    first = extract(config)
    assert first["refused_by_code"] == {"engine_failed": 3, "too_long": 1}
    assert first["records_with_refused"] == 6
    monkeypatch.undo()
    monkeypatch.setattr(llm, "ask_all", here)
    before = len(asked(Path(config.model)))
    second = extract(config)
    assert sorted(asked(Path(config.model))[before:]) == ["lvh", "lvh invented", "possible lvh"]
    assert second["asked"] == 3
    assert second["refused_by_code"] == {"too_long": 1}
    assert of_record(config, 1) == [("sinus rhythm", "Abnormal"), ("lvh", "Abnormal")]


def test_a_folder_stays_finished_where_its_failures_cannot_be_asked_again(config: ExtractConfig, monkeypatch) -> None:
    monkeypatch.setattr(Echo, "say", _failing(Echo.say, "lvh"))
    first = extract(config)

    def no_engine(*_: object) -> Asked:
        raise ClusterError("the engine does not start")

    monkeypatch.setattr(llm, "ask_all", no_engine)
    with pytest.raises(ClusterError):
        extract(config)
    assert json.loads((config.out / "figures.json").read_text()) == json.loads(json.dumps(first))


def test_asking_again_in_vain_leaves_the_folder_as_it_was(config: ExtractConfig, monkeypatch) -> None:
    """What was made of a finished folder stays valid: its figures are how it is known."""
    monkeypatch.setattr(Echo, "say", _failing(Echo.say, "lvh"))
    extract(config)
    before = (config.out / "figures.json").read_bytes()
    assert extract(config)["asked"] > 0
    assert (config.out / "figures.json").read_bytes() == before


def test_a_list_that_could_not_be_merged_is_in_quarantine_and_asked_again(config: ExtractConfig, monkeypatch) -> None:
    records = write_reports(config.records.with_name("lists"), ["LVH. AF now", "LVH. AF now"])
    run = dataclasses.replace(config, records=records, merge="llm")
    monkeypatch.setattr(Echo, "say", _failing(Echo.say, "\n"))
    assert extract(run)["merge_refused_by_code"] == {"engine_failed": 1}
    (row,) = table(run, "quarantine")
    assert (row["statement"], row["records"], row["status"], row["code"]) == (
        "af now, lvh",
        2,
        "unmerged",
        "engine_failed",
    )
    assert of_record(run, 0) == [("lvh", "Abnormal"), ("af now", "Abnormal")]
    monkeypatch.undo()
    monkeypatch.setattr(llm, "ask_all", here)
    assert extract(run)["merge_refused_by_code"] == {}
    assert of_record(run, 0) == [("lvh", "Abnormal")]
    assert table(run, "quarantine") == []


def _failing(say, word):
    def failing(self, text, prompt, attempt):
        if word in text:
            raise RuntimeError(text)
        return say(self, text, prompt, attempt)

    return failing


def test_a_whole_report_may_be_asked(config: ExtractConfig) -> None:
    whole = dataclasses.replace(config, unit="report")
    figures = extract(whole)
    assert "sinus rhythm. lvh. no ischemia" in asked(Path(config.model))
    assert figures["refused_by_code"] == {"too_long": 2}


def test_merging_off_keeps_every_statement_and_llm_asks_for_groups(config: ExtractConfig) -> None:
    records = write_reports(config.records.with_name("twice"), ["Possible LVH. LVH. AF now"])
    for merge, expected in {
        "off": [("lvh", "Uncertain"), ("lvh", "Abnormal"), ("af now", "Abnormal")],
        "exact": [("lvh", "Abnormal"), ("af now", "Abnormal")],
        "llm": [("lvh", "Abnormal")],
    }.items():
        run = dataclasses.replace(config, records=records, out=config.out.with_name(merge), merge=merge)  # type: ignore[arg-type]
        figures = extract(run)
        assert of_record(run, 0) == expected
        assert figures.get("merge_asked", 1) == 1


def test_a_model_that_is_not_there_is_said(config: ExtractConfig) -> None:
    for model in ("nowhere", "some-one/no-such-model"):
        with pytest.raises(ConfigError, match="is no folder with a config"):
            extract(dataclasses.replace(config, model=model))
    assert not config.out.exists()


def test_no_word_of_a_report_is_said_on_the_way(config: ExtractConfig, capsys: pytest.CaptureFixture[str]) -> None:
    extract(config)
    said = capsys.readouterr()
    assert not any(word in (said.out + said.err).lower() for word in ("lvh", "vorhof", "fibrillation", "gibberish"))


def test_other_weights_of_the_same_size_are_another_input(config: ExtractConfig) -> None:
    weights = Path(config.model) / "model.safetensors"
    weights.write_bytes(b"1")
    extract(config)
    weights.write_bytes(b"2")
    with pytest.raises(ConfigError, match="the input"):
        extract(config)


def test_a_model_that_was_damaged_is_refused(config: ExtractConfig) -> None:
    folder = Path(config.model)
    (folder / "model.safetensors").write_bytes(b"as it was written")
    write_sums(folder)
    (folder / "model.safetensors").write_bytes(b"as it was damaged")
    with pytest.raises(ArtifactError, match="SHA-256 differs"):
        extract(config)
    assert not config.out.exists()


def test_an_engine_that_is_none_leaves_no_folder(config: ExtractConfig) -> None:
    with pytest.raises(ConfigError, match="cannot be imported"):
        extract(dataclasses.replace(config, engine="nowhere.py:Engine"))
    assert not config.out.exists()


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda table: table.drop(["report"]), "column 'report' is missing"),
        (lambda table: table.set_column(table.column_names.index("report"), "report", [[1] * len(table)]), "int64"),
    ],
)
def test_records_without_a_report_to_read_are_refused(config: ExtractConfig, spoil: Any, match: str) -> None:
    part = sorted(config.records.glob("*.parquet"))[1]
    pq.write_table(spoil(pq.read_table(part)), part)
    with pytest.raises(ConfigError, match=match):
        extract(config)
    part.write_bytes(b"PAR1 this is none")
    with pytest.raises(ConfigError, match="cannot be read as Parquet"):
        extract(config)


def test_a_model_whose_answers_hold_nothing_is_said(config: ExtractConfig, monkeypatch, capsys) -> None:
    invented = '{"unknown": false, "entities": [{"cited": "xyz", "entity": "lvh", "certainty": "Abnormal"}]}'
    monkeypatch.setattr(Echo, "say", lambda *_: Said(invented, None, 5, 5))
    figures = extract(config)
    assert figures["entities"] == 0 < figures["uncited"]
    assert "no answer can be used" in capsys.readouterr().err
    assert {row["status"] for row in table(config, "statements")} == {"uncited", "refused"}


def test_recipes_ask_the_same_question() -> None:
    plain = vars(ExtractConfig())
    differ = {name for recipe in EXTRACT.values() for name, value in vars(recipe).items() if value != plain[name]}
    assert differ - set(ExtractConfig.PLACEMENT) == {"model", "max_model_len"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 0},
        {"min_words": -1},
        {"timeout_s": 0},
        {"tensor_parallel": 2},
        {"gpu_memory_share": 1.0},
        {"merge": "llm"},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ExtractConfig(**wrong)


READINGS = """statement,entity,certainty,note
LVH.,voltage criteria for left ventricular hypertrophy,uncertain,
lvh,high qrs voltage,Abnormal,
Sinus rhythm,none,,not asked for
LVH invented,lvh,Abnormal,
"said by no record",lvh,Abnormal,
"""


def test_a_clinicians_reading_stands_and_the_model_is_not_asked(config: ExtractConfig) -> None:
    plain = extract(config)
    file = config.out.with_name("readings.csv")
    file.write_text(f"{READINGS}{'x ' * 10_000},artifact,Abnormal,too long for the model\n")
    run = dataclasses.replace(config, out=config.out.with_name("b"), cache=config.out / "cache", readings=file)
    before = len(asked(Path(config.model)))
    figures = extract(run)
    assert (figures["corrected"], figures["asked"], len(asked(Path(config.model)))) == (4, 0, before)
    assert figures["answered"] == figures["cached"] == plain["answered"] - 3
    assert (figures["refused_by_code"], figures["uncited"]) == ({}, 0)
    assert of_record(run, 1) == [
        ("voltage criteria for left ventricular hypertrophy", "Uncertain"),
        ("high qrs voltage", "Abnormal"),
    ]
    assert of_record(run, 11) == []
    assert of_record(run, 14) == [("artifact", "Abnormal")]
    assert {row["cited"] for row in table(run) if row["statement"] == "lvh invented"} == {"lvh invented"}
    statements = {row["statement"]: (row["status"], row["entities"]) for row in table(run, "statements")}
    assert (statements["lvh"], statements["sinus rhythm"]) == (("corrected", 2), ("corrected", 0))
    assert "said by no record" not in statements
    assert extract(run) == figures
    file.write_text(READINGS)
    with pytest.raises(ConfigError, match="the input"):
        extract(run)


def test_without_a_cache_corrected_statements_are_not_asked_either(config: ExtractConfig, tmp_path: Path) -> None:
    file = tmp_path / "readings.csv"
    file.write_text(READINGS)
    extract(dataclasses.replace(config, readings=file))
    assert not {"lvh", "sinus rhythm", "lvh invented"} & set(asked(Path(config.model)))


def test_a_file_of_readings_that_cannot_be_meant_leaves_no_folder(config: ExtractConfig, tmp_path: Path) -> None:
    file = tmp_path / "readings.csv"
    file.write_text("statement,entity,certainty\nlvh,lvh,perhaps\n")
    with pytest.raises(ConfigError, match="line 2"):
        extract(dataclasses.replace(config, readings=file))
    assert not config.out.exists()


def test_only_a_model_that_was_asked_is_warned_of(config: ExtractConfig, monkeypatch, capsys) -> None:
    file = config.out.with_name("readings.csv")
    file.write_text("statement,entity,certainty\nlvh here now,lvh,Abnormal\n")
    monkeypatch.setattr(Echo, "say", lambda *_: Said('{"unknown": false, "entities": []', None, 5, 5, cut=True))
    for name, reports, warned in (("all", ["LVH here now"], False), ("some", ["LVH here now", "AF here now"], True)):
        records = write_reports(config.records.with_name(f"of_{name}"), reports)
        extract(dataclasses.replace(config, records=records, out=config.out.with_name(name), readings=file))
        assert ("no answer can be used" in capsys.readouterr().err) == warned
