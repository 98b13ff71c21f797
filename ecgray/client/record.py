"""ECGs on their way to the service: arrays as JSON, files as they are, WFDB records with the files that they name."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgray.errors import ConfigError, EcgInputError

if TYPE_CHECKING:
    from jaxtyping import Int16

MOST_BYTES = 64 << 20
"""A file that is larger is not even read here; the service takes 8 MB."""
_KINDS = {"int16": "<i2", "float32": "<f4"}


def ecg_json(ecg: Any, *, fs: float | None, unit: str | None, leads: Sequence[str] | None) -> dict[str, Any]:
    """An array (lead, time) as the service reads it. Integers are counts of 1/1000 mV, floats mV, unless `unit` says.

    Raises `ConfigError` where the sampling rate or the names of the rows are not said: neither is guessed.

    >>> ecg_json([[0.5, 0.25]], fs=500, unit=None, leads=["I"])["data"]
    'AAAAPwAAgD4='
    """
    rows = np.asarray(ecg)
    if rows.ndim != 2 or rows.dtype.kind not in "iuf":
        raise ConfigError(f"an ECG is an array of numbers (lead, time); this is {rows.dtype} of shape {rows.shape}.")
    if fs is None:
        raise ConfigError("fs is missing; say how many samples a second the ECG has, as fs=500.")
    if leads is None or isinstance(leads, str) or len(leads) != len(rows):
        raise ConfigError(
            f"the ECG has {len(rows)} rows and {'no names' if leads is None else 'other names'} of leads; name each "
            "row, as leads=ecgray.leads.LEADS for I, II, III, aVR, aVL, aVF, V1 to V6 in this order."
        )
    whole = rows.dtype.kind != "f"
    if whole and rows.size and (rows.min() < -32768 or rows.max() > 32767):
        raise ConfigError("the ECG's counts do not fit into int16; give counts of 1/1000 mV, or floats in mV.")
    kind = "int16" if whole else "float32"
    return {
        "encoding": "base64",
        "dtype": kind,
        "shape": list(rows.shape),
        "fs": fs,
        "unit": unit or ("uV" if whole else "mV"),
        "leads": list(leads),
        "data": base64.b64encode(rows.astype(_KINDS[kind]).tobytes()).decode(),
    }


def read_files(source: str | Path) -> list[tuple[str, bytes]]:
    """A file, or a WFDB record: its header and the signal files that this names, from the same folder.

    A record may be named without `.hea`. Raises `ConfigError` where there is no such file.
    """
    path = Path(source)
    if path.suffix == "" and not path.exists() and path.with_name(f"{path.name}.hea").is_file():
        path = path.with_name(f"{path.name}.hea")
    content = _read(path)
    if content is None:
        raise ConfigError(f"{path} is no file; give a WFDB header (.hea), a zip of a record, an npy, csv or edf file.")
    if path.suffix.lower() != ".hea":
        return [(path.name, content)]
    found = [(name, _read(path.with_name(name))) for name in named_files(content)]
    return [(path.name, content), *((name, held) for name, held in found if held is not None)]


def named_files(header: bytes) -> list[str]:
    r"""The signal files that a WFDB header names; the service reads it properly and says what is wrong with it.

    A name that is a path is passed over, so that no header makes us send a file of another folder.

    >>> named_files(b"a 2 500 10\na.dat 16 1000/mV 16 0 0 0 0 I\n/etc/passwd 16 1000/mV 16 0 0 0 0 II\n")
    ['a.dat']
    """
    lines = [line.split() for line in header.decode("latin-1").splitlines()]
    names = [line[0] for line in lines if line and not line[0].startswith("#")][1:]
    plain = [name for name in names if not set(name) & set("/\\:\0") and name not in (".", "..", "~")]
    return list(dict.fromkeys(plain))


def pack(files: Sequence[tuple[str, bytes]]) -> bytes:
    """A record's files as one zip, in memory: for a record that is too large for JSON."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return packed.getvalue()


def write_record(
    folder: Path,
    name: str,
    counts: Int16[np.ndarray, "lead time"],
    *,
    fs: float,
    leads: Sequence[str],
    comments: Sequence[str],
) -> Path:
    """Write `name`.hea and `name`.dat as `ecgray.waveform.write` does, which needs more than numpy; returns the header.

    `counts` are of 1/1000 mV.
    """
    sums = np.add.reduce(counts, axis=1, dtype=np.int16).tolist()
    lines = [f"{name} {len(counts)} {fs:g} {counts.shape[1]}"]
    lines += [
        f"{name}.dat 16 1000.0(0)/mV 16 0 {first} {sum_} 0 {lead}"
        for lead, first, sum_ in zip(leads, counts[:, 0].tolist(), sums, strict=True)
    ]
    lines += [f"# {' '.join(comment.split())}" for comment in comments]
    (folder / f"{name}.dat").write_bytes(counts.T.astype("<i2").tobytes())
    header = folder / f"{name}.hea"
    header.write_bytes(("\n".join(lines) + "\n").encode("ascii", "replace"))
    return header


def _read(path: Path) -> bytes | None:
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > MOST_BYTES:
            raise EcgInputError(
                "recording_too_large", f"The file has more than {MOST_BYTES} bytes; cut the recording.", status=413
            )
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
