"""Records that are written come back to the bit, through us and through wfdb."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from hearts import heart_counts, heart_mv
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecgray.errors import EcgInputError
from ecgray.leads import LEADS
from ecgray.waveform.record import read_recording
from ecgray.waveform.standard import standardise
from ecgray.waveform.write import write_recording

MIMIC_ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


@settings(max_examples=40, deadline=None)
@given(
    counts=st.tuples(st.integers(1, 12), st.integers(1, 60)).flatmap(
        lambda shape: arrays(np.int16, shape, elements=st.integers(-32767, 32767))
    ),
    fs=st.sampled_from([500, 100, 257.5, 1000]),
)
def test_what_is_written_is_read(counts: np.ndarray, fs: float, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("written")
    write_recording(folder, "r", counts, fs=fs, leads=LEADS[: len(counts)], comments=["Age: 61", "Sex: F"])
    recording = read_recording(folder / "r")
    assert np.array_equal(recording.counts, counts)
    assert (recording.fs, recording.names, recording.comments) == (fs, LEADS[: len(counts)], ("Age: 61", "Sex: F"))
    theirs = wfdb.rdrecord(str(folder / "r"), physical=False)
    assert np.array_equal(theirs.d_signal, counts.T)
    assert [total % 65536 for total in theirs.checksum] == [each % 65536 for each in theirs.calc_checksum()]
    assert theirs.init_value == counts[:, 0].tolist()
    assert theirs.comments == ["Age: 61", "Sex: F"]


def test_millivolts_are_rounded_to_counts(tmp_path: Path):
    mv = heart_mv()
    mv[2, 7] = np.nan
    write_recording(tmp_path, "r", mv)
    signal = read_recording(tmp_path / "r").signal
    assert np.argwhere(np.isnan(signal)).tolist() == [[2, 7]]
    assert np.nanmax(np.abs(signal - mv)) <= 0.0005 + 1e-12


def test_mimics_order_of_leads_comes_back_in_ours(tmp_path: Path):
    counts = heart_counts()
    write_recording(tmp_path, "40689238", counts[[LEADS.index(lead) for lead in MIMIC_ORDER]], leads=MIMIC_ORDER)
    assert wfdb.rdheader(str(tmp_path / "40689238")).sig_name == list(MIMIC_ORDER)
    ecg = standardise(read_recording(tmp_path / "40689238"))
    assert np.array_equal(ecg.counts, counts)
    assert ecg.flags == ()


def test_a_comment_cannot_become_a_line_of_its_own(tmp_path: Path):
    write_recording(tmp_path, "r", heart_counts(), comments=["a\nr.dat 16 1", "M\u00fcller"])
    assert read_recording(tmp_path / "r").comments == ("a r.dat 16 1", "M?ller")


@pytest.mark.parametrize("name", ["", "../r", "a/b", "r.dat", "-r", "r\n", "x" * 201])
def test_a_name_that_is_no_name_is_refused(name: str, tmp_path: Path):
    with pytest.raises(EcgInputError) as caught:
        write_recording(tmp_path, name, heart_counts())
    assert caught.value.code == "name_invalid"
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_refused(tmp_path: Path):
    with pytest.raises(EcgInputError) as caught:
        write_recording(tmp_path, "r", np.full((12, 10), 33.0))
    assert caught.value.code == "amplitude_implausible"
    with pytest.raises(EcgInputError, match="one name a row"):
        write_recording(tmp_path, "r", heart_counts()[:3])
