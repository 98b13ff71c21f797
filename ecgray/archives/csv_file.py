"""An archive's CSV file as columns of text: with or without a byte order mark, gzip, line breaks inside fields."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from ecgray.errors import ArchiveError

_BLOCK = 8 << 20  # the longest row that can be read


def read_csv(path: Path, required: Sequence[str], *, optional: Sequence[str] = ()) -> tuple[dict[str, pa.Array], int]:
    """The named columns as trimmed text (empty where the field is), and how many rows had too many or too few fields.

    Those rows are left out. UTF-8 is expected; a line that is none is read as Windows-1252, so that one letter of
    another encoding spoils nothing else. An optional column that the file lacks comes back empty.

    Raises `ArchiveError` where the file is missing or damaged, lacks a required column, or is no CSV.
    """
    text = _utf8(path)
    header = _header(text, path)
    if text.count(b'"') % 2:
        raise ArchiveError(f"{path} opens a quote that it never closes, which would swallow rows; close it.")
    absent = [name for name in required if name not in header]
    if absent:
        raise ArchiveError(f"{path} has no column {absent[0]!r}; this layout needs {', '.join(required)}.")
    present = [*required, *(name for name in optional if name in header)]
    ragged: list[int] = []

    def pass_over(row: pa_csv.InvalidRow) -> str:
        ragged.append(row.actual_columns)
        return "skip"

    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            read_options=pa_csv.ReadOptions(block_size=_BLOCK, column_names=header, skip_rows=1),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=pass_over),
            convert_options=pa_csv.ConvertOptions(
                include_columns=present,
                column_types={name: pa.string() for name in present},
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise ArchiveError(f"{path} is no CSV that can be read; check its quotes and its length.") from error
    columns = {name: pc.utf8_trim_whitespace(table[name].combine_chunks()) for name in present}
    blank = pa.array([""] * table.num_rows, pa.string())
    return {name: columns.get(name, blank) for name in [*required, *optional]}, len(ragged)


def _utf8(path: Path) -> bytes:
    if not path.is_file():
        raise ArchiveError(f"{path} is missing; this layout needs it.")
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            content: bytes = stream.read()
    except (OSError, EOFError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "it is damaged"
        raise ArchiveError(f"{path} cannot be read to its end ({reason}); was it copied completely?") from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode()
    except UnicodeDecodeError:
        content = b"\n".join(_line(line) for line in content.split(b"\n"))
    return content


def _line(line: bytes) -> bytes:
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace").encode()
    return line


def _header(text: bytes, path: Path) -> list[str]:
    """The names of the columns, without the blanks that some writers put after a comma."""
    if not text.strip():
        raise ArchiveError(f"{path} is empty; its first line must name the columns.")
    first = re.split(rb"[\r\n]", text, maxsplit=1)[0].decode()
    try:
        return [name.strip() for name in next(csv.reader([first], skipinitialspace=True), [])]
    except csv.Error as error:
        raise ArchiveError(f"{path} is no CSV that can be read; its first line must name the columns.") from error


def csv_path(folder: Path, name: str) -> Path:
    """`name` in `folder`, or the same with `.gz` where only that exists."""
    plain, packed = folder / name, folder / f"{name}.gz"
    return packed if packed.is_file() and not plain.is_file() else plain


def number(column: pa.Array) -> pa.Array:
    """Text as float32; null where it is no plain number.

    >>> number(pa.array(["659", "-3.5", "", "NaN", "n/a"])).to_pylist()
    [659.0, -3.5, None, None, None]
    """
    plain = pc.match_substring_regex(column, r"^[-+]?[0-9]+(\.[0-9]*)?$")
    return pc.if_else(plain, column, None).cast(pa.float32())


def within(column: pa.Array, low: float, high: float) -> pa.Array:
    """The numbers from `low` to `high`; null in place of the others.

    >>> within(pa.array([40.0, 29999.0, None]), 1, 10_000).to_pylist()
    [40.0, None, None]
    """
    inside = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
    return pc.if_else(inside, column, None)


def identifier(column: pa.Array) -> pa.Array:
    """Numbers that a spreadsheet wrote as 15709.0 as 15709; null where empty.

    >>> identifier(pa.array(["15709.0", "8", ""])).to_pylist()
    ['15709', '8', None]
    """
    whole = pc.replace_substring_regex(column, r"^([0-9]+)\.0+$", r"\1")
    return pc.if_else(pc.equal(whole, ""), None, whole)
