"""An ECG as JSON, already parsed: base64 of little-endian bytes, or a list of numbers a lead."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgray.errors import EcgInputError
from ecgray.uploads.arrays import check_fs, check_names, recording_of, units_per_mv
from ecgray.uploads.settings import check_samples
from ecgray.waveform.record import Recording

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

_ALWAYS = frozenset({"encoding", "fs", "unit", "leads", "data"})
_PACKED = frozenset({"dtype", "shape"})
_LOOKED_AT = 4096
"""Letters of data that are not of the announced length anyway, to tell which of the two is wrong."""
_DTYPES: dict[str, np.dtype] = {"int16": np.dtype("<i2"), "float32": np.dtype("<f4")}


def read_values(ecg: Mapping[str, Any]) -> Recording:
    """Read the object `ecg` of a request: every field is judged before its data are. Raises `EcgInputError`.

    >>> ecg = {"encoding": "list", "fs": 500, "unit": "mV", "leads": ["I", "II"], "data": [[0.5, 1], [0, 0.25]]}
    >>> read_values(ecg).signal.tolist()
    [[0.5, 1.0], [0.0, 0.25]]
    """
    packed = _check_fields(ecg)
    leads, unit, fs = ecg["leads"], ecg["unit"], ecg["fs"]
    if type(leads) is not list or not all(type(name) is str for name in leads):
        raise _invalid("leads", "a list of names")
    if type(unit) is not str:
        raise _invalid("unit", "one of mV, uV and V")
    if type(fs) not in (int, float):
        raise _invalid("fs", "a number")
    check_names(leads)
    check_fs(fs)
    per_mv = units_per_mv(unit)
    if "dtype" in ecg and (type(ecg["dtype"]) is not str or ecg["dtype"] not in _DTYPES):
        raise EcgInputError("dtype_unsupported", "The field dtype is none of int16 and float32.", status=415)
    shape = _shape(ecg["shape"], len(leads)) if "shape" in ecg else None
    values = _unpacked(ecg, shape) if packed and shape else _listed(ecg["data"], len(leads), shape)
    return recording_of(values, fs=fs, names=leads, per_mv=[per_mv] * len(leads))


def _check_fields(ecg: Mapping[str, Any]) -> bool:
    """Whether the data are base64; all fields must be there, and no other."""
    if not set(ecg) <= _ALWAYS | _PACKED:
        raise EcgInputError("param_unknown", "The ECG has a field that is not known; leave it out.")
    packed = ecg.get("encoding") == "base64"
    lacking = sorted((_ALWAYS | _PACKED if packed else _ALWAYS) - set(ecg))
    if lacking:
        raise EcgInputError("param_missing", f"The ECG lacks the field {lacking[0]}; state it.")
    if not packed and ecg["encoding"] != "list":
        raise _invalid("encoding", "base64 or list")
    return packed


def _shape(shape: Any, leads: int) -> tuple[int, int]:
    if type(shape) is not list or len(shape) != 2 or any(type(size) is not int for size in shape):
        raise _invalid("shape", "two whole numbers, the leads and the samples")
    rows, samples = shape
    if rows != leads or samples < 0:
        raise EcgInputError("shape_mismatch", f"The field shape is not {leads} leads, which are named, and samples.")
    check_samples(rows * samples)
    return rows, samples


def _unpacked(ecg: Mapping[str, Any], shape: tuple[int, int]) -> Shaped[np.ndarray, "lead time"]:
    """The bytes as an array; their number is compared before they are decoded."""
    data, dtype = ecg["data"], _DTYPES[ecg["dtype"]]
    if type(data) is not str:
        raise _invalid("data", "base64")
    if len(data) % 4:
        raise _bad_base64()
    announced = len(data) // 4 * 3 - data[-2:].count("=")
    wanted = shape[0] * shape[1] * dtype.itemsize
    try:
        content = binascii.a2b_base64(data if announced == wanted else data[:_LOOKED_AT], strict_mode=True)
    except ValueError:  # binascii.Error, and for what is not ASCII
        raise _bad_base64() from None
    if announced != wanted:
        raise EcgInputError(
            "shape_mismatch", f"The field data has {announced} bytes; its shape and dtype announce {wanted}."
        )
    return np.frombuffer(content, dtype).reshape(shape)


def _listed(data: Any, leads: int, shape: tuple[int, int] | None) -> Float[np.ndarray, "lead time"]:
    """Lists of numbers as float64; a list a lead, all of one length."""
    if type(data) is not list or not all(type(row) is list for row in data):
        raise _invalid("data", "a list of numbers a lead")
    lengths = {len(row) for row in data}
    if len(data) != leads or len(lengths) > 1 or (shape and lengths != {shape[1]}):
        raise EcgInputError("shape_mismatch", f"The field data is not {leads} lists of one length, one a lead named.")
    check_samples(sum(map(len, data)))
    if not all(set(map(type, row)) <= {int, float} for row in data):
        raise _invalid("data", "a list of numbers a lead")
    try:
        return np.array(data, np.float64).reshape(leads, max(lengths, default=0))
    except OverflowError:  # a whole number beyond 1e308
        raise EcgInputError("non_finite", "A sample is infinite or no number; send finite numbers.") from None


def _invalid(field: str, wanted: str) -> EcgInputError:
    return EcgInputError("param_invalid", f"The field {field} of the ECG is not {wanted}; correct it.")


def _bad_base64() -> EcgInputError:
    return EcgInputError(
        "base64_invalid", "The field data is no base64 (RFC 4648, padded); encode it again.", status=400
    )
