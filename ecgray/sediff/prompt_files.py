"""Files of prompts: a text a line, or a CSV with a prompt a row. What cannot be meant is refused, with its line."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

from ecgray.errors import ConfigError
from ecgray.sediff.prompts import Prompt

COLUMNS = ("text", "age", "sex", "heart_rate", "experience")
"""What a CSV of prompts may say; `text` it must."""


def read_prompts(path: Path) -> list[Prompt]:
    """One prompt a line, or a CSV with a column `text`; blank lines are passed over.

    Raises `ConfigError`, which names the line but nothing of a text, where one is no prompt or there is none.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; give one with a prompt a line, or a CSV with a column text.")
    table = path.suffix.lower() == ".csv"
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # as in UTF-16
        raise ConfigError(f"{path} is no UTF-8 text; save it as UTF-8{', comma-separated' if table else ''}.")
    found = []
    for line, fields in _rows(path, text) if table else _lines(text):
        try:
            found.append(_prompt(fields))
        except ConfigError as error:
            raise ConfigError(f"{path}, line {line}: {error}") from None
    if not found:
        raise ConfigError(f"{path} has no prompt; write one a line.")
    return found


def _lines(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if line.strip():
            yield number, {"text": line.strip()}


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows below the names of the columns, each with the line that it begins in."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    names: list[str] = []
    line = 1
    try:
        for fields in rows:
            begun, line = line, rows.line_num + 1
            if not fields:
                continue
            if not names:
                names = _names(path, fields)
            elif len(fields) != len(names):
                raise ConfigError(
                    f"{path}, line {begun}: {len(fields)} fields for {len(names)} columns; put texts with commas in "
                    "quotes."
                )
            else:
                yield begun, {name: field.strip() for name, field in zip(names, fields, strict=True)}
    except csv.Error:
        raise ConfigError(
            f"{path}, line {line}: a field is too long or its quotes are wrong; put a text in one pair of quotes and "
            "double those within it."
        ) from None


def _names(path: Path, fields: list[str]) -> list[str]:
    names = [name.strip() for name in fields]
    listed = ", ".join(COLUMNS)
    if "text" not in names:  # what stands there may be a patient's text: it is not said
        raise ConfigError(
            f"{path} has no column text; a CSV of prompts is UTF-8 and comma-separated, and its first line names its "
            f"columns, of {listed}."
        )
    for name in names:
        if name not in COLUMNS:
            raise ConfigError(f"{path} has a column {name!r}, and the columns are {listed}; rename it or leave it out.")
        if names.count(name) > 1:
            raise ConfigError(f"{path} has two columns {name!r}, and the columns are {listed}; leave one out.")
    return names


def _prompt(fields: dict[str, str]) -> Prompt:
    return Prompt(
        text=fields["text"],
        age=_number(fields, "age"),
        sex=fields.get("sex", "").upper() or None,
        heart_rate_bpm=_number(fields, "heart_rate"),
        experience=fields.get("experience", ""),
    )


def _number(fields: dict[str, str], name: str) -> float | None:
    field = fields.get(name, "")
    if not field:
        return None
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{name} is no number; write one in digits, or leave the field empty.")
    return value
