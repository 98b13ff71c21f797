"""A recording as its source holds it: read from WFDB files or from memory, before anything is made alike."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ecgray.errors import EcgInputError
from ecgray.leads import find_leads
from ecgray.waveform.decode import MAX_SAMPLES, MISSING, decode
from ecgray.waveform.header import MAX_HEADER_BYTES, Coding, Header, parse_header

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

MAX_FILE_BYTES = 2 * MAX_SAMPLES
"""Bytes of one signal file: 46 minutes of 12 leads at 1,000 Hz."""

_PER_MV = {"mv": 1.0, "uv": 1000.0, "v": 0.001}
"""Units of one millivolt."""
_OF_THE_FILE = frozenset(
    {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR}
    | {errno.EINVAL, errno.EILSEQ, errno.ENXIO, errno.ENODEV, errno.EOVERFLOW}
)
"""What the system says of the file itself. Anything else (too many open files, a failing disk, a network disk that is
gone) says something of the machine at this moment, and must not be held against the recording."""


@dataclass(frozen=True, eq=False)
class Recording:
    """The ECG leads of one source, as they are stored there.

    `counts` are int16 with -32768 for a missing sample, or floats with NaN; a count c of lead l is
    (c - baseline[l]) / gain[l] millivolts. `Recording.from_mv` makes one of millivolts.
    """

    counts: Shaped[np.ndarray, "lead time"]
    gain: tuple[float, ...]
    """Counts per millivolt of each lead; negative where the source inverts it."""
    baseline: tuple[int, ...]
    """The count that means 0 mV."""
    fs: float
    """Samples per second."""
    names: tuple[str, ...]
    """The leads as the source names them, in its order; signals that are no ECG lead are left out."""
    comments: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @classmethod
    def from_mv(
        cls,
        signal: Float[np.ndarray, "lead time"],
        *,
        fs: float,
        names: Sequence[str],
        comments: Sequence[str] = (),
        flags: Sequence[str] = (),
    ) -> Recording:
        """A recording of millivolts; NaN where a sample is missing.

        >>> Recording.from_mv(np.ones((1, 5)), fs=500, names=["I"]).signal.tolist()
        [[1.0, 1.0, 1.0, 1.0, 1.0]]
        """
        values = np.asarray(signal, np.float64)
        leads = len(values)
        return cls(values, (1.0,) * leads, (0,) * leads, float(fs), tuple(names), tuple(comments), tuple(flags))

    @cached_property
    def signal(self) -> Float[np.ndarray, "lead time"]:
        """The leads in mV, float64; NaN where a sample is missing."""
        return self.millivolts(range(len(self.counts)), self.counts.shape[1])

    def millivolts(self, rows: Sequence[int], samples: int) -> Float[np.ndarray, "lead time"]:
        """The leads at `rows`, their first `samples` samples, in mV; NaN where one is missing."""
        order = list(rows)
        counts = self.counts[order, :samples]
        values = counts.astype(np.float64)
        if counts.dtype == np.int16:
            values[counts == MISSING] = np.nan
        baseline, gain = (np.array(scale, np.float64)[order, None] for scale in (self.baseline, self.gain))
        with np.errstate(over="ignore"):
            return (values - baseline) / gain

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.counts.shape[1] / self.fs


def read_recording(path: Path, *, digital: bool = False, strict: bool = True) -> Recording:
    """Read the WFDB record at `path` (without its ending): its .hea and the files that this names in the same folder.

    `digital` takes a count as 1/1000 mV whatever the header's gain is (LUDB's is each lead's own peak-to-peak).
    `strict` refuses a wrong checksum; else it is flagged. Raises `EcgInputError`, and `OSError` or `MemoryError` where
    the machine fails and not the recording.
    """
    return decode_recording(*load_recording(path), digital=digital, strict=strict)


def load_recording(path: Path) -> tuple[Header, dict[str, bytes]]:
    """The first half of `read_recording`, all of its file access: the header, and the bytes of the files with leads."""
    name = os.fspath(path)
    content = read_file(f"{name}.hea", MAX_HEADER_BYTES * 8)  # beyond its limit, for the error to say what is wrong
    if content is None:
        raise EcgInputError(
            "header_missing", "There is no header (.hea) at the path; give the record's path.", status=400
        )
    header = parse_header(content)
    folder = os.path.dirname(name)  # noqa: PTH120 - pathlib takes longer than reading the file
    leads = _leads(tuple([signal.name for signal in header.signals]))
    wanted = {header.signals[position].file for position in leads.values()}
    files = {file: read_file(os.path.join(folder, file), MAX_FILE_BYTES) for file in wanted}
    return header, {file: held for file, held in files.items() if held is not None}


def parse_recording(
    header: bytes, files: Mapping[str, bytes], *, digital: bool = False, strict: bool = True
) -> Recording:
    """Read a WFDB record from memory: the header's bytes, and each signal file's bytes by the name the header gives."""
    return decode_recording(parse_header(header), files, digital=digital, strict=strict)


def read_file(name: str, limit: int) -> bytes | None:
    """A regular file, no more than one byte beyond `limit`; None where there is none.

    Plain system calls, because an archive has a million files. Raises `EcgInputError` where the file itself is why it
    cannot be read, else `OSError`.
    """
    try:
        file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _refusal(error) from None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        return _bytes(file, min(status.st_size, limit + 1))
    except OSError as error:
        raise _refusal(error) from None
    finally:
        os.close(file)


def _bytes(file: int, wanted: int) -> bytes:
    """The next `wanted` bytes of an open file, or all there are: network disks give less at a time than was asked."""
    pieces = [os.read(file, wanted)]
    while pieces[-1] and (wanted := wanted - len(pieces[-1])):
        pieces.append(os.read(file, wanted))
    return b"".join(pieces)


def _refusal(error: OSError) -> Exception:
    """What to raise: a refusal where the file itself is at fault, else the error as it is."""
    if error.errno not in _OF_THE_FILE:
        return error
    return EcgInputError(
        "file_unreadable",
        f"A file of the record cannot be read ({error.strerror}); check its permissions and links.",
        status=400,
    )


def decode_recording(
    header: Header, files: Mapping[str, bytes], *, digital: bool = False, strict: bool = True
) -> Recording:
    """The second half of `read_recording`: counts, gains and names from what was loaded."""
    if any(len(content) > MAX_FILE_BYTES for content in files.values()):
        raise EcgInputError(
            "recording_too_large",
            f"A file of the record has more than {MAX_FILE_BYTES} bytes; cut the recording into parts.",
            status=413,
        )
    leads = _leads(tuple([signal.name for signal in header.signals]))
    kept = [header.signals[position] for position in leads.values()]
    codings = tuple([signal.coding for signal in kept])
    gain, baseline = ((1000.0,) * len(kept), (0,) * len(kept)) if digital else _scale(codings)
    counts, flags = decode(header, files, keep=tuple(leads.values()), strict=strict)
    inverted = tuple(f"polarity_inverted:{lead}" for lead, per_mv in zip(leads, gain, strict=True) if per_mv < 0)
    return Recording(
        counts,
        gain,
        baseline,
        header.fs * codings[0].frame_samples,
        tuple([signal.name for signal in kept]),
        header.comments,
        header.flags + inverted + flags,
    )


@lru_cache(maxsize=256)
def _leads(names: tuple[str, ...]) -> Mapping[str, int]:
    return MappingProxyType(find_leads(names))


@lru_cache(maxsize=1024)
def _scale(codings: tuple[Coding, ...]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Counts per millivolt, and the counts that mean 0 mV."""
    per_mv = [_PER_MV.get(coding.units.lower()) for coding in codings]
    if None in per_mv:
        raise EcgInputError("units_unknown", "A lead's unit is none of mV, uV and V; state one of them.")
    gain = tuple([coding.gain * units for coding, units in zip(codings, per_mv, strict=True) if units])
    return gain, tuple([coding.baseline for coding in codings])
