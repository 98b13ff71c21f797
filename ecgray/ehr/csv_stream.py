"""A hospital's CSV file in pieces, column by column: millions of rows never stand in memory as text.

Unlike the archives' reader it keeps nothing of what it passed over but the rows' numbers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from jaxtyping import Bool, Int64

from ecgray.errors import ArchiveError

_BLOCK = 16 << 20
"""Bytes of text that are parsed at once; a row must fit in."""


@dataclass
class Refused:
    """The numbers of the rows that were passed over, by code; the header is row 1."""

    rows: dict[str, list[Int64[np.ndarray, " _"]]] = field(default_factory=dict)

    def add(self, code: str, rows: Int64[np.ndarray, " _"]) -> None:
        """Note these rows."""
        if len(rows):
            self.rows.setdefault(code, []).append(rows)

    def counts(self) -> dict[str, int]:
        """How many rows each code has."""
        return {code: sum(map(len, rows)) for code, rows in sorted(self.rows.items())}


@dataclass(frozen=True)
class Piece:
    """Some rows of a file that follow each other: columns of bytes, empty where the field is, and the rows' numbers."""

    columns: dict[str, pa.BinaryArray]
    rows: Int64[np.ndarray, " row"]

    def numbers(self, name: str) -> tuple[Int64[np.ndarray, " row"], Bool[np.ndarray, " row"]]:
        """A column of ids as integers, and where it holds one (10000032 or 10000032.0); 0 elsewhere."""
        text = self.columns[name]
        try:  # as nearly every piece is
            return text.cast(pa.string()).cast(pa.int64()).to_numpy(), np.ones(len(text), bool)
        except pa.ArrowInvalid:
            pass
        plain = pc.match_substring_regex(text, r"^\s*[0-9]{1,15}(\.0*)?\s*$")
        found = pc.if_else(plain, text, b"0").cast(pa.string())
        whole = pc.cast(pc.replace_substring_regex(pc.utf8_trim_whitespace(found), r"\.0*$", ""), pa.int64())
        return whole.to_numpy(zero_copy_only=False), plain.to_numpy(zero_copy_only=False)

    def words(self, name: str) -> tuple[list[str], Int64[np.ndarray, " row"]]:
        """A column's distinct texts, trimmed, and which of them each row holds; letters of no encoding are replaced."""
        coded = self.columns[name].dictionary_encode()
        texts = [each.decode(errors="replace").strip() for each in coded.dictionary.to_pylist()]
        return texts, coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def read_pieces(
    path: Path, required: Sequence[str], refused: Refused, *, optional: Sequence[str] = ()
) -> Iterator[Piece]:
    """The named columns of a CSV file, plain or gzip, some MB of text at a time.

    A row with too many or too few fields goes to `refused` as `row_malformed`; an optional column that the file lacks
    is empty. Raises `ArchiveError` where the file is missing or damaged, lacks a required column, or is no CSV.
    """
    header = _header(path)
    absent = [name for name in required if name not in header]
    if absent:
        raise ArchiveError(f"{path} has no column {absent[0]!r}; the hospital's table needs {', '.join(required)}.")
    present = [*required, *(name for name in optional if name in header)]
    malformed: list[int] = []
    swallowing: list[int] = []

    def pass_over(row: pa_csv.InvalidRow) -> str:
        (swallowing if "\n" in row.text.rstrip() else malformed).append(row.number)
        return "skip"

    done = 0
    try:
        with (
            pa.input_stream(str(path), compression="detect") as stream,
            pa_csv.open_csv(
                stream,
                read_options=pa_csv.ReadOptions(block_size=_BLOCK, column_names=header, skip_rows=1, use_threads=False),
                parse_options=pa_csv.ParseOptions(newlines_in_values=False, invalid_row_handler=pass_over),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=present,
                    column_types={name: pa.binary() for name in present},
                    strings_can_be_null=False,
                ),
            ) as reader,
        ):
            for batch in reader:
                columns = {name: batch.column(name) for name in present}
                blank = pa.array([b""] * batch.num_rows, pa.binary())
                columns |= {name: blank for name in optional if name not in present}
                yield Piece(columns, _row_numbers(done, batch.num_rows, malformed))
                done += batch.num_rows
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        if "Empty CSV" not in str(error):  # a header and no row
            raise ArchiveError(f"{path} cannot be read to its end as CSV; was it copied completely?") from error
    if swallowing:
        raise ArchiveError(f"{path} opens a quote in row {swallowing[0]} that swallows the rows after it; close it.")
    refused.add("row_malformed", np.array(malformed, np.int64))


def _row_numbers(done: int, rows: int, malformed: Sequence[int]) -> Int64[np.ndarray, " row"]:
    """Where the next well-formed rows stand in the file, after `done` of them and among malformed ones.

    >>> _row_numbers(0, 3, [3]).tolist()
    [2, 4, 5]
    """
    bad = np.sort(np.array(malformed, np.int64))
    nth = np.arange(done, done + rows)
    return nth + 2 + np.searchsorted(bad - 2 - np.arange(len(bad)), nth, side="right")


def _header(path: Path) -> list[str]:
    if not path.is_file():
        raise ArchiveError(f"{path} is missing; the hospital's tables are admissions, diagnoses_icd and so on.")
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            start: bytes = stream.read(1 << 16)
    except (OSError, EOFError) as error:
        raise ArchiveError(f"{path} cannot be read; was it copied completely?") from error
    first = start.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode(errors="replace")
    try:
        names = [name.strip() for name in next(csv.reader([first], skipinitialspace=True), [])]
    except csv.Error:  # lines that end as on old Macs, or no text at all
        raise ArchiveError(f"{path} has no first line that names the columns; copy the table again.") from None
    if not any(names):
        raise ArchiveError(f"{path} is empty; its first line must name the columns.")
    return names
