"""Bad npy, csv and JSON: rows 54, 56, 60 and 61 of RELIABILITY B5, and what else may be wrong with numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from upload_cases import COUNTS, CSV, HELD, MV, NONE, NPY, NPY_MV, Upload, always, refused
from uploads import csv_bytes, npy_bytes

from ecgray.leads import LEADS


def _npy_header(text: str, content: bytes = b"") -> bytes:
    line = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line + content


def spoiled(value: float, dtype: str) -> np.ndarray:
    mv = MV.astype(dtype)
    mv[3, 77] = value
    return mv


def npys() -> list[Upload]:
    """Rows 54, 56, 60 and 61."""
    terabytes = "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 100000000000), }"
    records = np.zeros(3, [("a", "<i2"), ("b", "<f4")])
    return [
        *refused(
            415,
            "dtype_unsupported",
            NPY,
            {
                "61 objects": lambda: npy_bytes(np.array([[{}, 1]] * 12, object)),
                "61 an escape": lambda: _npy_header("{'descr': '\\d', 'fortran_order': False, 'shape': (12, 1), }"),
                "61 records": lambda: npy_bytes(records),
                "60 complex": lambda: npy_bytes(MV.astype(np.complex64)),
                "60 text": lambda: npy_bytes(np.array([["a"]] * 12)),
                "60 unsigned": lambda: npy_bytes(COUNTS.astype(np.uint16)),
                "60 bool": lambda: npy_bytes(COUNTS > 0),
                "60 float128": lambda: npy_bytes(MV.astype(np.longdouble)),
            },
        ),
        *refused(
            422,
            "shape_mismatch",
            NPY,
            {
                "61 4 TiB": lambda: _npy_header(terabytes, bytes(100)),
                "61 a negative axis": lambda: _npy_header(terabytes.replace("100000000000", "-5"), bytes(100)),
                "60 cut": lambda: npy_bytes(COUNTS)[:-1],
                "60 too long": lambda: npy_bytes(COUNTS) + b"\0",
                "60 three axes": lambda: npy_bytes(COUNTS[None]),
                "60 one axis": lambda: npy_bytes(COUNTS[0]),
                "60 eleven rows": lambda: npy_bytes(COUNTS[:11]),
                "60 as many samples as leads": lambda: npy_bytes(COUNTS[:, :12]),
            },
        ),
        *refused(
            422,
            "format_mismatch",
            NPY,
            {
                "61 no header": always(b"\x93NUMPY"),
                "61 version 9": lambda: b"\x93NUMPY\x09\x00" + npy_bytes(COUNTS)[8:],
                "61 a header of 60,000 bytes": lambda: b"\x93NUMPY\x01\x00\x60\xea" + b" " * 60_000,
                "61 nested brackets": lambda: _npy_header("(" * 110),
                "61 a call": lambda: _npy_header("{'descr': exit(), 'fortran_order': False, 'shape': (12, 1), }"),
                "61 huge numbers": lambda: _npy_header("{'descr': '<f4', 'shape': (" + "9" * 80 + ")}"),
            },
        ),
        *refused(
            422,
            "non_finite",
            NPY_MV,
            {
                "54 NaN": lambda: npy_bytes(spoiled(np.nan, "f4")),
                "54 inf": lambda: npy_bytes(spoiled(np.inf, "f8")),
                "54 -inf": lambda: npy_bytes(spoiled(-np.inf, "f2").T),
            },
        ),
        *refused(422, "param_missing", replace(NPY, fs=None), {"60 no fs": lambda: npy_bytes(COUNTS)}),
        *refused(422, "param_missing", replace(NPY, unit=None), {"60 no unit": lambda: npy_bytes(COUNTS)}),
        *refused(422, "param_missing", replace(NPY, leads=None), {"60 no leads": lambda: npy_bytes(COUNTS)}),
        *refused(422, "units_unknown", replace(NPY, unit="mmHg"), {"35 mmHg, npy": lambda: npy_bytes(COUNTS)}),
        *refused(422, "sampling_rate_invalid", replace(NPY, fs=0), {"25 fs 0, npy": lambda: npy_bytes(COUNTS)}),
        *refused(
            422, "sampling_rate_invalid", replace(NPY, fs=float("nan")), {"27 fs nan, npy": lambda: npy_bytes(COUNTS)}
        ),
        *refused(422, "sampling_rate_out_of_range", replace(NPY, fs=12), {"29 fs 12, npy": lambda: npy_bytes(COUNTS)}),
        *refused(422, "amplitude_implausible", NPY_MV, {"56 uV as mV, npy": lambda: npy_bytes(COUNTS)}),
        *refused(422, "leads_duplicate", replace(NPY, leads=("I", *LEADS[:-1])), {"46 npy": lambda: npy_bytes(COUNTS)}),
        *refused(
            422,
            "leads_unknown",
            replace(NPY, leads=tuple(f"ch{n}" for n in range(12))),
            {"47 npy": lambda: npy_bytes(COUNTS)},
        ),
        *refused(
            413, "too_many_signals", replace(NPY, leads=LEADS * 6), {"18 72 leads, npy": lambda: npy_bytes(COUNTS)}
        ),
        *refused(413, "recording_too_large", NPY, {"55 too long": lambda: npy_bytes(np.zeros((12, 340_000), "i2"))}),
        Upload(name="52 missing marks", make=lambda: npy_bytes(_marked()), settings=NPY, flag="non_finite_repaired"),
        Upload(name="55 a minute, npy", make=lambda: npy_bytes(np.tile(COUNTS, 6)), settings=NPY, flag="first_10_s"),
        Upload(name="- Fortran, a column a lead", make=lambda: npy_bytes(np.asfortranarray(COUNTS.T)), settings=NPY),
    ]


def _marked() -> np.ndarray:
    counts = COUNTS.astype(np.int64)
    counts[5, 9] = -32768
    return counts


def csvs() -> list[Upload]:
    """The same as a table."""
    text = csv_bytes(MV).decode()
    lines = text.splitlines()

    def row(number: int, line: str) -> Callable[[], bytes]:
        return lambda: "\n".join([*lines[:number], line, *lines[number + 1 :]]).encode()

    return [
        *refused(
            422,
            "row_malformed",
            CSV,
            {
                "- a field too few": row(70, "1,2,3"),
                "- a field too many": row(70, f"{lines[70]},1"),
                "- a word": row(70, lines[70].replace(lines[70].split(",")[4], "x", 1)),
                "- a hexadecimal number": row(70, ",".join(["0x1p3"] * 12)),
                "- NUL": row(700, ",".join(["\0"] * 12)),
                "- a quote that never closes": row(0, '"' + lines[0]),
                "- decimal commas between commas": lambda: csv_bytes(MV).replace(b".", b","),
                "- no numbers but 8 MB": lambda: (lines[0] + "\n" + "a,b\n" * 300_000).encode(),
            },
        ),
        *refused(
            422,
            "non_finite",
            CSV,
            {
                "54 inf, csv": row(70, ",".join(["inf"] * 12)),
                "54 1e999, csv": row(70, ",".join(["-1e999"] * 12)),
            },
        ),
        *refused(400, "header_encoding", CSV, {"4 UTF-16, csv": lambda: text.encode("utf-16")}),
        *refused(400, "header_encoding", CSV, {"4 Latin-1, csv": _latin}),
        *refused(
            415,
            "format_unsupported",
            CSV,
            {
                "- nothing": always(b""),
                "- words": always(b"to whom it may concern"),
                "3 random bytes, raw": lambda: np.random.default_rng(0).bytes(5000),
                "- a header alone, raw": lambda: HELD["r.hea"],
                "68 DICOM": lambda: bytes(128) + b"DICM" + bytes(100),
                "68 XML with entities": always(b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
                "68 HDF5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(100),
                "- JSON": always(b'{"ecg": 1}'),
                "- gzip": lambda: b"\x1f\x8b\x08" + bytes(100),
            },
        ),
        *refused(422, "leads_unknown", CSV, {"47 csv": lambda: csv_bytes(MV, names=[f"ch{n}" for n in range(12)])}),
        *refused(422, "leads_duplicate", CSV, {"46 csv": lambda: csv_bytes(MV, names=["II", *LEADS[1:]])}),
        *refused(422, "units_unknown", CSV, {"35 csv": lambda: csv_bytes(MV).replace(b"(mV)", b"(mmHg)")}),
        *refused(422, "param_missing", NONE, {"- csv without fs": lambda: csv_bytes(MV)}),
        *refused(422, "param_missing", CSV, {"- csv without unit": lambda: csv_bytes(MV).replace(b" (mV)", b"")}),
        *refused(422, "param_invalid", replace(CSV, fs=250), {"57 csv": lambda: csv_bytes(MV, fs=500)}),
        *refused(422, "time_irregular", NONE, {"- a gap in time": _gap}),
        *refused(
            422,
            "time_irregular",
            NONE,
            {
                "- time that stands": lambda: csv_bytes(MV, fs=float("inf")),
                "- a time of infinity": lambda: csv_bytes(MV, fs=500).replace(b"\n0.002,", b"\ninf,"),
                "- a time that is empty": lambda: csv_bytes(MV, fs=500).replace(b"\n0.002,", b"\n,"),
                "- a time that overflows": lambda: csv_bytes(MV, fs=500).replace(b"\n0.002,", b"\n-1e308,"),
            },
        ),
        *refused(422, "too_short", CSV, {"- names alone": always(lines[0].encode())}),
        *refused(422, "too_short", NONE, {"- one sample": lambda: csv_bytes(MV[:, :1], fs=500)}),
        *refused(422, "signal_empty", CSV, {"52 csv": lambda: (lines[0] + ("\n" + "," * 11) * 5000).encode()}),
        *refused(422, "amplitude_implausible", CSV, {"56 csv": lambda: csv_bytes(COUNTS)}),
        *refused(413, "too_many_signals", CSV, {"- 4 million columns": lambda: b"I,II" + b"," * 40_000 + b"\n1,2"}),
        *refused(413, "header_too_large", CSV, {"- one line of 8 MB": lambda: b"I,II," * 1_600_000}),
        *refused(
            413, "recording_too_large", CSV, {"- 4 million lines": lambda: b"I (mV),II (mV)\n" + b",\n" * 4_000_000}
        ),
        Upload(name="54 an empty cell", make=_hole, settings=CSV, flag="non_finite_repaired"),
        Upload(name="- time", make=lambda: csv_bytes(MV, fs=500)),
    ]


def _latin() -> bytes:
    return csv_bytes(MV).replace(b"(mV)", b"(\xb5V)")


def _gap() -> bytes:
    first, *lines = csv_bytes(MV, fs=500).splitlines(keepends=True)
    return b"".join([first, *lines[:900], *lines[903:]])


def _hole() -> bytes:
    first, *lines = csv_bytes(MV).splitlines(keepends=True)
    lines[44] = b"NaN,," + lines[44].split(b",", 2)[2]
    return first + b"".join(lines)
