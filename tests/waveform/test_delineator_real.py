"""The delineator that ships, on patients and archives that it never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from ecgray.archives import read_manifest
from ecgray.tables import COUNTS_PER_MV
from ecgray.waveform.delineator.marks import read_marks
from ecgray.waveform.delineator.reader import WaveReader
from ecgray.waveform.delineator.score import match, score_ends, score_intervals
from ecgray.waveform.record import read_recording
from ecgray.waveform.standard import standardise

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def reader() -> WaveReader:
    return WaveReader.load()


@pytest.fixture(scope="module")
def unseen(real_data: Path):
    """LUDB's patients outside the training split: mV, marks."""
    root = real_data / "ludb"
    rows = read_manifest(root, "ludb").select(["path", "split"]).to_pylist()
    paths = [root / row["path"] for row in rows if row["split"] != "train"]
    paths = [path for path in paths if path.with_suffix(".hea").is_file()]
    ecgs = [standardise(read_recording(path, digital=True)).counts for path in paths]
    return np.stack(ecgs).astype(np.float32) / COUNTS_PER_MV, [read_marks(path) for path in paths]


def test_intervals_of_patients_it_never_saw(reader: WaveReader, unseen) -> None:
    ecgs, marks = unseen
    scores = score_intervals(marks, reader.read_all(ecgs), ecgs)
    for name, most in {"pr_ms": 6, "qrs_ms": 7, "qt_ms": 10, "p_ms": 8}.items():
        assert scores[name].mean_absolute_error < most
        assert (scores[name].missed, scores[name].invented) == (0, 0)
        assert scores[name].records >= 26


def test_ends_of_patients_it_never_saw(reader: WaveReader, unseen) -> None:
    ecgs, marks = unseen
    for end in score_ends(marks, reader.read_all(ecgs)):
        assert end.sensitivity > 0.98
        assert end.precision > 0.97
        assert abs(end.mean_ms) < 5


def test_nothing_of_them_is_held_back(reader: WaveReader, unseen) -> None:
    found = [one for start in range(0, len(unseen[0]), 9) for one in reader.measure(unseen[0][start : start + 9])]
    assert not [one.reasons for one in found if set(one.reasons) - {"pr_ms", "p_ms"}]


def test_r_peaks_of_single_leads_of_another_source(reader: WaveReader, real_data: Path) -> None:
    """CPSC 2019, 75 ms, without the first and last half second; NeuroKit2's best has an F1 of 90.5 %."""
    hits = true = ours = 0
    for file in sorted((real_data / "cpsc2019_rpeaks" / "data").glob("data_*.mat")):
        reference = file.parents[1] / "ref" / file.name.replace("data_", "R_")
        marked = scipy.io.loadmat(reference)["R_peak"].ravel().astype(float)
        signal = scipy.io.loadmat(file)["ecg"].ravel().astype(np.float32)
        found = reader.read(signal[None, None]).r_peaks[0].astype(float)
        marked, found = ([x for x in peaks if 250 <= x <= len(signal) - 250] for peaks in (marked, found))
        hits, true, ours = hits + len(match(marked, np.array(found), window=37)), true + len(marked), ours + len(found)
    assert 2 * hits / (true + ours) > 0.92
