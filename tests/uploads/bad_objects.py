"""Bad EDF and JSON, and the largest of every kind: rows 55, 60 and 68 of RELIABILITY B5."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from bad_arrays import spoiled
from hearts import as_bytes, dat_bytes, header_lines
from upload_cases import COUNTS, MV, NONE, NPY, NPY_MV, Upload, always, refused
from uploads import csv_bytes, edf_bytes, listed, npy_bytes, packed, poked, without, zip_bytes

from ecgray.leads import LEADS
from ecgray.uploads.read import UploadSettings


def edfs() -> list[Upload]:
    """EDF, row 68 and its like."""

    def fixed(place: int, field: str) -> Callable[[], bytes]:
        return lambda: edf_bytes(COUNTS, fixed={place: field})

    return [
        *refused(
            400,
            "header_number",
            NONE,
            {
                "24 -5 data records": fixed(236, "-5      "),
                "28 words for a duration": fixed(244, "nan     "),
                "18 -1 signals": fixed(252, "-1  "),
                "18 words for a number of signals": fixed(252, "many"),
                "30 a range of one count": lambda: edf_bytes(COUNTS, digital=(5, 5)),
                "30 counts beyond int16": lambda: edf_bytes(COUNTS, digital=(-99999, 99999)),
                "33 a range beyond all numbers": lambda: edf_bytes(COUNTS, span=(-1e308, 1e308)),
                "30 a range of 0 mV": lambda: edf_bytes(COUNTS, span=(1, 1)),
                "20 no sample in a record": lambda: poked(edf_bytes(COUNTS), b"500     ", b"0       "),
            },
        ),
        *refused(
            422,
            "length_mismatch",
            NONE,
            {
                "40 EDF cut": lambda: edf_bytes(COUNTS)[:-1],
                "40 EDF without end": lambda: edf_bytes(COUNTS)[:300],
                "40 EDF of 100 bytes": lambda: edf_bytes(COUNTS)[:100],
                "19 99,999,999 data records": fixed(236, "99999999"),
                "19 unknown data records": fixed(236, "-1      "),
                "20 99,999,999 samples": lambda: edf_bytes(COUNTS).replace(b"500     ", b"99999999"),
            },
        ),
        *refused(422, "no_signals", NONE, {"17 EDF": fixed(252, "0   ")}),
        *refused(413, "too_many_signals", NONE, {"18 EDF": fixed(252, "9999")}),
        *refused(400, "header_signal_count", NONE, {"15 EDF": fixed(252, "11  ")}),
        *refused(422, "too_short", NONE, {"23 EDF": fixed(236, "0       ")}),
        *refused(
            422, "sampling_rate_invalid", NONE, {"25 EDF": fixed(244, "0       "), "28 EDF": fixed(244, "1e999   ")}
        ),
        *refused(422, "sampling_rate_out_of_range", NONE, {"29 EDF": fixed(244, "99      ")}),
        *refused(400, "multisegment_unsupported", NONE, {"14 EDF+D": lambda: edf_bytes(COUNTS, reserved="EDF+D")}),
        *refused(422, "units_unknown", NONE, {"35 EDF": lambda: edf_bytes(COUNTS, unit="mmHg")}),
        *refused(422, "leads_duplicate", NONE, {"46 EDF": lambda: edf_bytes(COUNTS, labels=["ECG I"] * 12)}),
        *refused(422, "leads_unknown", NONE, {"47 EDF": lambda: edf_bytes(COUNTS, labels=["EEG Fpz"] * 12)}),
        *refused(
            422, "frames_mixed", NONE, {"38 EDF": lambda: poked(edf_bytes(COUNTS), b"500     500", b"490     510")}
        ),
        *refused(422, "amplitude_implausible", NONE, {"33 EDF": lambda: edf_bytes(COUNTS, span=(-1e9, 1e9))}),
        Upload(name="42 EDF twice as long", make=lambda: edf_bytes(COUNTS) + bytes(9000), flag="trailing_data"),
        Upload(
            name="32 EDF upside down",
            make=lambda: edf_bytes(-1 - COUNTS, span=(32.767, -32.768)),
            flag="polarity_inverted:I",
        ),
        Upload(name="- EDF+C", make=lambda: edf_bytes(COUNTS, reserved="EDF+C", annotations=True)),
    ]


def jsons() -> list[Upload]:
    """Rows 54, 60 and what may be wrong with an object's fields."""
    good, rows = packed(COUNTS), listed(MV)
    ragged = [row[: 5000 - place] for place, row in enumerate(rows["data"])]
    nested = {"a dict": {}, "text": "abc", "None": None, "numbers": [1.0] * 12, "words": [["a"] * 9] * 12}
    return [
        *refused(
            400,
            "base64_invalid",
            NONE,
            {
                "60 another alphabet": lambda: good | {"data": "-_" + good["data"][2:]},
                "60 a line break": lambda: good | {"data": good["data"][:76] + "\n" + good["data"][77:]},
                "60 cut base64": lambda: good | {"data": good["data"][:-1]},
                "60 padding within": lambda: good | {"data": "AA==" + good["data"][4:]},
                "60 no base64": lambda: good | {"data": "!!!!"},
            },
        ),
        *refused(
            422,
            "shape_mismatch",
            NONE,
            {
                "60 fewer bytes": lambda: good | {"data": good["data"][:-4]},
                "60 no bytes": lambda: good | {"data": ""},
                "60 another dtype": lambda: good | {"dtype": "float32"},
                "60 more leads than named": lambda: good | {"shape": [13, 5000]},
                "60 a negative number": lambda: good | {"shape": [12, -1]},
                "60 ragged": lambda: rows | {"data": ragged},
                "60 eleven lists": lambda: rows | {"data": rows["data"][:11]},
                "60 another shape": lambda: rows | {"shape": [12, 4999]},
            },
        ),
        *refused(
            413,
            "recording_too_large",
            NONE,
            {
                "60 an exabyte": lambda: good | {"shape": [12, 10**17]},
                "60 a minute of 5,001 Hz": lambda: good | {"shape": [12, 320_001]},
            },
        ),
        *refused(
            415,
            "dtype_unsupported",
            NONE,
            {f"60 dtype {dtype!r}": always(good | {"dtype": dtype}) for dtype in ("object", "int64", ">i2", 3, None)},
        ),
        *refused(
            422,
            "non_finite",
            NONE,
            {
                "54 NaN, list": lambda: listed(spoiled(np.nan, "f8")),
                "54 inf, list": lambda: listed(spoiled(-np.inf, "f8")),
                "54 10 to the 400, list": lambda: rows | {"data": [[10**400] * 9] * 12},
                "54 NaN, base64": lambda: packed(spoiled(np.nan, "f4"), unit="mV"),
            },
        ),
        *refused(
            422,
            "param_invalid",
            NONE,
            {
                **{f"60 data: {name}": always(rows | {"data": data}) for name, data in nested.items()},
                "60 a bool among numbers": lambda: rows | {"data": [[True, *row[1:]] for row in rows["data"]]},
                "60 base64 as bytes": lambda: good | {"data": 5},
                "60 fs as text": lambda: good | {"fs": "500"},
                "60 fs as bool": lambda: good | {"fs": True},
                "60 unit as a number": lambda: good | {"unit": 1},
                "60 leads as text": lambda: good | {"leads": "I"},
                "60 a lead as a number": lambda: good | {"leads": [*LEADS[:-1], 6]},
                "60 a lead of 1 MB": lambda: good | {"leads": [*LEADS[:-1], "V" * 1_000_000]},
                "60 shape as text": lambda: good | {"shape": "12x5000"},
                "60 shape of one": lambda: good | {"shape": [60_000]},
                "60 shape of floats": lambda: good | {"shape": [12.0, 5000.0]},
                "60 shape of bools": lambda: good | {"shape": [True, 5000]},
                "60 hexadecimal": lambda: good | {"encoding": "hex"},
                "60 encoding as a list": lambda: rows | {"encoding": ["list"]},
            },
        ),
        *refused(422, "param_unknown", NONE, {"60 a field more": lambda: good | {"path": "/etc/passwd"}}),
        *refused(
            422, "param_missing", NONE, {f"60 without {name}": always(without(good, name)) for name in sorted(good)}
        ),
        *refused(
            422,
            "sampling_rate_invalid",
            NONE,
            {
                f"25 fs {name}, JSON": always(good | {"fs": fs})
                for name, fs in {"0": 0, "-1": -1, "nan": float("nan"), "1e999": float("inf"), "vast": 10**400}.items()
            },
        ),
        *refused(422, "units_unknown", NONE, {"35 JSON": lambda: good | {"unit": "mmHg"}}),
        *refused(422, "amplitude_implausible", NONE, {"56 JSON": lambda: good | {"unit": "mV"}}),
        *refused(422, "leads_unknown", NONE, {"47 no leads, JSON": lambda: rows | {"leads": [], "data": []}}),
        *refused(422, "too_short", NONE, {"55 no samples, JSON": lambda: rows | {"data": [[]] * 12}}),
        *refused(
            413, "too_many_signals", NONE, {"18 65 leads, JSON": lambda: rows | {"leads": [*LEADS] * 6, "data": []}}
        ),
        Upload(name="- base64", make=always(good)),
        Upload(name="- a list", make=always(rows)),
        Upload(
            name="53 a flat lead, list",
            make=lambda: rows | {"data": [[0] * 5000, *rows["data"][1:]]},
            flag="lead_flat:I",
        ),
    ]


def large() -> list[Upload]:
    """Row 55: as much as is taken, of every kind; what is read must not cost more than what is refused."""
    long = np.tile(COUNTS, 64)  # 640 s
    noise = np.random.default_rng(6).integers(-3, 4, long.shape, np.int16)  # else it is packed too well
    sent: dict[str, tuple[Callable[[], Any], UploadSettings]] = {
        "zip": (lambda: zip_bytes(_long(long + noise, 16), method=zipfile.ZIP_DEFLATED), NONE),
        "files in format 80": (lambda: _long(long, 80), NONE),
        "files in format 212": (lambda: _long(long, 212), NONE),
        "files in format 310": (lambda: _long(long, 310), NONE),
        "npy": (lambda: npy_bytes(long.T), NPY),
        "npy of int64": (lambda: npy_bytes(np.tile(COUNTS, 17).astype(">i8").T), NPY),
        "npy of float64": (lambda: npy_bytes(np.tile(MV, 17)), NPY_MV),
        "csv": (lambda: csv_bytes(np.tile(MV, 17), fs=500)[: 8 << 20].rpartition(b"\n")[0], NONE),
        "edf": (lambda: edf_bytes(long), NONE),
        "base64": (lambda: packed(long), NONE),
        "a list": (lambda: listed(np.tile(MV, 17)), NONE),
    }
    return [
        Upload(name=f"55 minutes, {name}", make=make, settings=settings, flag="first_10_s")
        for name, (make, settings) in sent.items()
    ]


def _long(counts: np.ndarray, format_: int) -> dict[str, bytes]:
    """A long record in another format; what its samples are is of no account."""
    if format_ == 16:
        return {"r.hea": as_bytes(header_lines(counts)), "r.dat": dat_bytes(counts)}
    content = np.random.default_rng(5).bytes(counts.size * 4 // 3 if format_ in (310, 311) else counts.size * 3 // 2)
    lines = [f"r.dat {format_} 1000/mV 12 0 {lead}" for lead in LEADS]  # no checksum
    return {"r.hea": as_bytes([f"r 12 500 {counts.shape[1]}", *lines]), "r.dat": content[:8_300_000]}
