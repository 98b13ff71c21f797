r"""JSON from a stranger: one reading or none.

Python's own parser takes NaN, names an object's field twice, turns 1e999 into infinity and half a character into a
string that cannot be written again. Here each is an error, and so is a document that is nested too deeply, before
anything is built of it.

>>> parse(b'{"a": [1, 2.5]}', depth=4)
{'a': [1, 2.5]}
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from ecgray.service.problems import Problem

_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A text, to the end where it is not closed (else each of its quotes would be tried, in quadratic time); a bracket."""
_MOST_MARKS = 100_000
"""Texts and brackets of one document: more than 64 recordings with 256 questions each have, and soon counted."""

_MOST_FIELDS = 64
"""Fields of one object: nothing that is asked here has a fifth of that."""


def parse(content: bytes, *, depth: int) -> Any:
    """The value of a JSON document. Raises `Problem` json_invalid."""
    if not _is_shallow(content, depth) or content.count(b":") > _MOST_MARKS:
        raise _invalid(f"The JSON is nested more than {depth} deep, or has more than {_MOST_MARKS:,} texts and arrays.")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _invalid("The JSON is not UTF-8.") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_finite,
        )
    except (ValueError, RecursionError):
        raise _invalid("The body is no JSON, or has something before or behind it.") from None
    if b"\\u" in content and not _writable(value):
        raise _invalid("The JSON holds half a character (a lone surrogate).")
    return value


def _is_shallow(content: bytes, depth: int) -> bool:
    if content.count(b"[") + content.count(b"{") <= depth:
        return True
    level = 0
    for number, match in enumerate(_STRUCTURE.finditer(content)):
        if number > _MOST_MARKS:
            return False
        mark = match[0]
        if mark in (b"[", b"{"):
            level += 1
            if level > depth:
                return False
        elif mark in (b"]", b"}"):
            level -= 1
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _MOST_FIELDS:
        raise _invalid(f"An object of the JSON has more than {_MOST_FIELDS} fields.")
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _invalid("An object of the JSON has the same field twice.")
    return found


def _no_number(_: str) -> NoReturn:
    raise _invalid("The JSON holds NaN or Infinity, which JSON does not know; leave the value out.")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _invalid("A number of the JSON is too large.")
    return value


def _writable(value: Any) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return all(_writable(key) and _writable(each) for key, each in value.items())
    return all(_writable(each) for each in value) if isinstance(value, list) else True


def _invalid(detail: str) -> Problem:
    return Problem(400, "json_invalid", detail)
