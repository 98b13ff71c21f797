"""Arrays with names to a recording: the last step of npy, csv and JSON alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ecgray.errors import EcgInputError
from ecgray.leads import find_leads
from ecgray.waveform.decode import MISSING
from ecgray.waveform.header import MAX_SIGNALS
from ecgray.waveform.record import Recording

if TYPE_CHECKING:
    from jaxtyping import Shaped

_PER_MV = {"mv": 1.0, "uv": 1000.0, "v": 0.001}
_MICRO = str.maketrans("\u00b5\u03bc", "uu")  # the micro sign and the letter mu
_HIGHEST_FS = 1_000_000
_LONGEST_NAME = 200


def units_per_mv(unit: str) -> float:
    """How many of the unit make a millivolt.

    >>> [units_per_mv(unit) for unit in ("mV", "uV", "V")]
    [1.0, 1000.0, 0.001]
    """
    per_mv = _PER_MV.get(unit.translate(_MICRO).lower())
    if per_mv is None:
        raise EcgInputError("units_unknown", "A lead's unit is none of mV, uV and V; state one of them.")
    return per_mv


def check_fs(fs: float) -> float:
    """The sampling rate as a float; whether an ECG can have it is for `standardise` to say."""
    if not 0 < fs <= _HIGHEST_FS:  # a whole number of any length, and NaN, are compared and never converted
        raise EcgInputError(
            "sampling_rate_invalid", f"The sampling rate is not above 0 Hz and at most {_HIGHEST_FS}; correct it."
        )
    return float(fs)


def check_names(names: Sequence[str]) -> None:
    """Refuse more lead names than a recording may have, and names that are none."""
    if len(names) > MAX_SIGNALS:
        raise EcgInputError(
            "too_many_signals", f"{len(names)} leads are named; at most {MAX_SIGNALS} are read.", status=413
        )
    if any(len(name) > _LONGEST_NAME for name in names):
        raise EcgInputError("param_invalid", f"A lead's name has more than {_LONGEST_NAME} letters; name it shortly.")


def recording_of(
    values: Shaped[np.ndarray, "row time"],
    *,
    fs: float,
    names: Sequence[str],
    per_mv: Sequence[float],
    nan_is_missing: bool = False,
) -> Recording:
    """A recording of the rows that are named as leads; `per_mv` is what makes a millivolt in each row.

    Integers are counts, -32768 a missing sample as in WFDB. Floats are finite, or the recording is refused; with
    `nan_is_missing` NaN is a missing sample.

    >>> recording = recording_of(np.array([[500], [7]], np.int16), fs=500, names=["I", "pleth"], per_mv=[1000, 1])
    >>> recording.names, recording.signal.tolist()
    (('I',), [[0.5]])
    """
    check_names(names)
    fs = check_fs(fs)
    places = list(find_leads(names).values())
    rows = np.ascontiguousarray(values[places])  # a copy: what is sent stays as it is, what is read can be written
    rows = rows.astype(rows.dtype.newbyteorder("="), copy=False)
    if rows.dtype.kind == "f":
        bad = np.isinf(rows) if nan_is_missing else ~np.isfinite(rows)
        if bad.any():
            raise EcgInputError("non_finite", "A sample is infinite or no number; send finite numbers.")
    elif rows.dtype != np.int16:
        rows = np.where(rows == MISSING, np.nan, rows.astype(np.float64))
    gain = tuple(float(per_mv[place]) for place in places)
    return Recording(rows, gain, (0,) * len(places), fs, tuple(names[place] for place in places))
