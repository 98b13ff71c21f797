"""EDF and EDF+C: its fixed fields judged, then read as the WFDB record that it is.

A data record of EDF is a frame of WFDB's format 16: n samples of the first signal, n of the second, and so on. So the
header becomes one of ours and the decoder of WFDB reads the samples, from memory. Who the patient is, is not looked at.
"""

from __future__ import annotations

import re

from ecgray.errors import EcgInputError
from ecgray.leads import lead_name
from ecgray.waveform.header import MAX_SIGNALS, Coding, Header, Signal
from ecgray.waveform.record import Recording, decode_recording

_FIXED = 256
_WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_LABEL, _DIMENSION, _LOW_MV, _HIGH_MV, _LOW, _HIGH, _SAMPLES = 0, 2, 3, 4, 5, 6, 8
_INTEGER = re.compile(r"[+-]?[0-9]{1,8}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_EKG = re.compile(r"(ekg|ecg)(?![a-z])", re.IGNORECASE)
_LONGEST_S = 1e6
_INT16 = range(-32768, 32768)
_FILE = "recording.edf"


def read_edf(content: bytes) -> Recording:
    """Read the ECG leads of an EDF file. Annotations and signals that are no lead are passed over.

    A value is (count - baseline) / gain, the baseline rounded to a whole count; -32768 is a missing sample, as in WFDB.
    Raises `EcgInputError`.
    """
    return decode_recording(edf_header(content), {_FILE: content})


def edf_header(content: bytes) -> Header:
    """The header of an EDF file as one of WFDB's, whose frames are EDF's data records. Raises `EcgInputError`."""
    if len(content) < _FIXED:
        raise EcgInputError("length_mismatch", f"The EDF has {len(content)} bytes; its header alone has {_FIXED}.")
    text = content[:_FIXED].decode("latin-1")
    if text[192:197] == "EDF+D":
        raise EcgInputError(
            "multisegment_unsupported", "The EDF has gaps (EDF+D); send one part without a gap.", status=400
        )
    count, records = _integer(text[252:256]), _integer(text[236:244])
    if count == 0:
        raise EcgInputError("no_signals", "The header announces no signal; at least one lead is needed.")
    if count > MAX_SIGNALS:
        raise EcgInputError(
            "too_many_signals", f"The header announces {count} signals; at most {MAX_SIGNALS} are read.", status=413
        )
    if count < 0 or records < -1:
        raise _bad_number()
    start = _FIXED * (count + 1)
    if _integer(text[184:192]) != start:
        raise EcgInputError(
            "header_signal_count", f"The EDF's header is not {start} bytes long, as {count} signals need.", status=400
        )
    if records == -1 or len(content) < start:
        raise EcgInputError("length_mismatch", "The EDF does not state its length, or ends in its header; finish it.")
    seconds = _number(text[244:252])
    if not _LONGEST_S > seconds > 1 / _LONGEST_S:
        raise EcgInputError("sampling_rate_invalid", "A data record of the EDF lasts 0 s, or for ever; correct it.")
    signals = tuple(_signal(fields, start) for fields in _fields(content[_FIXED:start].decode("latin-1"), count))
    return Header(1 / seconds, records, signals, (), ())


def _fields(text: str, count: int) -> list[list[str]]:
    """The fields of each signal: EDF writes the labels of all, then the transducers of all, and so on."""
    rows: list[list[str]] = [[] for _ in range(count)]
    place = 0
    for width in _WIDTHS:
        for row in rows:
            row.append(text[place : place + width].strip(" \0"))
            place += width
    return rows


def _signal(fields: list[str], start: int) -> Signal:
    samples = _integer(fields[_SAMPLES])
    if samples < 1:
        raise _bad_number()
    name = _EKG.sub("ECG", fields[_LABEL])
    gain, baseline = _scale(fields) if lead_name(name) else (1.0, 0)
    unit = fields[_DIMENSION].replace("\u00b5", "u")
    return Signal(_FILE, Coding(16, samples, start, gain, True, baseline, unit, 0), None, None, name)


def _scale(fields: list[str]) -> tuple[float, int]:
    """Counts per unit, and the count that means 0, from the two ends of both ranges."""
    low, high = _integer(fields[_LOW]), _integer(fields[_HIGH])
    first, last = _number(fields[_LOW_MV]), _number(fields[_HIGH_MV])
    if not low < high or low not in _INT16 or high not in _INT16 or first == last:
        raise _bad_number()
    gain = (high - low) / (last - first)
    zero = low - first * gain
    if not (1e-30 < abs(gain) < 1e30 and abs(zero) < 1 << 31):
        raise _bad_number()
    return gain, round(zero)


def _integer(text: str) -> int:
    text = text.strip(" \0")
    if not _INTEGER.fullmatch(text):
        raise _bad_number()
    return int(text)


def _number(text: str) -> float:
    text = text.strip(" \0")
    if not _NUMBER.fullmatch(text):
        raise _bad_number()
    return float(text)


def _bad_number() -> EcgInputError:
    return EcgInputError(
        "header_number",
        "A number of the EDF's header is missing, no number or out of range; EDF's specification says which is wanted.",
        status=400,
    )
