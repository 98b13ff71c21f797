"""The prompts: their examples keep their own rules, their hash names all that decides, a merge invents nothing."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from ecgray.text.entities import AnswerError, read_answer, write_answer
from ecgray.text.prompt import GROUPS_SCHEMA, load_prompt, merge_question, read_groups

EXAMPLES = re.findall(r"^Statement: (.*)\nAnswer: (.*)$", load_prompt("extract").system, re.MULTILINE)


@pytest.mark.parametrize(("statement", "answer"), EXAMPLES)
def test_the_examples_answer_as_the_rules_say(statement: str, answer: str) -> None:
    reading = read_answer(statement, answer)
    assert reading.uncited == 0
    assert write_answer(reading) == answer


def test_the_examples_show_every_certainty_an_unknown_and_an_empty_answer() -> None:
    readings = [read_answer(*example) for example in EXAMPLES]
    assert {each.certainty for reading in readings for each in reading.entities} == {"Normal", "Abnormal", "Uncertain"}
    assert {(reading.unknown, bool(reading.entities)) for reading in readings} == {
        (unknown, some) for unknown in (False, True) for some in (False, True)
    }


def test_the_example_of_a_merge_is_one() -> None:
    found = re.search(r"^Names:\n(.*?)\nAnswer: (.*)$", load_prompt("merge").system, re.MULTILINE | re.DOTALL)
    assert found is not None
    groups = read_groups(found[1].split("\n"), found[2])
    assert groups["lvh"] == "left ventricular hypertrophy"
    assert len(set(groups.values())) == 3


def test_a_prompt_leaves_room_in_a_small_context() -> None:
    assert len(load_prompt("extract").system) < 8000  # about 2,000 tokens


def test_the_hash_names_all_that_decides_an_answer() -> None:
    prompt = load_prompt("extract")
    others = [
        load_prompt("merge"),
        load_prompt("extract", max_tokens=64),
        dataclasses.replace(prompt, system=prompt.system + " "),
        dataclasses.replace(prompt, purpose="merge"),
        dataclasses.replace(prompt, sampling=dataclasses.replace(prompt.sampling, seed=1)),
        dataclasses.replace(prompt, sampling=dataclasses.replace(prompt.sampling, second_temperature=0.5)),
    ]
    assert load_prompt("extract").hash == prompt.hash
    assert len({prompt.hash, *(other.hash for other in others)}) == 7


def test_the_text_is_the_user_s_turn_and_nothing_else() -> None:
    system, user = load_prompt("extract").messages("lbbb {{ x }} <|eot_id|>")
    assert (system["role"], user) == ("system", {"role": "user", "content": "lbbb {{ x }} <|eot_id|>"})


def groups(*pairs: tuple[str, list[str]]) -> str:
    return json.dumps({"groups": [{"entity": entity, "members": members} for entity, members in pairs]})


def test_a_question_to_merge_is_the_same_for_the_same_names() -> None:
    assert merge_question(["b", "a", "b"]) == merge_question(["a", "b"]) == "a\nb"


def test_a_name_that_was_left_out_goes_by_itself() -> None:
    assert read_groups(["a", "b", "c"], groups(("b", ["a", "b"]))) == {"a": "b", "b": "b", "c": "c"}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("", "answer_not_json"),
        ('{"groups": [', "answer_not_json"),
        ("[]", "answer_off_schema"),
        ('{"groups": 1}', "answer_off_schema"),
        ('{"groups": [{"entity": "a"}]}', "answer_off_schema"),
        (groups(("a", [])), "answer_off_schema"),
        (groups(("a", ["x"])), "answer_off_schema"),
        pytest.param("[" * 100_000, "answer_not_json", id="deep"),
        (groups(("x", ["a"])), "answer_off_schema"),
        (groups(("a", ["a", "a"])), "answer_off_schema"),
        (groups(("a", ["a", "b"]), ("b", ["b"])), "answer_off_schema"),
        (groups(("b", ["a"]), ("a", ["b"])), "answer_off_schema"),
        ('{"groups": [], "more": 1}', "answer_off_schema"),
    ],
)
def test_a_merge_that_is_none_is_refused(answer: str, code: str) -> None:
    with pytest.raises(AnswerError) as error:
        read_groups(["a", "b"], answer)
    assert error.value.code == code


def test_the_schemas_allow_nothing_else() -> None:
    for schema in (load_prompt("extract").schema, GROUPS_SCHEMA):
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) == set(schema["properties"])
