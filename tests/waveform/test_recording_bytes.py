"""A record as bytes, for an answer or a zip: what `write_recording` would write, without a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hearts import heart_counts

from ecgray.errors import EcgInputError
from ecgray.leads import LEADS
from ecgray.waveform.record import parse_recording
from ecgray.waveform.write import recording_bytes, write_recording

COMMENTS = ["synthetic: drawn", "two\nlines\r\nof it", "caf\u00e9 \u2764"]


@pytest.mark.parametrize("signal", [heart_counts(), heart_counts() / 1000], ids=["counts", "mV"])
def test_the_bytes_are_those_of_the_files_and_are_read_back(signal: np.ndarray, tmp_path: Path):
    header, content = recording_bytes("r", signal, fs=500, comments=COMMENTS)
    write_recording(tmp_path, "r", signal, fs=500, comments=COMMENTS)
    assert header == (tmp_path / "r.hea").read_bytes()
    assert content == (tmp_path / "r.dat").read_bytes()
    found = parse_recording(header, {"r.dat": content})
    assert np.array_equal(found.counts, heart_counts())
    assert (found.fs, found.names) == (500, LEADS)
    assert found.comments[:2] == ("synthetic: drawn", "two lines of it"), "a comment stays on its line"
    assert header.isascii()


def test_a_name_that_no_file_may_have_is_refused():
    for name in ("../r", "a b", "", "r\n"):
        with pytest.raises(EcgInputError):
            recording_bytes(name, heart_counts())
