"""One file of the manifest to one file of records and, where recordings cannot be read, one of the quarantine.

The records file is the commit: it is written last, and a part that has one is never done again. A recording that the
reader refuses, or on which it fails, goes to the quarantine; one that kills the whole process goes there after three
deaths. A fault of the machine (its disks, its memory) is held against no recording: it ends the part before the commit.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ecgray.archives.record_file import record_file
from ecgray.errors import ClusterError, EcgInputError
from ecgray.parquet import write_table
from ecgray.tables import ECG_BYTES, QUARANTINE
from ecgray.waveform.header import Header
from ecgray.waveform.record import decode_recording, load_recording
from ecgray.waveform.standard import StandardEcg, standardise

DIARIES = ".reading"
"""The folder of the diaries below the output folder."""

Loaded = tuple[Header, dict[str, bytes]]
Opened = Loaded | EcgInputError | OSError | MemoryError
"""The files of a recording, why it is refused, or how the machine failed."""

_BATCH = 8
"""Recordings that a thread opens at a stretch; single ones would have the threads fight for the interpreter."""
_AHEAD_BYTES = 64 << 20
"""Bytes read ahead of the decoder, about."""
_DEATHS = 3
"""How often a process must have died while it read a recording, for that to be no chance: jobs are killed, too."""
_REFUSALS = {
    "duplicate_id": "An earlier recording of the archive has the same id; one id may name one recording.",
    "header_path": "The archive's table gives a path that is empty or leads out of the archive; correct the table.",
    "row_malformed": "A row of the archive's table has too many or too few fields; correct the table.",
}


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """How the recordings of one archive are read."""

    archive: Path
    digital: bool = False
    """Take a count as 1/1000 mV whatever the header's gain says."""
    allow_missing_leads: bool = False
    readers: int = 4
    """Threads that open files ahead of the decoder; 1 opens each file when its turn comes."""


def convert_part(manifest_file: Path, out: Path, conversion: Conversion) -> dict[str, int]:
    """Convert the recordings that a file of the manifest names; returns how many were kept and refused.

    Raises `ClusterError` where the disk is full, the archive is gone, or the machine fails otherwise; run again, the
    same call goes on.
    """
    manifest = pq.read_table(manifest_file)
    path = out / "records" / manifest_file.name
    if path.exists():
        return {"rows": 0, "records": 0, "quarantined": 0}
    try:
        with _diary(out, manifest_file.stem) as diary, record_file(path, manifest) as file:
            disk = _disk(conversion.archive)
            refused: dict[int, EcgInputError] = {}
            for row, ecg in enumerate(_ecgs(manifest_file.name, manifest, conversion, diary)):
                if isinstance(ecg, EcgInputError):
                    refused[row] = ecg
                else:
                    file.add(row, ecg)
            if refused and _disk(conversion.archive) != disk:
                raise _gone(conversion.archive)
            quarantine = out / "quarantine" / manifest_file.name
            quarantine.unlink(missing_ok=True)  # an earlier attempt may have refused more
            if refused:
                write_table(_quarantine(manifest, refused), quarantine)
    except (OSError, MemoryError) as fault:
        raise _unwritten(path, manifest.num_rows, fault) from fault
    return {"rows": manifest.num_rows, "records": manifest.num_rows - len(refused), "quarantined": len(refused)}


def _disk(archive: Path) -> int:
    """The disk that the archive lies on.

    Raises `ClusterError` where it is gone: what is unmounted leaves no folder, an empty one, or one of another disk,
    and would make every recording look as if its files were missing.
    """
    try:
        with os.scandir(archive) as entries:  # a flat archive has a million of them, and one will do
            if next(entries, None):
                return archive.stat().st_dev
    except OSError as fault:
        raise _gone(archive) from fault
    raise _gone(archive)


def _gone(archive: Path) -> ClusterError:
    return ClusterError(
        f"{archive} is gone, empty or unreadable, which says nothing of its recordings; mount it and run the same "
        "command again."
    )


def _unwritten(path: Path, rows: int, fault: OSError | MemoryError) -> ClusterError:
    if isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT):
        megabytes = rows * ECG_BYTES // 1_000_000 + 1
        return ClusterError(
            f"{path} found no space; it takes {megabytes} MB. Make room and run the same command again."
        )
    return ClusterError(f"{path} could not be written ({_reason(fault)}); see to that and run the same command again.")


def _unread(part: str, row: int, fault: OSError | MemoryError) -> ClusterError:
    return ClusterError(
        f"The machine failed while it read the recording in row {row} of {part} of the manifest ({_reason(fault)}), "
        "which is not held against the recording; see to that and run the same command again. "
        "If it is always the same row, copy that recording's files anew or remove them."
    )


def _reason(fault: OSError | MemoryError) -> str:
    """What failed, in the system's words; the fault's own may hold a path of the archive."""
    if isinstance(fault, OSError) and fault.errno:
        return os.strerror(fault.errno)
    return "no memory was left" if isinstance(fault, MemoryError) else type(fault).__name__


def _ecgs(part: str, manifest: pa.Table, conversion: Conversion, diary: Diary) -> Iterator[StandardEcg | EcgInputError]:
    """What each row of the manifest names, in its order: an ECG, or why there is none.

    Raises `ClusterError` where the machine fails: no recording may be lost to that.
    """
    codes = manifest["refused"].to_pylist()
    refused = {row: EcgInputError(code, _REFUSALS[code]) for row, code in enumerate(codes) if code}
    refused |= {row: _crashed() for row in diary.crashed if row not in refused}
    paths = [path for row, path in enumerate(manifest["path"].to_pylist()) if row not in refused]
    stated = manifest["rr_ms"].to_pylist()
    loaded = _loaded([conversion.archive / path for path in paths], 1 if diary.careful else conversion.readers)
    for row in range(manifest.num_rows):
        if row in refused:
            yield refused[row]
        else:
            diary.note(row)
            try:
                ecg = _standard(next(loaded), conversion, stated[row])
            except (OSError, MemoryError) as fault:
                raise _unread(part, row, fault) from fault
            yield ecg


def _loaded(paths: Sequence[Path], readers: int) -> Iterator[Opened]:
    """The files of each recording, in order, opened by `readers` threads ahead of whoever takes them."""
    if readers == 1:
        yield from map(_load, paths)
        return
    starts = iter(range(0, len(paths), _BATCH))
    waiting: deque[Future[list[Opened]]] = deque()
    ahead = 1
    with ThreadPoolExecutor(readers) as pool:
        while True:
            for start in islice(starts, ahead - len(waiting)):
                waiting.append(pool.submit(_load_all, paths[start : start + _BATCH]))
            if not waiting:
                return
            batch = waiting.popleft().result()
            ahead = max(1, min(2 * readers, _AHEAD_BYTES // max(1, _size(batch))))
            yield from batch


def _load_all(paths: Sequence[Path]) -> list[Opened]:
    return [_load(path) for path in paths]


def _load(path: Path) -> Opened:
    try:
        return load_recording(path)
    except (EcgInputError, OSError, MemoryError) as reason:
        return reason  # raised, or not, when the recording's turn comes
    except Exception as fault:
        return _internal(fault)


def _size(batch: Sequence[Opened]) -> int:
    loaded = (one[1] for one in batch if isinstance(one, tuple))
    return sum(len(content) for files in loaded for content in files.values())


def _standard(loaded: Opened, conversion: Conversion, rr_ms: float | None) -> StandardEcg | EcgInputError:
    if isinstance(loaded, EcgInputError):
        return loaded
    if isinstance(loaded, Exception):
        raise loaded
    try:
        recording = decode_recording(*loaded, digital=conversion.digital)
        return standardise(recording, allow_missing_leads=conversion.allow_missing_leads, rr_ms=rr_ms)
    except EcgInputError as refusal:
        return refusal
    except (ClusterError, OSError, MemoryError):
        raise
    except Exception as fault:
        return _internal(fault)


def _internal(fault: Exception) -> EcgInputError:
    """A fault of ours, said without its text: that may hold words of the recording."""
    kind = type(fault).__name__
    return EcgInputError("internal_error", f"The reader failed with {kind}; please report this recording.", status=500)


def _crashed() -> EcgInputError:
    return EcgInputError(
        "reader_crashed", "Reading this recording ended its process three times; please report it.", status=500
    )


def _quarantine(manifest: pa.Table, refused: dict[int, EcgInputError]) -> pa.Table:
    rows = manifest.take(pa.array(list(refused)))
    columns = [rows[name] for name in ("record_id", "subject_id", "source", "path")]
    codes = [refusal.code for refusal in refused.values()]
    sentences = [str(refusal) for refusal in refused.values()]
    return pa.table([*columns, pa.array(codes), pa.array(sentences)], schema=QUARANTINE)


class Diary:
    """Which recording a process was reading when it died: kept on disk while a part is being converted.

    The first attempt writes nothing into it. Where it was killed, the next ones note each recording before they read
    it; a recording that was the last one noted three times is not read again.
    """

    def __init__(self, path: Path) -> None:
        self.careful = path.exists()
        """Whether an earlier attempt was killed."""
        attempts = path.read_text().split("-") if self.careful else []
        last = Counter(int(attempt.split()[-1]) for attempt in attempts if attempt.split())
        self.crashed = sorted(row for row, times in last.items() if times >= _DEATHS)
        """Rows of the manifest that ended their process three times."""
        self._file = path.open("a", buffering=1)
        if self.careful:
            self._file.write("-\n")

    def note(self, row: int) -> None:
        """Say that `row` is read next."""
        if self.careful:
            self._file.write(f"{row}\n")

    def close(self) -> None:
        """No process died: forget it all."""
        self._file.close()


@contextlib.contextmanager
def _diary(out: Path, part: str) -> Iterator[Diary]:
    path = out / DIARIES / part
    path.parent.mkdir(parents=True, exist_ok=True)
    diary = Diary(path)
    try:
        yield diary
    finally:
        diary.close()
        path.unlink(missing_ok=True)
