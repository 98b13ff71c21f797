"""An array as numpy writes it (npy): the header is judged, its shape compared with the bytes, then they are viewed."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ecgray.errors import EcgInputError
from ecgray.uploads.arrays import check_names, recording_of, units_per_mv
from ecgray.uploads.settings import check_samples, missing
from ecgray.waveform.record import Recording

if TYPE_CHECKING:
    from jaxtyping import Shaped

_MAX_HEADER_BYTES = 1024
_SIZES = {1: struct.Struct("<H"), 2: struct.Struct("<L")}  # of the header, in versions 1 and 2
_HEADER = re.compile(
    r"\{\s*'descr':\s*('[^']*'|\[.*\])\s*,\s*'fortran_order':\s*(True|False)\s*,"
    r"\s*'shape':\s*\(((?:-?[0-9]{1,18}\s*,\s*)*(?:-?[0-9]{1,18})?)\)\s*,?\s*\}\s*"
)
_DTYPE = re.compile(r"'[<>](i2|i4|i8|f2|f4|f8)'")


def read_npy(content: bytes, *, fs: float | None, unit: str | None, leads: Sequence[str] | None) -> Recording:
    """Read a 2-d array of a row or a column a lead, in the order of `leads`. Raises `EcgInputError`.

    Integers are counts of the unit, of which -32768 is a missing sample; floats must be finite.
    """
    array = _array(content)
    if fs is None:
        raise missing("fs", "npy")
    if unit is None:
        raise missing("unit", "npy")
    if leads is None:
        raise missing("leads", "npy")
    check_names(leads)
    per_mv = units_per_mv(unit)
    return recording_of(_rows(array, len(leads)), fs=fs, names=leads, per_mv=[per_mv] * len(leads))


def _array(content: bytes) -> Shaped[np.ndarray, "first second"]:
    """A view of the bytes; nothing is allocated, and nothing is read by pickle."""
    descr, fortran, shape, start = _header(content)
    if not _DTYPE.fullmatch(descr):
        raise EcgInputError(
            "dtype_unsupported",
            "The array's dtype is none of int16, int32, int64, float16, float32 and float64; convert it to one.",
            status=415,
        )
    dtype = np.dtype(descr.strip("'"))
    if len(shape) != 2 or min(shape) < 0:
        raise EcgInputError("shape_mismatch", f"The array has {len(shape)} axes; leads and samples are two.")
    if shape[0] * shape[1] * dtype.itemsize != len(content) - start:
        raise EcgInputError(
            "shape_mismatch",
            f"The array has {len(content) - start} bytes, and not what its shape and dtype announce; is it complete?",
        )
    check_samples(shape[0] * shape[1])
    return np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if fortran else "C")


def _header(content: bytes) -> tuple[str, bool, tuple[int, ...], int]:
    """The dtype as text, whether in Fortran's order, the shape, and where the values begin.

    By a grammar and not by numpy, which evaluates the text as a literal of Python's (and warns aloud of what it finds).
    """
    size = _SIZES.get(content[6] if len(content) > 12 else 0)
    if size is not None:
        start = 8 + size.size
        length = size.unpack_from(content, 8)[0]
        text = content[start : start + length].decode("latin-1") if length <= _MAX_HEADER_BYTES else ""
        matched = _HEADER.fullmatch(text)
        if matched and start + length <= len(content):
            shape = tuple(int(axis) for axis in matched[3].split(",") if axis.strip())
            return matched[1], matched[2] == "True", shape, start + length
    raise EcgInputError(
        "format_mismatch", "The header of the npy is not what numpy.save writes; save the array by that."
    )


def _rows(array: Shaped[np.ndarray, "first second"], leads: int) -> Shaped[np.ndarray, "lead time"]:
    """The array with a row a lead, by the number of leads that are named."""
    if leads not in array.shape:
        raise EcgInputError(
            "shape_mismatch", f"{leads} leads are named, and no axis of the array is so long; name each row once."
        )
    if array.shape[0] == array.shape[1]:
        raise EcgInputError(
            "shape_mismatch", f"Both axes are {leads} long, so that which is the leads' cannot be told; send more time."
        )
    return array if array.shape[0] == leads else array.T
