"""The parser: what it takes, Python's own takes alike; what has two readings, it does not take."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgray.service.problems import Problem
from ecgray.service.strict_json import parse

DEPTH = 8
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)
PIECES = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "\\",
        "a",
        '"a"',
        '"b"',
        "1",
        "-",
        ".5",
        "e9",
        "e400",
        "9" * 150,
        "true",
        "null",
        "NaN",
        "Infinity",
        " ",
        "\n",
        "\\ud800",
        "\\udc00",
        "\\u0041",
        "\u00e9",
        "\x00",
        "\\",
        "/*",
        "'",
        "0x1",
        "\ufeff",
    ]
)


def read(content: bytes) -> Any:
    """The value, or the problem."""
    try:
        return parse(content, depth=DEPTH)
    except Problem as problem:
        return problem if (problem.status, problem.code) == (400, "json_invalid") else None


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types: 1 is neither 1.0 nor true."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def finite(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_what_python_writes_is_read_as_python_reads_it(value: Any, ascii_: bool, indent: int | None):
    text = json.dumps(value, ensure_ascii=ascii_, indent=indent).encode()
    if depth(value) <= DEPTH:
        assert same(parse(text, depth=DEPTH), value)
    else:
        with pytest.raises(Problem):
            parse(text, depth=DEPTH)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.lists(PIECES, max_size=16).map("".join))
def test_whatever_it_takes_python_takes_alike(text: str):
    found = read(text.encode())
    if isinstance(found, Problem):
        return
    assert same(found, json.loads(text))
    assert finite(found)
    assert depth(found) <= DEPTH
    json.dumps(found, ensure_ascii=False).encode()  # can be written again


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_are_json_or_a_problem(content: bytes):
    found = read(content)
    assert isinstance(found, Problem) or same(found, json.loads(content.decode()))


@pytest.mark.parametrize(
    "text", ["1e999", "-1e999", "9" * 400 + ".0", "9" * 300 + "e99", "1e00000400", "1E+400", "[1, 1e309]"]
)
def test_a_number_that_is_too_large_is_no_number(text: str):
    assert not finite(json.loads(text))
    with pytest.raises(Problem, match="json_invalid"):
        parse(text.encode(), depth=DEPTH)


@pytest.mark.parametrize(
    "text",
    [
        '"\\ud800"',
        '["a\\udfffb"]',
        '{"a": {"b": "\\udc00\\ud800"}}',
        '{"\\ud800": 1}',
        '[["\\uD83D\\u0041"]]',
        '{"a": 1, "a": 1}',
        '[{"a": 1, "\\u0061": 2}]',
        '{"b": {"a": [], "c": 0, "a": []}}',
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "1 1",
        "[] x",
        "\ufeff[]",
        "[1,]",
        "'a'",
        "01",
        "+1",
        ".5",
        "1.",
        "\\",
        "",
    ],
)
def test_what_has_two_readings_or_none_is_refused(text: str):
    with pytest.raises(Problem, match="json_invalid"):
        parse(text.encode(), depth=DEPTH)


def test_a_pair_of_halves_is_a_letter():
    assert parse(b'["\\ud83d\\udc94", "\\\\ud800"]', depth=DEPTH) == ["\U0001f494", "\\ud800"]


def test_large_and_small_numbers_are_numbers():
    for text in (
        "1e308",
        "1e-999",
        "-0.0",
        "0.1",
        "123456789012345678901234567890",
        "1e0000000000308",
        "9" * 200 + ".5",
    ):
        assert same(parse(text.encode(), depth=DEPTH), json.loads(text))


@pytest.mark.parametrize("depth_", range(1, 5))
def test_the_depth_is_counted_outside_texts_alone(depth_: int):
    inside = '"[[[[{{{{\\"[[["'
    for levels in range(depth_ + 3):
        text = ("[" * levels + inside + "]" * levels).encode()
        if levels <= depth_:
            assert parse(text, depth=depth_)
        else:
            with pytest.raises(Problem):
                parse(text, depth=depth_)


@pytest.mark.parametrize(
    "content",
    [
        b'"' + b'\\"' * 1_000_000 + b"[" * 20,
        b'"' + b"\\" * 1_999_999 + b"[" * 20,
        b'"' * 2_000_001 + b"[" * 20,
        b"[[]" + b",[]" * 600_000 + b"]",
        b"[" * 2_000_000,
        b'{"a":' * 400_000,
        b"[" + b"1," * 900_000 + b"1]",
        b"9" * 2_000_000,
    ],
    ids=["quotes", "backslashes", "texts", "wide", "deep", "deep objects", "numbers", "digits"],
)
def test_no_two_megabytes_take_a_second(content: bytes):
    start = time.process_time()
    read(content)
    assert time.process_time() - start < 1
