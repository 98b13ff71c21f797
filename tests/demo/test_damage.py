"""Damaged recordings are refused with the code of their damage; the others read as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ecgray.demo.damage import damage
from ecgray.errors import EcgInputError
from ecgray.waveform.record import read_recording
from ecgray.waveform.write import write_recording


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    counts = np.random.default_rng(3).integers(-500, 500, (12, 5000)).astype(np.int16)
    for number in range(8):
        write_recording(tmp_path, f"r{number}", counts)
    return [tmp_path / f"r{number}" for number in range(8)]


def refusals(recordings: list[Path]) -> dict[str, str]:
    codes = {}
    for recording in recordings:
        try:
            read_recording(recording)
        except EcgInputError as error:
            codes[recording.name] = error.code
    return codes


def test_one_is_cut_short_and_one_has_rotten_bytes(recordings: list[Path]):
    assert refusals(recordings) == {}
    assert [path.name for path in damage(recordings, count=2)] == ["r2", "r6"]
    assert refusals(recordings) == {"r2": "length_mismatch", "r6": "checksum_mismatch"}


def test_damaging_twice_does_no_more(recordings: list[Path]):
    damage(recordings, count=3)
    before = [path.read_bytes() for path in sorted(recordings[0].parent.iterdir())]
    damage(recordings, count=3)
    assert [path.read_bytes() for path in sorted(recordings[0].parent.iterdir())] == before


def test_none_need_be_damaged(recordings: list[Path]):
    assert damage(recordings, count=0) == []
    assert refusals(recordings) == {}
