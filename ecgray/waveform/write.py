"""Write a WFDB record: format 16, 1,000 counts per mV, checksums that every reader agrees on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecgray.errors import EcgInputError
from ecgray.leads import LEADS
from ecgray.tables import COUNTS_PER_MV
from ecgray.waveform.decode import MISSING

if TYPE_CHECKING:
    from jaxtyping import Shaped

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,199}")


def write_recording(
    folder: Path,
    name: str,
    signal: Shaped[np.ndarray, "lead time"],
    *,
    fs: float = 500,
    comments: Sequence[str] = (),
    leads: Sequence[str] = LEADS,
) -> None:
    """Write `name`.hea and `name`.dat into `folder`: see `recording_bytes`."""
    header, content = recording_bytes(name, signal, fs=fs, comments=comments, leads=leads)
    (folder / f"{name}.dat").write_bytes(content)
    (folder / f"{name}.hea").write_bytes(header)


def recording_bytes(
    name: str,
    signal: Shaped[np.ndarray, "lead time"],
    *,
    fs: float = 500,
    comments: Sequence[str] = (),
    leads: Sequence[str] = LEADS,
) -> tuple[bytes, bytes]:
    """What `name`.hea and `name`.dat hold.

    `signal` is integer counts of 1/1000 mV or floating millivolts (NaN: missing), its rows named by `leads` and written
    in that order. Comments become ASCII lines. Raises `EcgInputError` for a name or a lead that WFDB cannot hold.
    """
    if not _NAME.fullmatch(name):
        raise EcgInputError("name_invalid", "A record's name has letters, digits, _ and -, at most 200.", status=400)
    counts = to_counts(signal)
    if len(counts) != len(leads):
        raise EcgInputError(
            "header_signal_count",
            f"{len(counts)} rows and {len(leads)} lead names; give one name a row.",
            status=400,
        )
    sums = np.add.reduce(counts, axis=1, dtype=np.int16).tolist()
    lines = [f"{name} {len(counts)} {fs:g} {counts.shape[1]}"]
    lines += [
        f"{name}.dat 16 {COUNTS_PER_MV}.0(0)/mV 16 0 {first} {sum_} 0 {lead}"
        for lead, first, sum_ in zip(leads, counts[:, 0].tolist(), sums, strict=True)
    ]
    lines += [f"# {' '.join(comment.split())}" for comment in comments]
    return ("\n".join(lines) + "\n").encode("ascii", "replace"), counts.T.tobytes()


def to_counts(signal: Shaped[np.ndarray, "lead time"]) -> Shaped[np.ndarray, "lead time"]:
    """Integer counts as they are, millivolts times 1,000; what int16 cannot hold is an error, NaN is missing.

    >>> to_counts(np.array([[0.5, np.nan]])).tolist()
    [[500, -32768]]
    """
    if np.issubdtype(signal.dtype, np.floating):
        scaled = np.rint(np.where(np.isnan(signal), MISSING / COUNTS_PER_MV, signal) * COUNTS_PER_MV)
    else:
        scaled = signal
    if scaled.dtype == np.int16:
        return scaled
    if np.abs(scaled).max(initial=0) > -MISSING:
        raise EcgInputError("amplitude_implausible", "The signal exceeds 32.767 mV, more than a record can hold.")
    return scaled.astype(np.int16)
