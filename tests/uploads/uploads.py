"""Bytes of every kind that is read, made from one ECG, by writers that know nothing of the readers."""

from __future__ import annotations

import base64
import io
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgray.leads import LEADS
from ecgray.waveform.record import Recording
from ecgray.waveform.write import write_recording


def zip_bytes(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return held.getvalue()


def wfdb_files(signal: np.ndarray, folder: Path, *, fs: float = 500, leads: Sequence[str] = LEADS) -> dict[str, bytes]:
    """By the project's own writer."""
    write_recording(folder, "r", signal, fs=fs, leads=leads)
    return {name: (folder / name).read_bytes() for name in ("r.hea", "r.dat")}


def npy_bytes(array: np.ndarray) -> bytes:
    held = io.BytesIO()
    np.save(held, array, allow_pickle=True)
    return held.getvalue()


def csv_bytes(mv: np.ndarray, *, names: Sequence[str] = LEADS, fs: float | None = None, line: str = "") -> bytes:
    """A column a lead, in `%.6g`; with `fs` a column of time before them."""
    columns = list(mv) if fs is None else [np.arange(mv.shape[1]) / fs, *mv]
    head = line or ",".join([*([] if fs is None else ["time"]), *(f"{name} (mV)" for name in names)])
    held = io.StringIO()
    np.savetxt(held, np.stack(columns).T, fmt="%.9g", delimiter=",", header=head, comments="")
    return held.getvalue().encode()


def edf_bytes(
    counts: np.ndarray,
    *,
    labels: Sequence[str] = LEADS,
    fs: int = 500,
    record_s: float = 1,
    unit: str = "mV",
    span: tuple[float, float] = (-32.768, 32.767),
    digital: tuple[int, int] = (-32768, 32767),
    reserved: str = "",
    annotations: bool = False,
    fixed: Mapping[int, str] | None = None,
) -> bytes:
    """EDF by its specification; `fixed` puts other text at places of the first 256 bytes."""
    samples = round(fs * record_s)
    records = counts.shape[1] // samples
    ends = [re.sub(r"^(-?)0\.", r"\1.", f"{end:.6g}") for end in span]  # eight letters must do
    signals = [[label, "", unit, *ends, digital[0], digital[1], "", samples, ""] for label in labels]
    if annotations:
        signals.append(["EDF Annotations", "", "", -1, 1, -32768, 32767, "", 20, ""])
    widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
    size = 256 * (len(signals) + 1)
    start = [(8, "0"), (80, "X"), (80, "X"), (8, "01.01.20"), (8, "00.00.00"), (8, size), (44, reserved)]
    start += [(8, records), (8, f"{record_s:g}"), (4, len(signals))]
    text = "".join(str(field).ljust(width)[:width] for width, field in start)
    for place, field in (fixed or {}).items():
        text = text[:place] + field + text[place + len(field) :]
    for column, width in enumerate(widths):
        text += "".join(str(signal[column]).ljust(width)[:width] for signal in signals)
    blocks = []
    for record in range(records):
        blocks.append(counts[:, record * samples : (record + 1) * samples].astype("<i2").tobytes())
        if annotations:
            blocks.append(f"+{record * record_s:g}\x14\x14\0".encode().ljust(40, b"\0"))
    return text.encode("latin-1") + b"".join(blocks)


def packed(array: np.ndarray, *, unit: str = "uV", **fields: Any) -> dict[str, Any]:
    """The object of an ECG in JSON, base64."""
    return {
        "encoding": "base64",
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "fs": 500,
        "unit": unit,
        "leads": list(LEADS),
        "data": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(),
    } | fields


def listed(array: np.ndarray, *, unit: str = "mV", **fields: Any) -> dict[str, Any]:
    """The same as lists of numbers."""
    return {"encoding": "list", "fs": 500, "unit": unit, "leads": list(LEADS), "data": array.tolist()} | fields


def without(ecg: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in ecg.items() if name != field}


def poked(content: bytes, old: bytes, new: bytes) -> bytes:
    """The last `old` replaced; it must be there."""
    assert old in content
    place = content.rindex(old)
    return content[:place] + new + content[place + len(old) :]


def with_directory(content: bytes, offset: int, field: str, value: int) -> bytes:
    """A zip with one number of its first directory entry changed."""
    held = bytearray(content)
    struct.pack_into(field, held, held.index(b"PK\x01\x02") + offset, value)
    return bytes(held)


def same(one: Recording, other: Recording) -> bool:
    """Whether two recordings hold the same, NaN in the same places."""
    return np.array_equal(one.signal, other.signal, equal_nan=True) and (one.fs, one.names, one.flags) == (
        other.fs,
        other.names,
        other.flags,
    )
