"""A table as text (csv): a line of names, then a line a sample; commas, semicolons or tabs between the columns.

The numbers are parsed by Arrow, and no cell is touched by Python.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ecgray.errors import EcgInputError
from ecgray.leads import find_leads, lead_name
from ecgray.uploads.arrays import check_fs, recording_of, units_per_mv
from ecgray.uploads.settings import check_samples, missing
from ecgray.waveform.header import MAX_HEADER_BYTES, MAX_SIGNALS
from ecgray.waveform.record import Recording

if TYPE_CHECKING:
    from jaxtyping import Float

_MAX_COLUMNS = 2 * MAX_SIGNALS
_BRACKETS = {")": "(", "]": "["}
_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "milliseconds": 1e-3, "us": 1e-6}
_TIME = re.compile(rf"(?:time|t|elapsed[ _]time)(?:[ _](?P<unit>{'|'.join(_SECONDS)}))?|(?P<word>sec|seconds|ms|msec)")
_BLANK = ["", "NaN", "nan", "NAN", "NA", "N/A", "n/a", "null", "NULL", "None"]
_COMMENTS = re.compile(rb"(?:#[^\r\n]*+[\r\n]*+)*+")
_JITTER = 0.01
_LATEST_S = 1e12
_DECIMALS = range(7)


class _Column(NamedTuple):
    """A column by its name: `I (mV)` is the lead I and the unit mV."""

    name: str
    unit: str | None

    @property
    def seconds(self) -> float | None:
        """What one of it is in seconds, where it is a column of time."""
        matched = _TIME.fullmatch(self.name.lower())
        return _SECONDS.get(self.unit or matched["unit"] or matched["word"] or "") if matched else None


def read_csv(content: bytes, *, fs: float | None, unit: str | None) -> Recording:
    """Read a table with a column a lead. Columns that are no leads and no time are passed over.

    A `unit` must not contradict a column's own. An empty cell and NaN are a missing sample. Raises `EcgInputError`.
    """
    line, body = _split(_text(content))
    separator = max(",;\t", key=line.count)
    columns = _columns(line, separator)
    leads = list(find_leads([column.name for column in columns]).values())
    time = next((place for place, column in enumerate(columns) if column.seconds is not None), None)
    per_mv = [units_per_mv(_needed(columns[place].unit or unit)) for place in leads]
    if unit is not None and any(each != units_per_mv(unit) for each in per_mv):
        raise EcgInputError("param_invalid", "A column's name says another unit than is stated; leave the unit out.")
    if fs is None and time is None:
        raise missing("fs", "a csv without a column of time")
    table = _numbers(body, separator, len(columns), leads if time is None else [*leads, time])
    if time is not None:
        fs = _agreed(fs, _rate(table[-1] * (columns[time].seconds or 1.0)))
    names = [columns[place].name for place in leads]
    return recording_of(table[: len(leads)], fs=fs or 0.0, names=names, per_mv=per_mv, nan_is_missing=True)


def _text(content: bytes) -> bytes:
    """The bytes without a byte-order mark, and without comments before the line of names."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _bad_encoding()
    content = content.removeprefix(b"\xef\xbb\xbf").strip(b" \r\n")
    comments = _COMMENTS.match(content)
    return content[comments.end() :] if comments else content


def _split(content: bytes) -> tuple[str, bytes]:
    """The line of names, and what follows it."""
    matched = re.match(rb"[^\r\n]*", content[: MAX_HEADER_BYTES + 1])
    line = matched[0] if matched else b""
    if len(line) > MAX_HEADER_BYTES:
        raise EcgInputError(
            "header_too_large", f"The first line has more than {MAX_HEADER_BYTES} bytes; name the columns.", status=413
        )
    try:
        return line.decode("utf-8"), content[len(line) :].lstrip(b"\r\n")
    except UnicodeDecodeError:
        raise _bad_encoding() from None


def _columns(line: str, separator: str) -> list[_Column]:
    if line.count(separator) >= _MAX_COLUMNS:
        raise EcgInputError(
            "too_many_signals", f"The table has more than {_MAX_COLUMNS} columns; send those of the leads.", status=413
        )
    try:
        names = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True), [])
    except csv.Error:
        raise _malformed() from None
    columns = [_column(name.strip()) for name in names]
    if len(columns) == 1 and not lead_name(columns[0].name):
        raise EcgInputError(
            "format_unsupported",
            "The upload is text and no table with leads as columns; a WFDB header is sent with its signal files.",
            status=415,
        )
    return columns


def _column(text: str) -> _Column:
    name, opened, unit = text[:-1].rpartition(_BRACKETS.get(text[-1:], "\0"))
    if not opened or any(mark in unit for mark in "()[]"):
        return _Column(text, None)
    return _Column(name.strip(), unit.strip() or None)


def _needed(unit: str | None) -> str:
    if unit is None:
        raise missing("unit", "a csv without units in the names of its columns")
    return unit


def _numbers(body: bytes, separator: str, columns: int, wanted: list[int]) -> Float[np.ndarray, "column time"]:
    """The wanted columns as float64; NaN where a cell is empty."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    check_samples(len(wanted) * max(body.count(b"\n"), body.count(b"\r")))
    if not body:
        return np.empty((len(wanted), 0))
    names = [str(place) for place in range(columns)]
    kept = [names[place] for place in wanted]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(body),
            read_options=pa_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(body) + 1),
            parse_options=pa_csv.ParseOptions(delimiter=separator, ignore_empty_lines=columns > 1),
            convert_options=pa_csv.ConvertOptions(
                include_columns=kept,
                column_types={name: pa.float64() for name in kept},
                null_values=_BLANK,
                decimal_point="," if separator != "," and b"," in body else ".",
            ),
        )
    except pa.ArrowInvalid:  # its text holds cells
        raise _malformed() from None
    return np.stack([table[name].to_numpy() for name in kept])


def _rate(time_s: Float[np.ndarray, " time"]) -> float:
    """Samples per second by the column of time, whose steps are alike within 1 % or its last decimal."""
    if len(time_s) < 2:
        raise EcgInputError("too_short", "The table has fewer than two samples; was it copied completely?")
    told = bool((np.abs(time_s) < _LATEST_S).all())  # false where one is empty, too
    steps = np.diff(time_s if told else np.zeros(2))
    step = float(steps.mean())
    if not (step > 0 and np.abs(steps - step).max() <= max(_JITTER * step, _resolution(time_s, step))):
        raise EcgInputError(
            "time_irregular", "The column of time does not rise in equal steps; resample the recording to one rate."
        )
    fs = 1 / step
    return float(round(fs)) if abs(fs - round(fs)) < 1e-4 * fs else fs


def _resolution(time_s: Float[np.ndarray, " time"], step: float) -> float:
    """What a rounded time may be off by, in seconds; 0 where it is not rounded, or too coarsely to tell a gap."""
    for decimals in _DECIMALS:
        unit = 10.0**-decimals
        if unit <= step / 2 and np.abs(time_s / unit - np.rint(time_s / unit)).max() < 1e-3:
            return 1.01 * unit
    return 0.0


def _agreed(stated: float | None, found: float) -> float:
    if stated is not None and not abs(check_fs(stated) - found) <= _JITTER * found:
        raise EcgInputError(
            "param_invalid", "The parameter fs is not what the column of time says; leave out the wrong one."
        )
    return found if stated is None else stated


def _bad_encoding() -> EcgInputError:
    return EcgInputError("header_encoding", "The table is UTF-16 or no UTF-8; save it as UTF-8.", status=400)


def _malformed() -> EcgInputError:
    return EcgInputError(
        "row_malformed",
        "A row of the table has too many or too few fields, or a field is no number; a comma as the decimal sign needs "
        "semicolons or tabs between the columns.",
    )
