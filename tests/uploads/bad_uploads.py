"""Every upload of RELIABILITY B5 that concerns files: what is sent, and the code, status or flag that must come back.

As a script it reads them all, one after the other, and prints for each what came, in how much time and memory.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # as a script, and for tests of other folders

from bad_arrays import csvs, npys
from bad_objects import edfs, jsons, large
from bad_records import files, records, zips
from upload_cases import Upload, always

from ecgray.errors import EcgInputError

UPLOADS = (*records(), *files(), *zips(), *npys(), *csvs(), *edfs(), *jsons(), *large())


def measured(upload: Upload) -> dict[str, Any]:
    """What came of an upload, CPU seconds, and how many MB the process grew by at most."""
    upload = replace(upload, make=always(upload.make()))
    ctypes.CDLL(None).malloc_trim(0)  # what was freed would hide what is taken now
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark from now on
    start = time.process_time()
    found: dict[str, Any]
    try:
        found = {"code": "", "status": 200, "flags": upload.read().flags}
    except EcgInputError as error:
        found = {"code": error.code, "status": error.status, "flags": (), "sentence": str(error)}
    except Exception as fault:
        found = {"code": f"{type(fault).__name__}: {fault}", "status": 500, "flags": ()}
    seconds = time.process_time() - start
    return {"name": upload.name, "seconds": seconds, "mb": (_resident("VmHWM") - before) / 1024} | found


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    for upload in UPLOADS:
        if upload.flag == "resampled" or upload.name == "- time":
            measured(upload)  # imports
    for upload in UPLOADS:
        print(json.dumps(measured(upload)), flush=True)
