"""What a JSON body may not be, row by row of RELIABILITY B5 (54 to 67): code, status, and no word of it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from asking import CANARY, asked, client_of, logits, refused
from stand_ins import ChildService
from uploads import listed, packed

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def quick(child: ChildService) -> Iterator[httpx.Client]:
    with client_of(child.address) as client:
        yield client


def sent(client: httpx.Client, content: bytes | str, path: str = "/v1/classify") -> httpx.Response:
    return client.post(path, content=content, headers=JSON)


# --- JSON

ANY = f'"{CANARY}"'
BAD_JSON = {
    "nothing": "",
    "space": "   ",
    "a word": CANARY,
    "half": f'{{"queries": [{ANY}]',
    "two documents": f'{{"queries": [{ANY}]}} {{}}',
    "something behind": f'{{"queries": [{ANY}]}}x',
    "NUL behind": f'{{"queries": [{ANY}]}}\0',
    "a comma too many": f'{{"queries": [{ANY},]}}',
    "single quotes": f"{{'queries': ['{CANARY}']}}",
    "a comment": f'{{"queries": [{ANY}]}} // {CANARY}',
    "NaN": f'{{"queries": [{ANY}], "options": {{"start_s": NaN}}}}',
    "Infinity": f'{{"queries": [{ANY}], "options": {{"start_s": -Infinity}}}}',
    "1e999": f'{{"queries": [{ANY}], "options": {{"start_s": 1e999}}}}',
    "-1E+400": f'{{"queries": [{ANY}], "options": {{"start_s": -1E+400}}}}',
    "400 digits": f'{{"queries": [{ANY}], "options": {{"start_s": {"9" * 400}.0}}}}',
    "300 digits e99": f'{{"queries": [{ANY}], "options": {{"start_s": {"9" * 300}e99}}}}',
    "5,000 digits": f'{{"queries": [{ANY}], "options": {{"start_s": {"9" * 5000}}}}}',
    "a field twice": f'{{"queries": [{ANY}], "queries": ["b"]}}',
    "a field twice, spelled otherwise": f'{{"queries": [{ANY}], "quer\\u0069es": ["b"]}}',
    "a field twice within": f'{{"queries": [{ANY}], "options": {{"strict": true, "strict": false}}}}',
    "half a letter": '{"queries": ["\\ud800"]}',
    "the other half": '{"queries": ["a\\uDFFFb"]}',
    "halves in the wrong order": '{"queries": ["\\udc00\\ud800"]}',
    "half a letter as a name": '{"\\ud83d": 1}',
    "half a letter in a file's name": '{"files": [{"name": "\\ud800", "data": ""}], "queries": ["a"]}',
    "an open text": f'{{"queries": ["{CANARY}',
    "a line break in a text": f'{{"queries": ["{CANARY}\n"]}}',
    "100,000 lists": "[" * 100_000,
    "100,000 lists, closed": f'{{"queries": {"[" * 100_000}{"]" * 100_000}}}',
    "100,000 objects": '{"a":' * 100_000,
    "seventeen lists": f'{{"queries": {"[" * 17}{"]" * 17}}}',
    "lists behind a text of quotes": '"' + '\\"' * 400_000 + "[" * 20,
    "lists behind a text of backslashes": '"' + "\\" * 799_999 + "[" * 20,
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_what_is_no_json_is_refused(name: str, quick: httpx.Client, child: ChildService):
    for path in ("/v1/classify", "/v1/classify/batch", "/v1/generate", "/v2/models/classifier/infer"):
        start = child.cpu_s()
        refused(sent(quick, BAD_JSON[name], path), 400, "json_invalid")
        assert child.cpu_s() - start < 1


@pytest.mark.parametrize(
    "content", [b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b'{"a": "\xe4"}', b'{"a": "\xed\xa0\x80"}', b"\x80"]
)
def test_json_is_utf_8(content: bytes, quick: httpx.Client):
    refused(sent(quick, content), 400, "json_invalid")


@pytest.mark.parametrize("content", ["[]", "1", '"a"', "null", "true", f"[{ANY}]"])
def test_a_body_is_an_object(content: str, quick: httpx.Client):
    for path in ("/v1/classify", "/v1/generate", "/v1/classify/batch"):
        refused(sent(quick, content, path), 422, "param_invalid")


# --- fields


def wrong(**fields: Any) -> dict[str, Any]:
    """A body of /v1/classify whose ECG is never looked at."""
    return {"ecg": {}, "queries": [CANARY]} | fields


BAD_FIELDS: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "neither": ({"queries": [CANARY]}, "param_missing", "ecg"),
    "both": (wrong(files=[{"name": CANARY, "data": ""}]), "param_invalid", "ecg"),
    "no queries": ({"ecg": {}}, "param_missing", "queries"),
    "one more": (wrong(**{CANARY: CANARY}), "param_unknown", None),
    "one more within": (wrong(options={CANARY: 1}), "param_unknown", "options"),
    "an option as text": (wrong(options={"strict": CANARY}), "param_invalid", "options.strict"),
    "an option as a number": (wrong(options={"strict": 1}), "param_invalid", "options.strict"),
    "a time as text": (wrong(options={"start_s": "1"}), "param_invalid", "options.start_s"),
    "a time as bool": (wrong(options={"start_s": True}), "param_invalid", "options.start_s"),
    "a time before 0": (wrong(options={"start_s": -0.1}), "param_out_of_range", "options.start_s"),
    "a time beyond a day": (wrong(options={"start_s": 1e300}), "param_out_of_range", "options.start_s"),
    "a vast whole time": (wrong(options={"start_s": 10**400}), "param_invalid", "options.start_s"),
    "ecg as text": (wrong(ecg=CANARY), "param_invalid", "ecg"),
    "ecg as a list": (wrong(ecg=[CANARY]), "param_invalid", "ecg"),
    "no files": ({"queries": ["a"], "files": []}, "param_out_of_range", "files"),
    "nine files": ({"queries": ["a"], "files": [{"name": "a", "data": ""}] * 9}, "param_out_of_range", "files"),
    "files alike": ({"queries": ["a"], "files": [{"name": CANARY, "data": ""}] * 2}, "param_invalid", "files"),
    "a file without name": ({"queries": ["a"], "files": [{"data": CANARY}]}, "param_missing", "files[0].name"),
    "a file with a path": (
        {"queries": ["a"], "files": [{"name": "a", "data": "", "path": CANARY}]},
        "param_unknown",
        "files[0]",
    ),
    "a name of 201": (
        {"queries": ["a"], "files": [{"name": CANARY * 11, "data": ""}]},
        "param_out_of_range",
        "files[0].name",
    ),
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_a_wrong_field_is_named_by_our_own_words(name: str, quick: httpx.Client):
    body, code, field = BAD_FIELDS[name]
    assert refused(sent(quick, json.dumps(body)), 422, code).get("field") == field


@pytest.mark.parametrize(
    "data", ["!", "AA", "AA=A", "A" * 5, "AAAA\n", " AAAA", "\u00e4\u00e4\u00e4\u00e4", "-_-_", "===="]
)
def test_a_file_that_is_no_base64_is_refused(data: str, quick: httpx.Client):
    body = {"queries": ["a"], "files": [{"name": "r.csv", "data": data}]}
    assert refused(sent(quick, json.dumps(body)), 400, "base64_invalid")["field"] == "files"


def test_a_window_behind_the_end_is_refused(quick: httpx.Client, records: np.ndarray):
    for start_s in (10, 10.0, 86_400):
        answer = quick.post("/v1/classify", json=asked(records[0], options={"start_s": start_s}))
        refused(answer, 422, "param_out_of_range")
    refused(quick.post("/v1/classify", json=asked(records[0], options={"start_s": 9.9})), 422, "too_short")


def test_missing_leads_are_named_and_may_be_allowed(quick: httpx.Client, records: np.ndarray):
    leads = ["I", "II", "V1", "V2", "V3", "V5", "V6"]
    part = {"ecg": packed(records[0][[0, 1, 6, 7, 8, 10, 11]], leads=leads), "queries": ["a"]}
    refused(quick.post("/v1/classify", json=part), 422, "leads_missing")
    found = quick.post("/v1/classify", json=part | {"options": {"allow_missing_leads": True}}).json()
    assert found["input"]["leads_missing"] == ["V4"]
    assert found["input"]["leads_derived"] == ["III", "aVR", "aVL", "aVF"]
    assert not found["quality"]["ok"]


# --- questions

BAD_QUERIES: dict[str, tuple[Any, str]] = {
    "none": ([], "query_count"),
    "257": (["a"] * 257, "query_count"),
    "10,000": (["a"] * 10_000, "query_count"),
    "an empty one": (["a", ""], "query_empty"),
    "space": ([" \t\n "], "query_empty"),
    "invisible": (["\u200b\u200f\u2060"], "query_empty"),
    "513 letters": (["a" * 513], "query_too_long"),
    "1 MB": (["a" * 1_000_000], "query_too_long"),
    "a number": ([5], "query_invalid"),
    "null": ([None], "query_invalid"),
    "a list": ([["a"]], "query_invalid"),
    "an object": ([{CANARY: CANARY}], "query_invalid"),
    "true": ([True], "query_invalid"),
    "NUL": ([f"{CANARY}\0"], "query_invalid"),
    "a bell": ([f"{CANARY}\a."], "query_invalid"),
    "an escape": ([f"\x1b[31m{CANARY}"], "query_invalid"),
    "C1": ([f"{CANARY}\x85x"], "query_invalid"),
    "a private letter": ([f"{CANARY}\ue000"], "query_invalid"),
    "a letter that is none": ([f"{CANARY}\uffff"], "query_invalid"),
}


@pytest.mark.parametrize("name", BAD_QUERIES)
def test_a_question_that_is_none_is_refused(name: str, quick: httpx.Client, records: np.ndarray):
    queries, code = BAD_QUERIES[name]
    body = {"ecg": packed(records[0]), "queries": queries}
    found = refused(sent(quick, json.dumps(body)), 422, code)
    assert found["field"].startswith("queries")
    assert code == "query_count" or found["field"] == f"queries[{len(queries) - 1}]"
    answer = quick.post("/v1/classify/batch", json={"items": [{"ecg": body["ecg"]}], "queries": queries}).json()
    assert answer["items"][0]["error"]["code"] == code
    assert CANARY not in json.dumps(answer)


def test_a_text_for_a_list_of_questions_is_refused(quick: httpx.Client):
    refused(sent(quick, json.dumps(wrong(queries=CANARY))), 422, "param_invalid")


def test_the_most_and_the_longest_questions_are_answered(quick: httpx.Client, records: np.ndarray):
    assert logits(quick.post("/v1/classify", json=asked(records[0], *["a" * 512] * 256))) == [512.0] * 256


LANGUAGES = [
    "Vorhofflimmern",
    "fibrillation auriculaire \u00e0 r\u00e9ponse rapide",
    "\u5fc3\u623f\u98a4\u52a8",
    "\u5fc3\u623f\u7d30\u52d5",
    "\uc2ec\ubc29\uc138\ub3d9",
    "\u0444\u0438\u0431\u0440\u0438\u043b\u043b\u044f\u0446\u0438\u044f",
    "\u03ba\u03bf\u03bb\u03c0\u03b9\u03ba\u03ae \u03bc\u03b1\u03c1\u03bc\u03b1\u03c1\u03c5\u03b3\u03ae",
    "\u0627\u0644\u0631\u062c\u0641\u0627\u0646 \u0627\u0644\u0623\u0630\u064a\u0646\u064a",
    "\u05e4\u05e8\u05e4\u05d5\u05e8 \u05e4\u05e8\u05d5\u05d6\u05d3\u05d5\u05e8\u05d9\u05dd",
    "\u090f\u091f\u094d\u0930\u093f\u092f\u0932 \u092b\u093f\u092c\u094d\u0930\u093f\u0932\u0947\u0936\u0928",
    "\U0001f494",
]


def test_questions_come_in_any_language_and_back_as_they_are(quick: httpx.Client, records: np.ndarray):
    found = quick.post("/v1/classify", json=asked(records[0], *LANGUAGES)).json()["results"]
    assert [each["query"] for each in found] == LANGUAGES


def test_a_question_has_one_spelling(quick: httpx.Client, records: np.ndarray):
    """NFC, no invisible letters, no space around; what is inside stays."""
    spelled = [
        "  e\u0301tat  ",
        "\u00e9tat",
        "\u200b\u00e9t\u200dat\u2060",
        "\u202e\u00e9tat\u202c",
        "\ufeff\u00e9tat\n",
    ]
    found = quick.post("/v1/classify", json=asked(records[0], *spelled)).json()["results"]
    assert {each["query"] for each in found} == {"\u00e9tat"}


def test_a_question_of_a_page_is_text(quick: httpx.Client, records: np.ndarray):
    answer = quick.post("/v1/classify", json=asked(records[0], "<script>alert(1)</script>"))
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["results"][0]["query"] == "<script>alert(1)</script>"


def test_explain_takes_one_question(quick: httpx.Client, records: np.ndarray):
    ecg = packed(records[0])
    for query, code in (
        ("", "query_empty"),
        (5, "query_invalid"),
        ([CANARY], "query_invalid"),
        ("a" * 513, "query_too_long"),
    ):
        refused(quick.post("/v1/explain", json={"ecg": ecg, "query": query}), 422, code)
    for query in ("", "?q=a&q=b"):
        answer = quick.post(f"/v1/explain/file{query}", content=b"x", headers={"content-type": "text/csv"})
        refused(answer, 422, "query_count")


# --- generate

BAD_ORDERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "n 0": ({"n": 0}, "param_out_of_range", "n"),
    "n 17": ({"n": 17}, "param_out_of_range", "n"),
    "n a million": ({"n": 10**6}, "param_out_of_range", "n"),
    "n 1.5": ({"n": 1.5}, "param_invalid", "n"),
    "n as text": ({"n": "1"}, "param_invalid", "n"),
    "n as bool": ({"n": True}, "param_invalid", "n"),
    "steps 0": ({"steps": 0}, "param_out_of_range", "steps"),
    "steps 1,001": ({"steps": 1001}, "param_out_of_range", "steps"),
    "steps a billion": ({"steps": 10**9}, "param_out_of_range", "steps"),
    "guidance 1e9": ({"guidance_scale": 1e9}, "param_out_of_range", "guidance_scale"),
    "guidance -1": ({"guidance_scale": -1}, "param_out_of_range", "guidance_scale"),
    "seed -1": ({"seed": -1}, "param_out_of_range", "seed"),
    "seed 2^53": ({"seed": 2**53}, "param_out_of_range", "seed"),
    "seed 2^65": ({"seed": 2**65}, "param_out_of_range", "seed"),
    "seed 10^1000": ({"seed": 10**1000}, "param_out_of_range", "seed"),
    "seed 0.5": ({"seed": 0.5}, "param_invalid", "seed"),
    "age 300": ({"age": 300}, "param_out_of_range", "age"),
    "age -1": ({"age": -1}, "param_out_of_range", "age"),
    "heart rate 0": ({"heart_rate": 0}, "param_out_of_range", "heart_rate"),
    "heart rate 1,000": ({"heart_rate": 1000}, "param_out_of_range", "heart_rate"),
    "sex": ({"sex": CANARY}, "param_out_of_range", "sex"),
    "sampler": ({"sampler": CANARY}, "param_out_of_range", "sampler"),
    "format": ({"format": CANARY}, "param_out_of_range", "format"),
    "no prompt": ({"prompt": None}, "param_invalid", "prompt"),
    "an empty prompt": ({"prompt": ""}, "param_out_of_range", "prompt"),
    "space for a prompt": ({"prompt": " \n"}, "param_out_of_range", "prompt"),
    "2,001 letters": ({"prompt": CANARY * 200}, "param_out_of_range", "prompt"),
    "a NUL in the prompt": ({"prompt": f"{CANARY}\0"}, "param_out_of_range", "prompt"),
    "an escape in the prompt": ({"prompt": f"\x1b[0m{CANARY}"}, "param_out_of_range", "prompt"),
    "two ECGs on a page": ({"n": 2, "format": "svg"}, "param_out_of_range", "n"),
}


@pytest.mark.parametrize("name", BAD_ORDERS)
def test_an_order_out_of_range_is_refused(name: str, quick: httpx.Client):
    fields, code, field = BAD_ORDERS[name]
    for accept in ("application/json", "text/event-stream"):
        answer = quick.post("/v1/generate", json={"prompt": CANARY} | fields, headers={"accept": accept})
        assert refused(answer, 422, code)["field"] == field


def test_a_field_more_and_no_prompt_are_refused(quick: httpx.Client):
    refused(quick.post("/v1/generate", json={"prompt": "a", CANARY: 1}), 422, "param_unknown")
    refused(quick.post("/v1/generate", json={}), 422, "param_missing")
    answer = quick.post("/v1/generate", json={"prompt": "a", "format": "npy"}, headers={"accept": "text/event-stream"})
    refused(answer, 422, "param_invalid")


# --- batches


def test_a_batch_has_1_to_64_items(quick: httpx.Client):
    for items in ([], [{}] * 65):
        refused(quick.post("/v1/classify/batch", json={"items": items, "queries": ["a"]}), 422, "param_out_of_range")
    lines = {"content-type": "application/x-ndjson"}
    for content in (b"", b"\n\n", b"{}\n" * 65, b"x\n" * 100_000):
        refused(quick.post("/v1/classify/batch", content=content, headers=lines), 422, "param_out_of_range")
    refused(quick.post("/v1/classify/batch", json={"items": CANARY}), 422, "param_invalid")
    refused(quick.post("/v1/classify/batch", json={"items": [{}], CANARY: 1}), 422, "param_unknown")


def test_an_item_that_is_wrong_says_why_and_where(quick: httpx.Client, records: np.ndarray):
    good = {"ecg": packed(records[0])}
    items = [
        good,
        CANARY,
        {**good, CANARY: 1},
        {"ecg": listed(records[0], unit=CANARY)},
        {"files": [{"name": "a", "data": "!"}]},
    ]
    items += [{**good, "queries": []}, {**good, "queries": [CANARY, ""]}]
    answer = quick.post("/v1/classify/batch", json={"items": items, "queries": ["a"]})
    codes = [item.get("error", {}).get("code") for item in answer.json()["items"]]
    assert codes == [
        None,
        "param_invalid",
        "param_unknown",
        "units_unknown",
        "base64_invalid",
        "query_count",
        "query_empty",
    ]
    assert answer.json()["items"][6]["error"]["field"] == "items[6].queries[1]"
    assert CANARY not in answer.text
    lines = b"\n".join([json.dumps({**good, "queries": ["a"]}).encode(), b"{", b"[]", json.dumps(good).encode()])
    answer = quick.post("/v1/classify/batch", content=lines, headers={"content-type": "application/x-ndjson"}).json()
    assert [item.get("error", {}).get("code") for item in answer["items"]] == [
        None,
        "json_invalid",
        "param_invalid",
        "param_missing",
    ]
    assert answer["errors"] == 3
