"""CPU seconds to read 1,000 recordings, by step, beside wfdb.rdrecord on the same files.

$ python benchmarks/reading.py                     # 300 drawn recordings
$ python benchmarks/reading.py ARCHIVE [RECORDS]   # those of an archive

The files are read once before, so that they come from the page cache. The last line is JSON.
"""

from __future__ import annotations

import collections
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import wfdb

from ecgray.demo.archive import draw_archive
from ecgray.waveform.decode import decode
from ecgray.waveform.header import parse_header
from ecgray.waveform.quality import quality_flags
from ecgray.waveform.record import decode_recording, load_recording, read_recording
from ecgray.waveform.standard import standardise


def per_1000(records: int, run: Callable[[], Iterable[object]], *, repeats: int = 5) -> float:
    """CPU seconds for 1,000 records, the least of some repeats; nothing is kept."""

    def once() -> float:
        start = time.process_time()
        collections.deque(run(), maxlen=0)
        return time.process_time() - start

    return round(min(once() for _ in range(repeats)) / records * 1000, 4)


def measure(paths: list[Path]) -> dict[str, float]:
    records = len(paths)
    headers = [path.with_name(path.name + ".hea").read_bytes() for path in paths]
    loaded = [load_recording(path) for path in paths]
    recordings = [decode_recording(*each) for each in loaded]
    counts = [standardise(each).counts for each in recordings]
    return {
        "records": records,
        "header_s_per_1000": per_1000(records, lambda: (parse_header(each) for each in headers)),
        "load_s_per_1000": per_1000(records, lambda: (load_recording(path) for path in paths)),
        "decode_s_per_1000": per_1000(records, lambda: (decode(*each) for each in loaded)),
        "quality_s_per_1000": per_1000(records, lambda: (quality_flags(each) for each in counts)),
        "standardise_s_per_1000": per_1000(records, lambda: (standardise(each) for each in recordings)),
        "all_s_per_1000": per_1000(records, lambda: (standardise(read_recording(path)) for path in paths)),
        "wfdb_s_per_1000": per_1000(records, lambda: (wfdb.rdrecord(str(path)) for path in paths), repeats=2),
    }


def main() -> None:
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(sys.argv[1] if len(sys.argv) > 1 else folder)
        if len(sys.argv) == 1:
            draw_archive(archive, patients=limit, seed=0)
        headers = sorted(archive.rglob("*.hea"))[:limit]
        print(json.dumps(measure([path.with_suffix("") for path in headers])))


if __name__ == "__main__":
    main()
