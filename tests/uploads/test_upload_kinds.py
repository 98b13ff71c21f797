"""One ECG sent in every way is one recording; wfdb, numpy and EDF's own equation say which."""

from __future__ import annotations

import io
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import wfdb.io.convert.edf
from hypothesis import given, settings
from hypothesis import strategies as st
from upload_cases import COUNTS, CSV, HELD, MV, NONE, NPY, NPY_MV
from uploads import csv_bytes, edf_bytes, listed, npy_bytes, packed, same, wfdb_files, zip_bytes

from ecgray.errors import EcgInputError
from ecgray.leads import LEADS
from ecgray.uploads.arrays import recording_of
from ecgray.uploads.edf_file import edf_header
from ecgray.uploads.npy_file import _array
from ecgray.uploads.read import UploadSettings, read_files, read_upload
from ecgray.uploads.values import read_values
from ecgray.waveform.record import Recording, read_recording
from ecgray.waveform.standard import standardise


def standard(recording: Recording) -> np.ndarray:
    return standardise(recording).counts


@st.composite
def ecgs(draw: st.DrawFn) -> np.ndarray:
    """Counts of 1/1000 mV: 2.5 to 12 s, within 18 mV, a multiple of a second where EDF writes it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    seconds = draw(st.integers(3, 12))
    size = draw(st.sampled_from([2, 300, 18_000]))
    return rng.integers(-size, size, (12, 500 * seconds), np.int16)


@settings(max_examples=25, deadline=None)
@given(counts=ecgs(), flat=st.booleans())
def test_a_record_that_was_written_is_read_from_its_zip(counts: np.ndarray, flat: bool):
    with TemporaryDirectory() as folder:
        files = wfdb_files(counts, Path(folder))
        written = read_recording(Path(folder) / "r")
    sent = zip_bytes(files if flat else {f"one/{name}": content for name, content in files.items()})
    assert same(read_upload(sent, NONE), written)
    assert same(read_files(files, NONE), written)
    assert np.array_equal(written.counts, counts)


@settings(max_examples=15, deadline=None)
@given(counts=ecgs())
def test_every_kind_gives_the_same_counts(counts: np.ndarray):
    mv = counts / 1000
    want = standard(recording_of(counts, fs=500, names=LEADS, per_mv=[1000] * 12))
    assert np.array_equal(want[:, : counts.shape[1]], counts[:, :5000])
    microvolts = [counts.astype(dtype) for dtype in ("<i2", ">i2", "<i4", ">i8", "<f4", ">f8")]
    for array in [*microvolts, *(array.T for array in microvolts), np.asfortranarray(counts)]:
        assert np.array_equal(standard(read_upload(npy_bytes(array), NPY)), want)
    for array in (mv, mv.astype("f4"), mv.T):
        assert np.array_equal(standard(read_upload(npy_bytes(array), NPY_MV)), want)
    for text in (csv_bytes(mv), csv_bytes(mv, fs=500)):
        assert np.array_equal(standard(read_upload(text, CSV)), want)
    for content in (edf_bytes(counts), edf_bytes(counts, annotations=True)):
        assert np.array_equal(standard(read_upload(content, NONE)), want)
    for ecg in (packed(counts), packed(mv.astype("f4"), unit="mV"), listed(mv), listed(counts, unit="uV")):
        assert np.array_equal(standard(read_values(ecg)), want)


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 70), st.integers(0, 70)).filter(lambda shape: shape[0] != shape[1]),
    dtype=st.sampled_from(["<i2", ">i2", "<i4", ">i4", "<i8", ">i8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]),
    fortran=st.booleans(),
    version=st.sampled_from([(1, 0), (2, 0)]),
)
def test_what_numpy_writes_is_what_is_viewed(
    shape: tuple[int, int], dtype: str, fortran: bool, version: tuple[int, int]
):
    array = np.arange(shape[0] * shape[1]).reshape(shape).astype(dtype)
    held = io.BytesIO()
    np.lib.format.write_array(held, np.asfortranarray(array) if fortran else array, version)
    assert np.array_equal(_array(held.getvalue()), array)
    assert _array(held.getvalue()).dtype == array.dtype


def test_half_floats_are_read_within_their_precision():
    found = standard(read_upload(npy_bytes(MV.astype("f2")), NPY_MV))
    assert np.abs(found.astype(int) - COUNTS).max() <= 1


def test_volts_are_read():
    assert np.array_equal(
        standard(read_upload(npy_bytes(MV / 1000), UploadSettings(fs=500, unit="V", leads=LEADS))), COUNTS
    )


def test_leads_come_in_any_order_and_others_are_passed_over():
    order = [5, 3, *range(6, 12), 0, 1, 2, 4]
    names = ["pleth", *(f"ECG {LEADS[place]}" for place in order)]
    array = np.vstack([COUNTS[:1] * 0, COUNTS[order]])
    sent = UploadSettings(fs=500, unit="uV", leads=tuple(names))
    assert np.array_equal(standard(read_upload(npy_bytes(array), sent)), COUNTS)
    assert np.array_equal(standard(read_upload(csv_bytes(array / 1000, names=names), CSV)), COUNTS)
    assert np.array_equal(standard(read_upload(edf_bytes(array, labels=names), NONE)), COUNTS)
    assert np.array_equal(standard(read_values(packed(array, leads=names))), COUNTS)


def test_missing_samples_stay_missing_where_the_kind_has_a_mark_for_them():
    marked = COUNTS.copy()
    marked[4, 100:103] = -32768
    want = np.where(marked == -32768, np.nan, marked / 1000)
    blank = csv_bytes(want).replace(b"nan", b"")
    for recording in (
        read_upload(npy_bytes(marked), NPY),
        read_upload(npy_bytes(marked.astype(">i4")), NPY),
        read_upload(csv_bytes(want), CSV),
        read_upload(blank, CSV),
        read_upload(edf_bytes(marked), NONE),
        read_values(packed(marked)),
    ):
        assert np.allclose(recording.signal, want, rtol=0, atol=1e-9, equal_nan=True)


# --- tables


def rewritten(**options: Any) -> bytes:
    """The table in another spelling."""
    text = csv_bytes(MV, fs=options.get("fs")).decode()
    for old, new in options.get("spelt", {}).items():
        text = text.replace(old, new)
    return text.encode(options.get("encoding", "utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        rewritten(spelt={",": ";", ".": ","}),
        rewritten(spelt={",": "\t", ".": ","}),
        rewritten(spelt={",": ";"}),
        rewritten(spelt={",": ", "}),
        rewritten(spelt={"\n": "\r\n"}),
        rewritten(spelt={"\n": "\r"}),
        rewritten(spelt={" (mV)": " [mV]"}),
        rewritten(spelt={" (mV)": "(MV)"}),
        rewritten(encoding="utf-8-sig"),
        b"# synthetic\n# by hand\n" + rewritten(),
        rewritten() + b"\n\n",
        rewritten(spelt={"I (mV),II (mV)": '"I (mV)","II (mV)"'}),
        csv_bytes(np.vstack([MV, MV[:1]]), names=[*LEADS, "note"]),
        csv_bytes(np.vstack([np.arange(5000)[None], MV]), names=["sample", *LEADS]),
        csv_bytes(COUNTS, line=",".join(f"{lead} (\u00b5V)" for lead in LEADS)),
        csv_bytes(COUNTS, line=",".join(f"{lead} [uV]" for lead in LEADS)),
    ],
)
def test_a_table_may_be_spelt_in_many_ways(text: bytes):
    assert np.array_equal(standard(read_upload(text, CSV)), COUNTS)


def test_a_unit_that_is_stated_holds_for_columns_without_one():
    text = csv_bytes(COUNTS, line=",".join(LEADS))
    assert np.array_equal(standard(read_upload(text, UploadSettings(fs=500, unit="uV"))), COUNTS)


@pytest.mark.parametrize(
    ("content", "stated"),
    [
        (zip_bytes(HELD), {"fs": 250}),
        (zip_bytes(HELD), {"leads": LEADS[::-1]}),
        (edf_bytes(COUNTS), {"fs": 499.9}),
        (edf_bytes(COUNTS), {"leads": ("I",)}),
        (csv_bytes(MV, fs=500), {"unit": "uV"}),
        (csv_bytes(MV, fs=500), {"leads": ("V6", "I")}),
    ],
)
def test_what_contradicts_the_file_is_refused(content: bytes, stated: dict[str, Any]):
    with pytest.raises(EcgInputError) as refused:
        read_upload(content, UploadSettings(**stated))
    assert refused.value.code == "param_invalid"


def test_what_is_stated_as_the_file_says_it_is_taken():
    for content in (zip_bytes(HELD), edf_bytes(COUNTS)):
        stated = UploadSettings(fs=500, unit="uV", leads=read_upload(content, NONE).names)
        assert same(read_upload(content, stated), read_upload(content, NONE))


def test_an_empty_line_of_a_single_column_is_a_missing_sample():
    """Were it passed over, all that follows would come too early."""
    assert np.array_equal(read_upload(b"I (mV)\n1\n\n2\n", CSV).signal, [[1, np.nan, 2]], equal_nan=True)


@pytest.mark.parametrize(
    ("head", "scale"),
    [("time", 1), ("t", 1), ("Time (s)", 1), ("time_s", 1), ("seconds", 1), ("time_ms", 1e3), ("Time [ms]", 1e3)],
)
@pytest.mark.parametrize("fs", [100, 250, 360, 500, 1000, 257.5])
def test_the_rate_is_that_of_the_column_of_time(head: str, scale: float, fs: float):
    table = np.vstack([np.arange(5000) / fs * scale, MV])
    line = ",".join([head, *(f"{lead} (mV)" for lead in LEADS)])
    assert read_upload(csv_bytes(table, line=line), NONE).fs == pytest.approx(fs, rel=1e-6)


def test_a_time_that_was_rounded_to_milliseconds_is_regular():
    table = np.vstack([np.round(np.arange(5000) / 360, 3), MV])
    line = ",".join(["time", *(f"{lead} (mV)" for lead in LEADS)])
    assert read_upload(csv_bytes(table, line=line), NONE).fs == 360


def test_five_thousand_lines_are_read_at_once():
    text = csv_bytes(MV, fs=500)
    read_upload(text, NONE)  # imports
    start = time.process_time()
    read_upload(text, NONE)
    assert time.process_time() - start < 0.2


# --- EDF


@pytest.mark.parametrize(
    ("span", "digital"),
    [
        ((-32.768, 32.767), (-32768, 32767)),
        ((-10, 10), (-2048, 2047)),
        ((-5, 5), (0, 4095)),
        ((10, -10), (-2048, 2047)),
    ],
)
@pytest.mark.parametrize("record_s", [1, 0.5, 5])
def test_edf_is_read_as_wfdb_and_its_specification_read_it(
    span: tuple[float, float], digital: tuple[int, int], record_s: float, tmp_path: Path
):
    """wfdb's counts to the bit; millivolts within half a count of EDF's equation (its baseline need not be whole)."""
    counts = np.random.default_rng(3).integers(digital[0] + 1, digital[1], (12, 5000), np.int16)
    content = edf_bytes(counts, span=span, digital=digital, record_s=record_s)
    (tmp_path / "r.edf").write_bytes(content)
    theirs = wfdb.io.convert.edf.read_edf(str(tmp_path / "r.edf"))
    gain = np.array(theirs.adc_gain)[:, None]
    baseline = np.array(theirs.baseline)[:, None]
    recording = read_upload(content, NONE)
    assert np.array_equal(recording.counts, np.rint(theirs.p_signal.T * gain + baseline))
    assert (recording.fs, list(recording.names)) == (theirs.fs, theirs.sig_name)
    assert recording.gain[0] == pytest.approx(gain[0, 0])
    assert np.abs(np.array(recording.baseline)[:, None] - baseline).max() <= 1  # wfdb adds 1 and cuts the rest off
    equation = span[0] + (counts.astype(float) - digital[0]) * (span[1] - span[0]) / (digital[1] - digital[0])
    assert np.abs(recording.signal - equation).max() <= 0.5001 / abs(gain[0, 0])


@pytest.mark.parametrize("label", ["ECG {}", "EKG {}", "ecg {}", "{}", "Lead {}", "EKG_{}"])
@pytest.mark.parametrize(("unit", "per_mv"), [("mV", 1), ("uV", 1000), ("\u00b5V", 1000), ("V", 0.001)])
def test_labels_and_units_of_edf(label: str, unit: str, per_mv: float):
    span = (-32.768 * per_mv, 32.767 * per_mv)
    names = [label.format(lead) for lead in LEADS]
    assert np.array_equal(standard(read_upload(edf_bytes(COUNTS, labels=names, unit=unit, span=span), NONE)), COUNTS)


def test_who_the_patient_is_stays_in_the_file():
    content = edf_bytes(COUNTS, fixed={8: "Zylinderkopf", 88: "Zylinderkopf"})
    assert "Zylinder" not in repr((edf_header(content), read_upload(content, NONE)))


# --- sizes


def test_what_is_read_can_be_written_to():
    """torch warns of an array that it may not write to, and an upload's bytes are such."""
    for recording in (
        read_upload(npy_bytes(COUNTS), NPY),
        read_upload(zip_bytes(HELD), NONE),
        read_upload(edf_bytes(COUNTS), NONE),
        read_values(packed(COUNTS)),
    ):
        assert standard(recording).flags.writeable
