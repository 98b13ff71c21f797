"""Real recordings sent as uploads are what `read_recording` reads from disk."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from uploads import csv_bytes, edf_bytes, npy_bytes, packed, same, zip_bytes

from ecgray.leads import LEADS
from ecgray.uploads.read import UploadSettings, read_files, read_upload
from ecgray.uploads.values import read_values
from ecgray.waveform.record import Recording, read_recording
from ecgray.waveform.standard import standardise

pytestmark = pytest.mark.real
NONE = UploadSettings()


def files_of(header: Path) -> dict[str, bytes]:
    """The header and the signal files that stand beside it."""
    beside = [header.with_suffix(ending) for ending in (".hea", ".dat", ".mat", ".xyz")]
    return {path.name: path.read_bytes() for path in beside if path.is_file()}


@pytest.mark.parametrize(
    ("archive", "least"),
    [("ptbxl", 100), ("cpsc2018", 100), ("ptbdb", 1), ("mitdb", 1), ("georgia", 13), ("ludb", 100)],
)
def test_a_record_in_a_zip_is_the_record_on_disk(archive: str, least: int, real_data: Path):
    headers = sorted((real_data / archive).rglob("*.hea"))[:120]
    assert len(headers) >= least
    for header in headers:
        files = files_of(header)
        want = read_recording(header.with_suffix(""))
        sent = zip_bytes({f"rec/{name}": held for name, held in files.items()}, method=zipfile.ZIP_DEFLATED)
        for found in (read_upload(sent, NONE), read_files(files, NONE)):
            assert same(found, want), header.name


def test_a_record_sent_as_an_array_is_the_record(real_data: Path):
    """PTB-XL has 1,000 counts per mV, so that its counts are microvolts and no kind loses anything."""
    for header in sorted((real_data / "ptbxl").rglob("*_hr.hea"))[:10]:
        recording = read_recording(header.with_suffix(""))
        want = standardise(recording)
        settings = UploadSettings(fs=500, unit="uV", leads=recording.names)
        sent: list[Recording] = [
            read_upload(npy_bytes(recording.counts.T), settings),
            read_upload(csv_bytes(recording.signal, names=recording.names, fs=500), NONE),
            read_upload(edf_bytes(recording.counts, labels=recording.names), NONE),
            read_values(packed(recording.counts, leads=list(recording.names))),
        ]
        for found in map(standardise, sent):
            assert np.array_equal(found.counts, want.counts)
            assert found.flags == want.flags


def test_what_code15_holds_is_read_from_npy(real_data: Path):
    """float32 millivolts at 400 Hz."""
    from scipy.io import loadmat

    traces = sorted((real_data / "code15").glob("*.mat"))
    assert len(traces) == 6
    for path in traces:
        mv = loadmat(path)["feats"]
        found = read_upload(npy_bytes(mv), UploadSettings(fs=400, unit="mV", leads=LEADS))
        want = standardise(Recording.from_mv(mv.astype(np.float64), fs=400, names=LEADS))
        assert np.array_equal(standardise(found).counts, want.counts)
        assert standardise(found).flags == want.flags
