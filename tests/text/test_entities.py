"""An answer is what the schema says, and an entity stands in its statement; whatever else is said is no answer."""

from __future__ import annotations

import json

import pytest

from ecgray.text.entities import MAX_ENTITIES, AnswerError, Entity, Reading, read_answer, write_answer
from ecgray.text.joining import Found, found_in, merged


def answer(*entities: dict[str, object], **other: object) -> str:
    return json.dumps({"unknown": False, "entities": list(entities)} | other)


def entity(cited: str = "lvh", name: str = "lvh", certainty: str = "Abnormal") -> dict[str, object]:
    return {"cited": cited, "entity": name, "certainty": certainty}


def test_what_is_written_is_read() -> None:
    reading = Reading((Entity("left bundle branch block", "Uncertain", "lbbb"),), unknown=True)
    assert read_answer("possible lbbb", write_answer(reading)) == reading


@pytest.mark.parametrize("cited", ["", "  ", "rvh", "lv", "hypertrophy lvh", "...", "lvh lvh"])
def test_an_entity_without_its_words_is_dropped_and_counted(cited: str) -> None:
    reading = read_answer("lvh with repolarization", answer(entity(cited), entity("LVH")))
    assert (reading.uncited, len(reading.entities)) == (1, 1)


@pytest.mark.parametrize("cited", ["Inferior infarct", "inferior and lateral infarct", "lateral infarct.", "infarct"])
def test_words_may_be_cited_with_others_between_them(cited: str) -> None:
    assert read_answer("inferior and lateral infarct", answer(entity(cited))).uncited == 0


def test_the_same_entity_and_certainty_counts_once() -> None:
    said = answer(entity(), entity(name=" LVH "), entity(certainty="Uncertain"), entity(name=""))
    reading = read_answer("lvh", said)
    assert [each.certainty for each in reading.entities] == ["Abnormal", "Uncertain"]
    assert reading.uncited == 1


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("", "answer_not_json"),
        ("{", "answer_not_json"),
        ("sinus rhythm", "answer_not_json"),
        pytest.param("[" * 100_000, "answer_not_json", id="deep"),
        (answer(entity(name="lvh\ud800")), "answer_off_schema"),
        (answer(entity(cited="lvh \udfff")), "answer_off_schema"),
        ("null", "answer_off_schema"),
        ("[]", "answer_off_schema"),
        ("{}", "answer_off_schema"),
        ('{"unknown": false}', "answer_off_schema"),
        ('{"unknown": 0, "entities": []}', "answer_off_schema"),
        ('{"unknown": false, "entities": {}}', "answer_off_schema"),
        ('{"unknown": false, "entities": ["lvh"]}', "answer_off_schema"),
        (answer(entity(certainty="Certain")), "answer_off_schema"),
        (answer({"cited": "lvh", "entity": "lvh"}), "answer_off_schema"),
        (answer(entity() | {"more": "1"}), "answer_off_schema"),
        (answer(entity() | {"cited": 1}), "answer_off_schema"),
        (answer(more=1), "answer_off_schema"),
        (answer(*[entity()] * (MAX_ENTITIES + 1)), "answer_off_schema"),
    ],
)
def test_what_is_no_answer_is_refused_without_its_words(said: str, code: str) -> None:
    with pytest.raises(AnswerError) as error:
        read_answer("lvh", said)
    assert error.value.code == code
    assert "lvh" not in str(error.value)


def test_a_report_counts_a_finding_once_and_takes_the_surest() -> None:
    readings = {
        "possible lvh": Reading((Entity("lvh", "Uncertain", "lvh"),), False),
        "lvh": Reading((Entity("lvh", "Abnormal", "lvh"), Entity("left hypertrophy", "Abnormal", "lvh")), False),
    }
    found = found_in(["possible lvh", "not read", "lvh"], readings)
    assert len(found) == 3
    assert [each.statement for each in merged(found, {})] == ["lvh", "lvh"]
    assert merged(found, {"lvh": "left hypertrophy"}) == [Found("lvh", Entity("left hypertrophy", "Abnormal", "lvh"))]
    assert merged(found[::-1], {"lvh": "left hypertrophy"})[0].entity.certainty == "Abnormal"
