"""Signal files to counts: formats 16 and `16+24` (the Challenge's .mat) here, WFDB's other formats by wfdb.

Lengths are compared with the header before anything is allocated, checksums before anything is believed. A count of
-32768 means that the sample is missing (WFDB's rule for format 16; other formats are brought to it).
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecgray.errors import ClusterError, EcgInputError
from ecgray.waveform.header import Header, Signal

if TYPE_CHECKING:
    from jaxtyping import Shaped

MISSING = -32768
"""The int16 count of a sample that was not measured."""
MAX_SAMPLES = 1 << 25
"""Samples in one signal file, all signals together (64 MiB of format 16)."""

_NATIVE = 16
_COMPRESSED = (508, 516, 524)
_WIDE = (8, 24, 32, 524)
_MISSING = {
    **{80: -(1 << 7), 508: -(1 << 7), 310: -(1 << 9), 311: -(1 << 9), 212: -(1 << 11)},
    **{24: -(1 << 23), 524: -(1 << 23), 32: -(1 << 31)},
}
_BYTES = {8: (1, 1), 16: (2, 1), 24: (3, 1), 32: (4, 1), 61: (2, 1), 80: (1, 1), 160: (2, 1), 212: (3, 2)} | {
    310: (4, 3),
    311: (4, 3),
}
"""Bytes and the samples that they hold."""


def decode(
    header: Header, files: Mapping[str, bytes], *, keep: Sequence[int] | None = None, strict: bool = True
) -> tuple[Shaped[np.ndarray, "lead time"], tuple[str, ...]]:
    """The counts of the signals at the positions `keep` (all), and flags. Files that hold none of them are not needed.

    int16 with -32768 for a missing sample; float64 with NaN where a format holds more than 16 bits. Kept signals must
    share one rate. With `strict` a wrong checksum is an error, else the flag checksum_mismatch.
    """
    kept = range(len(header.signals)) if keep is None else keep
    if len({header.signals[position].coding.frame_samples for position in kept}) > 1:
        raise EcgInputError("frames_mixed", "The leads have different sampling rates; resample them to one rate.")
    groups = {file: held for file, held in _groups(header.signals).items() if not set(kept).isdisjoint(held)}
    frames = header.frames if header.frames is not None else _frames(header.signals, groups, files)
    if frames == 0:
        raise EcgInputError("too_short", "The recording has no samples; was it copied completely?")
    rows: dict[int, np.ndarray] = {}
    flags: set[str] = set()
    for file, positions in groups.items():
        signals = [header.signals[position] for position in positions]
        content = _content(files, file)
        flags |= _check_length(signals, frames, len(content))
        block = (_native if signals[0].coding.format == _NATIVE else _by_wfdb)(signals, frames, content)
        flags |= _check_sums(signals, block, strict)
        if len(groups) == 1 and isinstance(block, np.ndarray) and len(kept) == len(block) and block.dtype == np.int16:
            return block, tuple(sorted(flags))
        rows.update(zip(positions, _marked(signals, block), strict=True))
    return _stacked([rows[position] for position in kept]), tuple(sorted(flags))


def _groups(signals: Sequence[Signal]) -> dict[str, list[int]]:
    """The positions of the signals that each file holds; within a file they must be stored alike."""
    groups: dict[str, list[int]] = {}
    for position, signal in enumerate(signals):
        groups.setdefault(signal.file, []).append(position)
    for positions in groups.values():
        if len({(signals[p].coding.format, signals[p].coding.byte_offset) for p in positions}) > 1:
            raise EcgInputError(
                "format_mixed", "Signals of one file are said to be stored in different formats; one file has one."
            )
    return groups


def _content(files: Mapping[str, bytes], file: str) -> bytes:
    content = files.get(file)
    if content is None:
        raise EcgInputError(
            "dat_missing", "A signal file that the header names is not there; give all files of the record.", status=400
        )
    if not content:
        raise EcgInputError("dat_empty", "A signal file is empty; was it copied completely?")
    return content


def _frame_samples(signals: Iterable[Signal]) -> int:
    return sum(signal.coding.frame_samples for signal in signals)


def _frames(signals: Sequence[Signal], groups: Mapping[str, list[int]], files: Mapping[str, bytes]) -> int:
    """The number of frames by the length of the first file, where the header does not state it."""
    file, positions = next(iter(groups.items()))
    group = [signals[position] for position in positions]
    coding = group[0].coding
    if coding.format in _COMPRESSED:
        raise EcgInputError("length_mismatch", "The header states no length and the signals are compressed; state it.")
    bytes_, samples = _BYTES[coding.format]
    return max(0, len(_content(files, file)) - coding.byte_offset) * samples // (bytes_ * _frame_samples(group))


def _check_length(signals: Sequence[Signal], frames: int, found: int) -> set[str]:
    coding = signals[0].coding
    total = frames * _frame_samples(signals)
    if coding.format in _COMPRESSED:
        if total > MAX_SAMPLES:
            raise EcgInputError("length_mismatch", f"The header announces {total} samples; {MAX_SAMPLES} are read.")
        return set()
    bytes_, samples = _BYTES[coding.format]
    wanted = coding.byte_offset + -(-total * bytes_ // samples)
    if found < wanted:
        raise EcgInputError(
            "length_mismatch", f"A signal file has {found} bytes where the header announces {wanted}; is it complete?"
        )
    return {"trailing_data"} if found > wanted + (4 if samples > 1 else 0) else set()


def _native(signals: Sequence[Signal], frames: int, content: bytes) -> np.ndarray | list[np.ndarray]:
    """Format 16: little-endian int16, frame after frame."""
    widths = [signal.coding.frame_samples for signal in signals]
    width = sum(widths)
    flat = np.frombuffer(content, "<i2", frames * width, signals[0].coding.byte_offset)
    table = flat.reshape(frames, width)
    if width == len(widths):
        return np.ascontiguousarray(table.T)
    edges = np.cumsum(widths)[:-1]
    return [np.ascontiguousarray(part).reshape(-1) for part in np.split(table, edges, axis=1)]


def _by_wfdb(signals: Sequence[Signal], frames: int, content: bytes) -> list[np.ndarray]:
    """WFDB's other formats: a header of our own and the file under a name of our own, read by wfdb."""
    if signals[0].coding.format in _COMPRESSED:
        if not content.startswith(b"fLaC"):
            raise _mismatch(signals[0])
        _check_flac()
    import wfdb

    lines = [f"recording {len(signals)} 500 {frames}"]
    for signal in signals:
        coding = signal.coding
        lines.append(
            f"signal.dat {coding.format}x{coding.frame_samples}+{coding.byte_offset} 200(0)/mV 0 {coding.adc_zero} "
            f"{coding.adc_zero if signal.initial is None else signal.initial} 0 0 s"
        )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "recording.hea").write_text("\n".join(lines) + "\n")
        (Path(folder) / "signal.dat").write_bytes(content)
        try:
            record = wfdb.rdrecord(f"{folder}/recording", physical=False, smooth_frames=False)
        except Exception as fault:  # any of seven kinds, its text naming our folder
            if _of_the_machine(fault):
                raise
            raise _mismatch(signals[0]) from None
    return [np.asarray(row) for row in record.e_d_signal]


def _check_flac() -> None:
    """Whether wfdb can read FLAC on this machine: its own complaint would look like one of the file."""
    try:
        import soundfile  # noqa: F401
    except (ImportError, OSError) as fault:
        raise ClusterError(
            "libsndfile, which reads the formats 508, 516 and 524 (FLAC), is missing on this machine; install it and "
            "run the same command again."
        ) from fault


def _of_the_machine(fault: Exception) -> bool:
    """Whether memory or the disk of the copy failed, and not the file's content (which can lead to a bad seek)."""
    if isinstance(fault, OSError):
        return fault.errno not in (None, errno.EINVAL)
    return isinstance(fault, MemoryError)


def _mismatch(signal: Signal) -> EcgInputError:
    return EcgInputError(
        "format_mismatch", f"A signal file cannot be read as format {signal.coding.format}, which the header states."
    )


def _check_sums(signals: Sequence[Signal], block: np.ndarray | list[np.ndarray], strict: bool) -> set[str]:
    """Compare the sums modulo 65,536: archives write them signed, wfdb unsigned."""
    if isinstance(block, np.ndarray):
        sums = np.add.reduce(block, axis=1, dtype=np.int16).tolist()
    else:
        sums = [int(row.sum(dtype=np.int64)) for row in block]
    for signal, sum_ in zip(signals, sums, strict=True):
        if signal.checksum is not None and (signal.checksum - sum_) & 0xFFFF:
            if not strict:
                return {"checksum_mismatch"}
            raise EcgInputError(
                "checksum_mismatch", "The signals do not add up to the header's checksum; the file was altered."
            )
    return set()


def _marked(signals: Sequence[Signal], block: np.ndarray | list[np.ndarray]) -> list[np.ndarray]:
    """One row a signal; missing samples marked."""
    return [_row(signal.coding.format, row) for signal, row in zip(signals, block, strict=True)]


def _row(format_: int, row: np.ndarray) -> np.ndarray:
    missing = _MISSING.get(format_)
    if format_ in _WIDE:
        wide = row.astype(np.float64)
        return wide if missing is None else np.where(row == missing, np.nan, wide)
    narrow = row.astype(np.int16, copy=False)
    return narrow if missing is None else np.where(narrow == missing, np.int16(MISSING), narrow)


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    if len({len(row) for row in rows}) > 1:
        raise EcgInputError("length_mismatch", "The leads have different lengths; one record has one length.")
    if all(row.dtype == np.int16 for row in rows):
        return np.stack(rows)
    return np.stack(
        [np.where(row == MISSING, np.nan, row.astype(np.float64)) if row.dtype == np.int16 else row for row in rows]
    )
