"""CSV files as spreadsheets save and open them: what a clinician edits goes out and comes back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from ecgray.errors import ConfigError

NONE = "none"
"""What a clinician writes where there is nothing to name; an empty cell has no opinion."""
_FORMULA = ("=", "+", "-", "@", "'", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet (or hides that it was escaped): it gets an apostrophe before."""


def csv_rows(path: Path, columns: Sequence[str], *, wanted: str) -> Iterable[tuple[int, dict[str, str | None]]]:
    """The lines of the file with their numbers; separated by commas, or by semicolons as some spreadsheets save.

    `wanted` says what to give, where the file is not there or lacks one of the `columns`: `ConfigError`.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; give {wanted}.")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; save it as 'CSV UTF-8'.") from None
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    missing = [name for name in columns if name not in (reader.fieldnames or ())]
    if missing:
        raise ConfigError(f"{path}, line 1: there is no column '{missing[0]}'; give {wanted}.")
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ConfigError(
            f"{path}, line {reader.line_num}: this is no CSV ({error}); save it as 'CSV UTF-8'."
        ) from None


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """CSV as spreadsheets expect it: UTF-8 with its mark, lines ending in CR LF, cells quoted where need be."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([escaped(cell) for cell in row] for row in rows)
    return file.getvalue().encode("utf-8-sig")


def escaped(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula.

    >>> escaped("=1+1"), escaped("av block"), escaped(-3)
    ("'=1+1", 'av block', -3)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def unescaped(cell: str) -> str:
    """What `escaped` was given.

    >>> unescaped("'=1+1"), unescaped("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
