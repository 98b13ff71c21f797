"""Signal files to counts, with wfdb as the oracle: equal to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from hearts import as_bytes, dat_bytes, header_lines, heart_counts
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgray.errors import EcgInputError
from ecgray.waveform.decode import MISSING, decode
from ecgray.waveform.header import Header, parse_header
from ecgray.waveform.record import parse_recording, read_recording

GOOD = heart_counts(duration_s=3)


def load(path: Path) -> tuple[Header, dict[str, bytes]]:
    header = parse_header(path.with_suffix(".hea").read_bytes())
    return header, {name: (path.parent / name).read_bytes() for name in {signal.file for signal in header.signals}}


@pytest.mark.real
@pytest.mark.parametrize(
    ("archive", "records"),
    [
        ("ptbxl", 354),
        ("ptbxl_cinc2021_format", 9),
        ("cpsc2018", 106),
        ("chapman_shaoxing_ningbo", 16),
        ("georgia", 13),
        ("ludb/data", 140),
        ("ptbdb", 1),
    ],
)
def test_counts_equal_wfdbs_to_the_bit(archive: str, records: int, real_data: Path):
    headers = sorted((real_data / archive).rglob("*.hea"))
    assert len(headers) == records
    for path in headers:
        counts, flags = decode(*load(path))
        theirs = wfdb.rdrecord(str(path.with_suffix("")), physical=False).d_signal
        assert counts.dtype == np.int16
        assert np.array_equal(counts, theirs.T)
        assert flags == ()


@pytest.mark.real
@pytest.mark.parametrize("record", ["ptbdb/s0010_re", "ludb/data/1", "cpsc2018/A0001", "mitdb/100"])
def test_millivolts_equal_wfdbs(record: str, real_data: Path):
    recording = read_recording(real_data / record)
    theirs = wfdb.rdrecord(str(real_data / record))
    places = [theirs.sig_name.index(name) for name in recording.names]
    assert np.allclose(recording.signal, theirs.p_signal.T[places], rtol=1e-12, atol=1e-12)


@pytest.mark.real
def test_two_files_and_leads_that_are_none(real_data: Path):
    """PTB's s0010_re: twelve leads in one file, three Frank leads in another, which are passed over."""
    recording = read_recording(real_data / "ptbdb" / "s0010_re")
    assert recording.names == ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
    assert (recording.fs, recording.counts.shape) == (1000, (12, 38400))


@pytest.mark.real
def test_format_212_goes_through_wfdb(real_data: Path):
    """MIT-BIH 100: two leads, of which one is one of the twelve; the sum of both is checked."""
    header, files = load(real_data / "mitdb" / "100")
    counts, _ = decode(header, files)
    theirs = wfdb.rdrecord(str(real_data / "mitdb" / "100"), physical=False).d_signal
    assert np.array_equal(counts, theirs.T)
    assert read_recording(real_data / "mitdb" / "100").names == ("V5",)


@settings(max_examples=40, deadline=None)
@given(
    leads=st.integers(1, 5),
    frames=st.integers(1, 40),
    offset=st.integers(0, 30),
    per_frame=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_format_16_equals_wfdbs_for_every_layout(
    leads: int, frames: int, offset: int, per_frame: int, seed: int, tmp_path_factory: pytest.TempPathFactory
):
    rng = np.random.default_rng(seed)
    counts = rng.integers(-32768, 32768, (frames, leads, per_frame)).astype("<i2")
    lines = [f"r {leads} 500 {frames}"]
    for position, total in enumerate(counts.sum(axis=(0, 2), dtype=np.int64)):
        checksum = int(total) % 65536 - (65536 if rng.random() < 0.5 else 0)  # signed or not
        lines.append(f"r.dat 16x{per_frame}+{offset} 200 16 0 {counts[0, position, 0]} {checksum} 0 s{position}")
    folder = tmp_path_factory.mktemp("layout")
    (folder / "r.hea").write_bytes(as_bytes(lines))
    (folder / "r.dat").write_bytes(bytes(offset) + counts.tobytes())
    ours, _ = decode(*load(folder / "r"))
    theirs = wfdb.rdrecord(str(folder / "r"), physical=False, smooth_frames=False).e_d_signal
    assert np.array_equal(ours, np.stack(theirs))


@pytest.mark.parametrize(("format_", "bits"), [("80", 8), ("212", 12), ("16", 16), ("24", 24), ("32", 32), ("516", 16)])
def test_every_format_that_wfdb_writes_comes_back(format_: str, bits: int, tmp_path: Path):
    top = 2 ** (min(bits, 20) - 1) - 1
    counts = np.random.default_rng(0).integers(-top, top, (1500, 12))
    wfdb.wrsamp(
        "r",
        fs=500,
        units=["mV"] * 12,
        sig_name=["I", "II", "III", "aVR", "aVL", "aVF", *[f"V{n}" for n in range(1, 7)]],
        d_signal=counts,
        fmt=[format_] * 12,
        adc_gain=[1e5] * 12,
        baseline=[0] * 12,
        write_dir=str(tmp_path),
    )
    assert np.array_equal(read_recording(tmp_path / "r").counts, counts.T)


@pytest.mark.parametrize(("format_", "missing"), [("80", -128), ("212", -2048), ("16", -32768), ("24", -(2**23))])
def test_the_count_for_missing_is_nan_in_every_format(format_: str, missing: int, tmp_path: Path):
    counts = np.zeros((1500, 1), np.int64)
    counts[7] = missing
    wfdb.wrsamp(
        "r",
        fs=500,
        units=["mV"],
        sig_name=["I"],
        d_signal=counts,
        fmt=[format_],
        adc_gain=[100],
        baseline=[0],
        write_dir=str(tmp_path),
    )
    assert np.flatnonzero(np.isnan(read_recording(tmp_path / "r").signal[0])).tolist() == [7]


def test_differences_of_format_8_start_at_the_initial_value():
    """WFDB's format 8 stores first differences; the header's initial value is where they start."""
    steps = np.array([0, 1, 2, -3, 100, -100] * 300, np.int8)
    header = f"r 1 500 {len(steps)}\nr.dat 8 200 0 0 50 {(50 + np.cumsum(steps)).sum() % 65536} 0 I\n".encode()
    recording = parse_recording(header, {"r.dat": steps.tobytes()})
    assert recording.counts[0].tolist() == (50 + np.cumsum(steps, dtype=int)).tolist()


def test_signals_of_other_rates_are_passed_over_when_they_are_no_leads():
    """A pulse wave beside the leads, four samples a frame: the leads are read at their own rate."""
    frames = np.random.default_rng(0).integers(-900, 900, (1500, 6)).astype("<i2")
    lines = ["r 3 500 1500", "r.dat 16 200 16 0 0", "r.dat 16x4 200 16 0 0", "r.dat 16 200 16 0 0"]
    names = ["I", "Pleth", "II"]
    header = as_bytes(
        [
            lines[0],
            *[
                f"{line} {total} 0 {name}"
                for line, total, name in zip(
                    lines[1:], [frames[:, :1].sum(), frames[:, 1:5].sum(), frames[:, 5].sum()], names, strict=True
                )
            ],
        ]
    )
    recording = parse_recording(header, {"r.dat": frames.tobytes()})
    assert recording.names == ("I", "II")
    assert np.array_equal(recording.counts, frames[:, [0, 5]].T)


def test_a_file_without_a_lead_is_not_needed(tmp_path: Path):
    lines = header_lines(GOOD)
    (tmp_path / "r.hea").write_bytes(as_bytes(["r 13 500 1500", *lines[1:], "r.xyz 16 200 16 0 0 0 0 vx"]))
    (tmp_path / "r.dat").write_bytes(dat_bytes(GOOD))
    assert np.array_equal(read_recording(tmp_path / "r").counts, GOOD)


def test_leads_of_different_rates_are_refused():
    header = as_bytes(["r 2 500 1500", "r.dat 16 200 16 0 0 0 0 I", "r.dat 16x2 200 16 0 0 0 0 II"])
    with pytest.raises(EcgInputError) as caught:
        parse_recording(header, {"r.dat": bytes(9000)})
    assert caught.value.code == "frames_mixed"


def test_more_samples_a_frame_mean_a_higher_rate():
    counts = np.arange(6000, dtype="<i2")
    header = f"r 1 250 3000\nr.dat 16x2 200 16 0 0 {int(counts.sum(dtype=np.int64)) % 65536} 0 I\n".encode()
    recording = parse_recording(header, {"r.dat": counts.tobytes()})
    assert recording.fs == 500
    assert np.array_equal(recording.counts[0], counts)


def test_the_length_follows_from_the_file_where_the_header_is_silent():
    lines = header_lines(GOOD)
    recording = parse_recording(as_bytes(["r 12 500", *lines[1:]]), {"r.dat": dat_bytes(GOOD)})
    assert np.array_equal(recording.counts, GOOD)


@pytest.mark.parametrize("shift", [0, -65536, 65536])
def test_checksums_are_compared_modulo_65536(shift: int):
    lines = header_lines(GOOD)
    parts = lines[3].split()
    parts[6] = str(int(parts[6]) + shift)
    header = as_bytes([*lines[:3], " ".join(parts), *lines[4:]])
    assert np.array_equal(parse_recording(header, {"r.dat": dat_bytes(GOOD)}).counts, GOOD)


@settings(max_examples=50, deadline=None)
@given(place=st.integers(0, GOOD.size - 1), step=st.integers(1, 65535))
def test_one_altered_sample_is_found(place: int, step: int):
    altered = GOOD.T.reshape(-1).astype(np.int64)
    altered[place] = (altered[place] + step + 32768) % 65536 - 32768
    with pytest.raises(EcgInputError) as caught:
        parse_recording(as_bytes(header_lines(GOOD)), {"r.dat": altered.astype("<i2").tobytes()})
    assert caught.value.code == "checksum_mismatch"


def test_digital_counts_are_millivolts_by_1000():
    """LUDB's header gains are each lead's own peak-to-peak; its counts are microvolts."""
    lines = [line.replace("1000.0(0)", f"{700 + 50 * n}({n})") for n, line in enumerate(header_lines(GOOD))]
    recording = parse_recording(as_bytes(lines), {"r.dat": dat_bytes(GOOD)}, digital=True)
    assert np.array_equal(recording.signal, GOOD / 1000)


def test_nan_marks_a_missing_sample():
    counts = GOOD.copy()
    counts[4, 5] = MISSING
    recording = parse_recording(as_bytes(header_lines(counts)), {"r.dat": dat_bytes(counts)})
    assert np.argwhere(np.isnan(recording.signal)).tolist() == [[4, 5]]
