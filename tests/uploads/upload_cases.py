"""What a case is: an upload, and the code, the status or the flag that must come back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "waveform"))  # hearts, and the bad WFDB headers

from hearts import as_bytes, dat_bytes, header_lines, heart_counts

from ecgray.leads import LEADS
from ecgray.uploads.read import UploadSettings, read_files, read_upload
from ecgray.uploads.values import read_values
from ecgray.waveform.standard import StandardEcg, standardise

COUNTS = heart_counts()
MV = COUNTS / 1000
HELD = {"r.hea": as_bytes(header_lines(COUNTS)), "r.dat": dat_bytes(COUNTS)}
NPY = UploadSettings(fs=500, unit="uV", leads=LEADS)
NPY_MV = replace(NPY, unit="mV")
CSV = UploadSettings(fs=500)
NONE = UploadSettings()


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One upload, and what must come of it."""

    name: str
    make: Callable[[], Any]
    """bytes: a raw file. A dict of bytes: files of a record. Any other dict: an ECG in JSON."""
    code: str = ""
    """Why it is refused; empty where it is read."""
    status: int = 200
    flag: str = ""
    """What is flagged where it is read."""
    settings: UploadSettings = NONE
    allow_missing_leads: bool = False

    def read(self) -> StandardEcg:
        sent = self.make()
        if isinstance(sent, bytes):
            recording = read_upload(sent, self.settings)
        elif sent and all(isinstance(content, bytes) for content in sent.values()):
            recording = read_files(sent, self.settings)
        else:
            recording = read_values(sent)
        return standardise(recording, allow_missing_leads=self.allow_missing_leads)


def refused(status: int, code: str, settings: UploadSettings, rows: Mapping[str, Callable[[], Any]]) -> list[Upload]:
    return [Upload(name=name, make=make, code=code, status=status, settings=settings) for name, make in rows.items()]


def always(value: Any) -> Callable[[], Any]:
    return lambda: value
