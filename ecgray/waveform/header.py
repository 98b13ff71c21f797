"""A strict reader of WFDB headers: text in, numbers out, and never a path that leads out of the recording's folder.

The grammar is that of WFDB's header(5), every token matched whole. What real archives write besides is taken and
flagged (a gain left out, a date in words); what readers would take in two ways is refused with a code of docs/data.md.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ecgray.errors import EcgInputError
from ecgray.leads import lead_name

MAX_HEADER_BYTES = 65_536
"""A header of 64 leads takes 4 kB."""
MAX_SIGNALS = 64
"""Signals in one recording."""
DEFAULT_GAIN = 200.0
"""Counts per unit where a header states no gain or 0 (WFDB's rule; flagged gain_defaulted)."""
DEFAULT_FS = 250.0
"""Samples per second where a header states none (WFDB's rule; flagged sampling_rate_defaulted)."""
FORMATS = frozenset({8, 16, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516, 524})
"""The storage formats of WFDB."""

_LONGEST_LINE = 2000
_DIGITS = 18
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,199}(\.[A-Za-z0-9_-]{1,50}){0,3}")
_RECORD = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_RATE = re.compile(r"([0-9]{1,18}\.?[0-9]{0,18}|\.[0-9]{1,18})(/[0-9.]{1,36}(\(-?[0-9.]{1,36}\))?)?")
_EXPONENT = re.compile(r"[0-9.]+[eE][+-]?[0-9]+")
_NUMBER_LIKE = re.compile(r"[+-]?([0-9][0-9.,eE+-]*|nan|inf|infinity)(/.*)?", re.IGNORECASE)
_STORAGE = re.compile(r"([0-9]{1,18})(?:x([0-9]{1,18}))?(?::([0-9]{1,18}))?(?:\+([0-9]{1,18}))?")
_GAIN = re.compile(
    r"(-?(?:[0-9]{1,18}\.?[0-9]{0,18}|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,4})?)?(?:\((-?[0-9]{1,18})\))?(?:/(\S{1,50}))?"
)
_TIME = re.compile(r"\[?([01]?[0-9]|2[0-3])(:[0-5]?[0-9]){1,2}(\.[0-9]{1,9})?\]?")
_DATE = re.compile(r"(0?[1-9]|[12][0-9]|3[01])/(0?[1-9]|1[0-2])/[0-9]{1,4}\]?")


class Coding(NamedTuple):
    """How a signal is stored, and what one count of it means."""

    format: int
    frame_samples: int
    """Samples of this signal in one frame; its rate is this times the frame rate."""
    byte_offset: int
    """Bytes before the first sample of the file."""
    gain: float
    """Counts per unit."""
    gain_stated: bool
    baseline: int
    """The count that means 0."""
    units: str
    adc_zero: int


class Signal(NamedTuple):
    """One signal line."""

    file: str
    coding: Coding
    initial: int | None
    """The first count, where it is stated."""
    checksum: int | None
    """The sum of all counts modulo 65,536, signed or unsigned, where it is stated."""
    name: str


class Header(NamedTuple):
    """What a header says."""

    fs: float
    """Frames per second, Hz."""
    frames: int | None
    """Samples per signal and frame sample; None where the files' length says it."""
    signals: tuple[Signal, ...]
    comments: tuple[str, ...]
    flags: tuple[str, ...]


def parse_header(content: bytes) -> Header:
    r"""Read a header.

    >>> header = parse_header(b"r 1 500 5000\nr.dat 16 1000(0)/mV 16 0 -115 13047 0 I\n# Age: 61\n")
    >>> header.fs, header.frames, header.signals[0].name, header.comments
    (500.0, 5000, 'I', ('Age: 61',))
    """
    lines, comments = _lines(content)
    count, fs, frames, flags = _record_line(lines[0])
    if len(lines) - 1 != count:
        raise EcgInputError(
            "header_signal_count",
            f"The header announces {count} signals and describes {len(lines) - 1}; the two must agree.",
            status=400,
        )
    signals = tuple([_signal_line(line) for line in lines[1:]])
    if not all(signal.coding.gain_stated for signal in signals):
        flags = (*flags, "gain_defaulted")
    return Header(fs, frames, signals, comments, flags)


def _lines(content: bytes) -> tuple[list[str], tuple[str, ...]]:
    """The record line and the signal lines, and the comments."""
    if len(content) > MAX_HEADER_BYTES:
        raise _too_large(content)
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or content[:3] == b"\xef\xbb\xbf" or _looks_wide(content):
        raise EcgInputError(
            "header_encoding", "The header is UTF-16 or has a byte-order mark; write ASCII.", status=400
        )
    lines, comments = [], []
    for raw in content.decode("utf-8", "backslashreplace").split("\n"):
        line = raw.strip(" \t\r").replace("\t", " ")
        if line.startswith("#"):
            comments.append(line.strip(" #"))
        elif line:
            lines.append(line if line.isascii() else line.encode("ascii", "backslashreplace").decode())
    if not lines:
        raise EcgInputError("header_empty", "The header has no record line; is the file complete?", status=400)
    return lines, tuple(comments)


def _too_large(content: bytes) -> EcgInputError:
    first = next((line for line in content[:MAX_HEADER_BYTES].split(b"\n") if line.strip()[:1] not in (b"", b"#")), b"")
    if any(len(token) > 18 and token.isdigit() for token in first[:MAX_HEADER_BYTES].split()):
        return _bad_number()
    return EcgInputError(
        "header_too_large",
        f"The header has more than {MAX_HEADER_BYTES} bytes; no recording needs so many.",
        status=413,
    )


def _looks_wide(content: bytes) -> bool:
    start = content[:64]
    return len(start) >= 4 and (not any(start[::2]) or not any(start[1::2]))


def _record_line(line: str) -> tuple[int, float, int | None, tuple[str, ...]]:
    """Number of signals, frames per second, number of frames, flags."""
    if not line.isprintable():
        raise _bad_syntax()
    name, *fields = line.split(None, 4)
    if "/" in name and name.rpartition("/")[2].isdigit():
        raise EcgInputError(
            "multisegment_unsupported", "The recording has several segments; give one segment's record.", status=400
        )
    if not _RECORD.fullmatch(name) or not fields:
        raise _bad_syntax()
    count = _natural(fields[0])
    if count == 0:
        raise EcgInputError("no_signals", "The header announces no signal; at least one lead is needed.")
    if count > MAX_SIGNALS:
        raise EcgInputError(
            "too_many_signals", f"The header announces {count} signals; at most {MAX_SIGNALS} are read.", status=413
        )
    flags = []
    if len(fields) < 2:
        flags.append("sampling_rate_defaulted")
    if len(fields) > 3 and not _dated(fields[3]):
        flags.append("date_ignored")
    fs = _rate(fields[1]) if len(fields) > 1 else DEFAULT_FS
    return count, fs, _natural(fields[2]) if len(fields) > 2 else None, tuple(flags)


def _dated(text: str) -> bool:
    time, *rest = text.split()
    return bool(_TIME.fullmatch(time)) and (not rest or (len(rest) == 1 and bool(_DATE.fullmatch(rest[0]))))


@lru_cache(maxsize=256)
def _rate(text: str) -> float:
    if _EXPONENT.fullmatch(text):
        raise EcgInputError(
            "sampling_rate_invalid", "The sampling rate has an exponent, which readers take in two ways; write it out."
        )
    matched = _RATE.fullmatch(text)
    if not matched:
        raise _bad_token(text)
    fs = float(matched[1])
    if not fs > 0:
        raise EcgInputError("sampling_rate_invalid", "The sampling rate is 0 Hz; it must be above 0.")
    return fs


def _signal_line(line: str) -> Signal:
    if not _FILE.fullmatch(line.partition(" ")[0]):
        raise EcgInputError(
            "header_path",
            "The header names a signal file that is not a plain file name; name a file of the same folder.",
            status=400,
        )
    if not line.isprintable() or len(line) > _LONGEST_LINE:
        raise _bad_syntax()
    file, *fields = line.split(None, 8)
    name = ""
    if len(fields) == 8:
        name = fields.pop()
    elif len(fields) > 1 and not fields[-1].isdigit() and lead_name(fields[-1]):
        name = fields.pop()  # a shortened line: the name without what should stand before it
    fields += [""] * (7 - len(fields))
    storage, gain, bits, zero, initial, checksum, block = fields
    coding = _coding(storage, gain, bits, zero, block)
    return Signal(file, coding, _optional(initial), _optional(checksum), name)


@lru_cache(maxsize=1024)
def _coding(storage: str, gain: str, bits: str, zero: str, block: str) -> Coding:
    """What the lines of an archive have in common; parsed once."""
    matched = _STORAGE.fullmatch(storage)
    if not matched:
        raise _bad_token(storage) if storage else _bad_syntax()
    format_, frame_samples, skew, offset = (int(part) if part else None for part in matched.groups())
    if format_ not in FORMATS:
        raise EcgInputError(
            "format_unsupported", f"Storage format {format_} is none of WFDB's; {_listed()} are read.", status=415
        )
    if skew:
        raise EcgInputError("skew_unsupported", f"A signal is skewed by {skew} samples; align the signals first.")
    if frame_samples == 0:
        raise _bad_number()
    per_unit, baseline, units = _gain(gain)
    for text in (bits, block):
        if text:
            _natural(text)
    adc_zero = _optional(zero) or 0
    return Coding(
        format_,
        frame_samples or 1,
        offset or 0,
        per_unit or DEFAULT_GAIN,
        bool(per_unit),
        adc_zero if baseline is None else baseline,
        units or "mV",
        adc_zero,
    )


def _gain(text: str) -> tuple[float, int | None, str | None]:
    matched = _GAIN.fullmatch(text)
    if not matched:
        raise _bad_syntax()
    per_unit = float(matched[1]) if matched[1] else 0.0
    if per_unit in (float("inf"), float("-inf")):
        raise _bad_number()
    return per_unit, int(matched[2]) if matched[2] else None, matched[3]


def _listed() -> str:
    return ", ".join(str(format_) for format_ in sorted(FORMATS))


def _optional(text: str) -> int | None:
    if text.isdigit() and len(text) <= _DIGITS:  # most are; ASCII alone comes here
        return int(text)
    if not text:
        return None
    if not _INTEGER.fullmatch(text):
        raise _bad_token(text)
    return int(text)


def _natural(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise _bad_token(text)
    if text[0] == "-":
        raise _bad_number()
    return int(text)


def _bad_token(text: str) -> EcgInputError:
    return _bad_number() if _NUMBER_LIKE.fullmatch(text) else _bad_syntax()


def _bad_number() -> EcgInputError:
    return EcgInputError(
        "header_number",
        "A number of the header is negative, no number or too long; WFDB's header(5) says which is wanted.",
        status=400,
    )


def _bad_syntax() -> EcgInputError:
    return EcgInputError(
        "header_syntax", "A line of the header is not what WFDB's header(5) describes; correct the header.", status=400
    )
