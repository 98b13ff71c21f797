"""The files of a recording: read whole, refused for what they are, never for what the machine is."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import wfdb
from hearts import as_bytes, dat_bytes, header_lines, heart_counts

from ecgray.errors import ClusterError, EcgInputError
from ecgray.waveform.record import MAX_FILE_BYTES, read_recording

GOOD = heart_counts(duration_s=3)
HEADER = as_bytes(header_lines(GOOD))


def written(folder: Path) -> Path:
    (folder / "r.hea").write_bytes(HEADER)
    (folder / "r.dat").write_bytes(dat_bytes(GOOD))
    return folder / "r"


def patched(monkeypatch: pytest.MonkeyPatch, **calls: Callable[..., object]) -> None:
    """Put other system calls in place of those with which a recording's files are read."""
    monkeypatch.setattr("ecgray.waveform.record.os", SimpleNamespace(**vars(os) | calls))


def failing(number: int) -> Callable[..., object]:
    def call(*_args: object) -> object:
        raise OSError(number, os.strerror(number), "Jane_Doe.dat")

    return call


def refused(record: Path) -> EcgInputError:
    with pytest.raises(EcgInputError) as caught:
        read_recording(record)
    return caught.value


def test_a_network_disk_may_give_less_than_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    record = written(tmp_path)
    patched(monkeypatch, read=lambda file, wanted: os.read(file, min(wanted, 1000)))
    assert np.array_equal(read_recording(record).counts, GOOD)


def test_a_file_that_was_cut_meanwhile_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is shorter than it said it was."""
    record = written(tmp_path)
    (tmp_path / "r.dat").write_bytes(dat_bytes(GOOD)[:-1000])
    patched(monkeypatch, fstat=lambda file: SimpleNamespace(st_mode=os.fstat(file).st_mode, st_size=1_000_000))
    assert refused(record).code == "length_mismatch"


def test_a_link_to_itself_is_unreadable(tmp_path: Path):
    record = written(tmp_path)
    (tmp_path / "r.dat").unlink()
    (tmp_path / "r.dat").symlink_to("r.dat")
    refusal = refused(record)
    assert (refusal.code, refusal.status) == ("file_unreadable", 400)
    assert "symbolic links" in str(refusal)


def test_a_header_with_too_long_a_name_is_unreadable(tmp_path: Path):
    assert refused(tmp_path / ("r" * 300)).code == "file_unreadable"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_file_without_permission_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    record = written(tmp_path)
    patched(monkeypatch, open=failing(number))
    refusal = refused(record)
    assert refusal.code == "file_unreadable"
    assert "Jane" not in str(refusal)


def test_a_folder_in_the_place_of_a_file_is_no_file(tmp_path: Path):
    record = written(tmp_path)
    (tmp_path / "r.dat").unlink()
    (tmp_path / "r.dat").mkdir()
    assert refused(record).code == "dat_missing"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.ETIMEDOUT])
@pytest.mark.parametrize("call", ["open", "read", "fstat"])
def test_a_machine_that_fails_is_not_held_against_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
):
    record = written(tmp_path)
    patched(monkeypatch, **{call: failing(number)})
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        read_recording(record)
    assert caught.value.errno == number


def test_a_file_beyond_the_limit_is_too_large(tmp_path: Path):
    record = written(tmp_path)
    with (tmp_path / "r.dat").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # a hole: it takes no disk
    refusal = refused(record)
    assert (refusal.code, refusal.status) == ("recording_too_large", 413)


def format_212(folder: Path) -> Path:
    """A recording that is read by wfdb from a copy in the temporary folder."""
    options = {"units": ["mV"], "sig_name": ["I"], "fmt": ["212"], "adc_gain": [100], "baseline": [0]}
    wfdb.wrsamp("r", fs=500, d_signal=np.zeros((1500, 1), np.int64), write_dir=str(folder), **options)
    return folder / "r"


def test_a_full_temporary_folder_is_not_held_against_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    record = format_212(tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        read_recording(record)


@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
def test_a_machine_that_fails_under_wfdb_is_not_held_against_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
):
    record = format_212(tmp_path)

    def fail(*_args: object, **_options: object) -> None:
        raise fault

    monkeypatch.setattr(wfdb, "rdrecord", fail)
    with pytest.raises(type(fault)):
        read_recording(record)


def test_a_missing_library_is_not_held_against_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """wfdb reads FLAC by soundfile, and this by libsndfile, which a machine may lack."""
    record = written(tmp_path)
    (tmp_path / "r.hea").write_bytes(HEADER.replace(b".dat 16 ", b".dat 516 "))
    (tmp_path / "r.dat").write_bytes(b"fLaC" + dat_bytes(GOOD))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ClusterError, match=r"libsndfile, .* is missing on this machine; install it"):
        read_recording(record)


@pytest.mark.parametrize("fault", [ValueError("r.dat"), OSError("no number"), OSError(errno.EINVAL, "bad seek")])
def test_a_file_that_leads_wfdb_astray_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception):
    record = format_212(tmp_path)

    def fail(*_args: object, **_options: object) -> None:
        raise fault

    monkeypatch.setattr(wfdb, "rdrecord", fail)
    assert refused(record).code == "format_mismatch"
