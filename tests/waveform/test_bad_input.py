"""Every bad WFDB input gets its code or its flag, in under a second, in little memory, and names no patient."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hearts import as_bytes, dat_bytes, header_lines, heart_counts
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgray.errors import EcgInputError
from ecgray.leads import LEADS
from ecgray.waveform.record import parse_recording, read_recording
from ecgray.waveform.standard import StandardEcg, standardise

GOOD = heart_counts()
LINES = header_lines(GOOD)
DAT = dat_bytes(GOOD)
CANARY = "Zylinderkopf"
Files = dict[str, bytes]


def record_line(line: str) -> bytes:
    return as_bytes([line, *LINES[1:]])


def signals(old: str, new: str) -> bytes:
    """Every signal line with `old` replaced by `new`."""
    assert old in LINES[1]
    return as_bytes([LINES[0], *[line.replace(old, new, 1) for line in LINES[1:]]])


def first_file(name: str) -> bytes:
    return as_bytes([LINES[0], LINES[1].replace("r.dat", name, 1), *LINES[2:]])


def of(counts: np.ndarray, **options: object) -> tuple[bytes, Files]:
    return as_bytes(header_lines(counts, **options)), {"r.dat": dat_bytes(counts)}  # type: ignore[arg-type]


def with_rows(**rows: np.ndarray) -> np.ndarray:
    counts = GOOD.copy()
    for lead, row in rows.items():
        counts[LEADS.index(lead)] = row
    return counts


def swapped(one: str, other: str) -> np.ndarray:
    return with_rows(**{one: GOOD[LEADS.index(other)], other: GOOD[LEADS.index(one)]})


HELD = {"r.dat": DAT}
NOISE = np.random.default_rng(1).normal(0, 300, (12, 5000)).astype(np.int16)
NINE = [lead for lead in LEADS if lead not in ("III", "aVR", "aVL", "aVF")]
NINE_ROWS = GOOD[[LEADS.index(lead) for lead in NINE]]
ELEVEN = [lead for lead in LEADS if lead != "V4"]
ELEVEN_ROWS = GOOD[[LEADS.index(lead) for lead in ELEVEN]]
ARMS = with_rows(I=-GOOD[0], II=GOOD[2], III=GOOD[1], aVR=GOOD[4], aVL=GOOD[3])
MIXED = as_bytes([LINES[0], *[line.replace(" 16 ", " 212 ", 1) if n % 2 else line for n, line in enumerate(LINES[1:])]])

REFUSED: dict[str, tuple[bytes, Files, int, str]] = {
    "1 empty header": (b"", HELD, 400, "header_empty"),
    "2 comments only": (b"# Age: 61\n# Sex: F\n", HELD, 400, "header_empty"),
    "3 random bytes": (bytes(np.random.default_rng(0).integers(0, 256, 3000, np.uint8)), HELD, 400, "header_syntax"),
    "4 UTF-16": (as_bytes(LINES).decode().encode("utf-16"), HELD, 400, "header_encoding"),
    "4 UTF-16 without mark": (as_bytes(LINES).decode().encode("utf-16-le"), HELD, 400, "header_encoding"),
    "4 UTF-8 with mark": (b"\xef\xbb\xbf" + as_bytes(LINES), HELD, 400, "header_encoding"),
    "5 200,000 lines": (as_bytes([LINES[0], *LINES[1:] * 16_667]), HELD, 413, "header_too_large"),
    "6 200,000 digits": (record_line(f"r 12 500 {'9' * 200_000}"), HELD, 400, "header_number"),
    "6 30 digits": (record_line(f"r 12 500 {'9' * 30}"), HELD, 400, "header_number"),
    "7 absolute path": (first_file("/etc/passwd"), HELD, 400, "header_path"),
    "8 parent folder": (first_file("../secret.txt"), HELD, 400, "header_path"),
    "9 /proc": (first_file("/proc/self/environ"), HELD, 400, "header_path"),
    "9 /dev/zero": (first_file("/dev/zero"), HELD, 400, "header_path"),
    "10 s3": (first_file("s3://bucket/r.dat"), HELD, 400, "header_path"),
    "10 fsspec chain": (first_file("x::http://127.0.0.1/r.dat"), HELD, 400, "header_path"),
    "11 dot": (first_file("."), HELD, 400, "header_path"),
    "11 two dots": (first_file(".."), HELD, 400, "header_path"),
    "12 NUL": (first_file("r\0.dat"), HELD, 400, "header_path"),
    "12 standard input": (first_file("-"), HELD, 400, "header_path"),
    "12 null signal": (first_file("~"), HELD, 400, "header_path"),
    "13 names itself": (b"r/2 12 500 5000\nr 2500\nr 2500\n", HELD, 400, "multisegment_unsupported"),
    "14 too few segments": (b"r/5 12 500 5000\na 2500\n", HELD, 400, "multisegment_unsupported"),
    "15 fewer lines than signals": (as_bytes(LINES[:-1]), HELD, 400, "header_signal_count"),
    "16 more lines than signals": (as_bytes([*LINES, LINES[-1]]), HELD, 400, "header_signal_count"),
    "17 no signals": (b"r 0 500 5000\n", HELD, 422, "no_signals"),
    "18 a billion signals": (record_line("r 1000000000 500 5000"), HELD, 413, "too_many_signals"),
    "18 65 signals": (as_bytes(["r 65 500 5000", *LINES[1:2] * 65]), HELD, 413, "too_many_signals"),
    "19 5e9 samples": (record_line("r 12 500 5000000000"), HELD, 422, "length_mismatch"),
    "20 100,000 samples a frame": (signals(" 16 ", " 16x100000 "), HELD, 422, "length_mismatch"),
    "20 no sample a frame": (signals(" 16 ", " 16x0 "), HELD, 400, "header_number"),
    "21 skew": (signals(" 16 ", " 16:2000000000 "), HELD, 422, "skew_unsupported"),
    "22 byte offset": (signals(" 16 ", " 16+100000000000 "), HELD, 422, "length_mismatch"),
    "23 no samples": (record_line("r 12 500 0"), HELD, 422, "too_short"),
    "24 minus 5000 samples": (record_line("r 12 500 -5000"), HELD, 400, "header_number"),
    "25 fs 0": (record_line("r 12 0 5000"), HELD, 422, "sampling_rate_invalid"),
    "26 fs -500": (record_line("r 12 -500 5000"), HELD, 400, "header_number"),
    "27 fs nan": (record_line("r 12 nan 5000"), HELD, 400, "header_number"),
    "28 fs 1e3": (record_line("r 12 1e3 5000"), HELD, 422, "sampling_rate_invalid"),
    "28 fs 1e9": (record_line("r 12 1e9 5000"), HELD, 422, "sampling_rate_invalid"),
    "29 fs 12": (record_line("r 12 12 5000"), HELD, 422, "sampling_rate_out_of_range"),
    "29 fs 5001": (record_line("r 12 5001 5000"), HELD, 422, "sampling_rate_out_of_range"),
    "33 gain 1e-300": (signals("1000.0(0)", "1e-300(0)"), HELD, 422, "amplitude_implausible"),
    "33 gain 1e-320": (signals("1000.0(0)", "1e-320(0)"), HELD, 422, "amplitude_implausible"),
    "33 gain 1e999": (signals("1000.0(0)", "1e999(0)"), HELD, 400, "header_number"),
    "33 baseline 2e9": (signals("(0)", "(2000000000)"), HELD, 422, "amplitude_implausible"),
    "35 mmHg": (signals("/mV", "/mmHg"), HELD, 422, "units_unknown"),
    "35 micro sign": (signals("/mV", "/\u00b5V"), HELD, 422, "units_unknown"),
    "36 comma decimal": (signals("1000.0(0)", "1000,0"), HELD, 400, "header_syntax"),
    "37 format 99": (signals(" 16 ", " 99 "), HELD, 415, "format_unsupported"),
    "38 two formats in one file": (MIXED, HELD, 422, "format_mixed"),
    "39 no FLAC": (signals(" 16 ", " 516 "), HELD, 422, "format_mismatch"),
    "40 odd bytes": (as_bytes(LINES), {"r.dat": DAT[:59_499]}, 422, "length_mismatch"),
    "40 one byte short": (as_bytes(LINES), {"r.dat": DAT[:-1]}, 422, "length_mismatch"),
    "41 empty file": (as_bytes(LINES), {"r.dat": b""}, 422, "dat_empty"),
    "41 no file": (as_bytes(LINES), {}, 400, "dat_missing"),
    "43 checksum": (as_bytes(LINES), {"r.dat": DAT[:-2] + b"\x05\x00"}, 422, "checksum_mismatch"),
    "46 a lead twice": (of(GOOD, names=["I", *LEADS[:1], *LEADS[2:]])[0], HELD, 422, "leads_duplicate"),
    "47 no lead named": (of(GOOD, names=[f"ch{n}" for n in range(12)])[0], HELD, 422, "leads_unknown"),
    "49 V4 missing": (*of(ELEVEN_ROWS, names=ELEVEN), 422, "leads_missing"),
    "52 nothing measured": (*of(np.full((12, 5000), -32768, np.int16)), 422, "signal_empty"),
    "53 all leads flat": (*of(np.full((12, 5000), 7, np.int16)), 422, "signal_flat"),
    "55 two seconds": (*of(GOOD[:, :1000]), 422, "too_short"),
    "56 uV sent as mV": (signals("1000.0(0)", "1(0)"), HELD, 422, "amplitude_implausible"),
}

FLAGGED: dict[str, tuple[bytes, Files, str]] = {
    "30 gain 0": (signals("1000.0(0)/mV", "0"), HELD, "gain_defaulted"),
    "31 gain missing, unit stated": (signals("1000.0(0)/mV", "/mV"), HELD, "gain_defaulted"),
    "31 gain missing": (
        as_bytes([LINES[0], *[f"r.dat 16 {lead}" for lead in LEADS]]),
        HELD,
        "gain_defaulted",
    ),
    "32 gain negative": (signals("1000.0(0)", "-1000.0(0)"), HELD, "polarity_inverted:II"),
    "42 twice as long": (as_bytes(LINES), {"r.dat": DAT * 2}, "trailing_data"),
    "44 bad date": (record_line("r 12 500 5000 25:61:61 41/13/2020"), HELD, "date_ignored"),
    "45 date in words": (record_line("r 12 500 5000 05-Feb-2020 11:39:16"), HELD, "date_ignored"),
    "48 eight leads": (*of(NINE_ROWS, names=NINE), "leads_derived"),
    "50 I and II swapped": (*of(swapped("I", "II")), "lead_identity_violation"),
    "50 aVL and aVF swapped": (*of(swapped("aVL", "aVF")), "lead_identity_violation"),
    "51 arms swapped": (*of(ARMS), "possible_limb_reversal"),
    "53 one flat lead": (*of(with_rows(V2=np.zeros(5000, np.int16))), "lead_flat:V2"),
    "55 a minute": (*of(np.tile(GOOD, 6)), "first_10_s"),
    "55 five seconds": (*of(GOOD[:, :2500]), "padded"),
    "58 pure noise": (*of(NOISE), "noise_high:V3"),
    "- a rate of 250 Hz": (*of(GOOD, fs="250"), "resampled"),
    "- no rate": (as_bytes(["r 12", *LINES[1:]]), HELD, "sampling_rate_defaulted"),
    "- a sample not measured": (
        *of(with_rows(V1=np.where(np.arange(5000) == 9, -32768, GOOD[6]))),
        "non_finite_repaired",
    ),
    "- a lead that is cut": (*of(with_rows(V4=np.minimum(GOOD[9], 500))), "clipped:V4"),
    "- a baseline that wanders": (
        *of(with_rows(V6=GOOD[11] + np.linspace(0, 9000, 5000).astype(np.int16))),
        "wander_high:V6",
    ),
}

PLAIN: dict[str, tuple[bytes, Files]] = {
    "good": (as_bytes(LINES), HELD),
    "34 uV": (signals("1000.0(0)/mV", "1(0)/uV"), HELD),
    "44 good date": (record_line("r 12 500 5000 12:30:05.250 01/02/2020"), HELD),
    "59 script in a comment": (as_bytes([*LINES, "# <script>alert(1)</script>"]), HELD),
}


def from_memory(header: bytes, files: Files, folder: Path) -> StandardEcg:
    return standardise(parse_recording(header, files))


def from_disk(header: bytes, files: Files, folder: Path) -> StandardEcg:
    (folder / "r.hea").write_bytes(header)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return standardise(read_recording(folder / "r"))


@pytest.mark.parametrize("read", [from_memory, from_disk])
@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_recording_is_refused_by_its_code(name: str, read: Callable[..., StandardEcg], tmp_path: Path):
    header, files, status, code = REFUSED[name]
    with pytest.raises(EcgInputError) as caught:
        read(header, files, tmp_path)
    assert (caught.value.code, caught.value.status) == (code, status)


@pytest.mark.parametrize("read", [from_memory, from_disk])
@pytest.mark.parametrize("name", FLAGGED)
def test_an_odd_recording_is_flagged(name: str, read: Callable[..., StandardEcg], tmp_path: Path):
    header, files, flag = FLAGGED[name]
    assert flag in read(header, files, tmp_path).flags


@pytest.mark.parametrize("name", PLAIN)
def test_a_good_recording_has_no_flag(name: str, tmp_path: Path):
    ecg = from_memory(*PLAIN[name], tmp_path)
    assert ecg.flags == ()
    assert np.array_equal(ecg.counts, GOOD)


HOSTILE = ("5 ", "6 ", "18 ", "19 ", "20 ", "21 ", "22 ", "33 ", "40 ")


@pytest.mark.parametrize("name", [name for name in REFUSED if name.startswith(HOSTILE)])
def test_a_hostile_header_costs_neither_time_nor_memory(name: str):
    header, files, _, _ = REFUSED[name]
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(EcgInputError, match=r"\w"):
        standardise(parse_recording(header, files))
    seconds = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 64e6


def test_a_lead_that_is_missing_can_be_allowed():
    ecg = standardise(parse_recording(*of(ELEVEN_ROWS, names=ELEVEN)), allow_missing_leads=True)
    assert ecg.flags == ("lead_missing:V4",)
    assert not ecg.counts[LEADS.index("V4")].any()
    assert np.array_equal(np.delete(ecg.counts, LEADS.index("V4"), axis=0), ELEVEN_ROWS)


def test_a_wrong_checksum_can_be_flagged_instead():
    altered = {"r.dat": DAT[:-2] + b"\x05\x00"}
    assert parse_recording(as_bytes(LINES), altered, strict=False).flags == ("checksum_mismatch",)


def test_a_missing_header_is_said(tmp_path: Path):
    with pytest.raises(EcgInputError) as caught:
        read_recording(tmp_path / "none")
    assert (caught.value.code, caught.value.status) == ("header_missing", 400)


def test_no_sentence_holds_words_of_the_recording(tmp_path: Path):
    """Names of patients stand in file names, lead names and comments; none may reach a log."""
    for name, (header, files, _, _) in REFUSED.items():
        marked = header.replace(b"r.dat", CANARY.encode() + b".dat").replace(b"V6", CANARY.encode())
        marked += f"# {CANARY}\n".encode()
        held = {key.replace("r.dat", f"{CANARY}.dat"): content for key, content in files.items()}
        with pytest.raises(EcgInputError) as caught:
            standardise(parse_recording(marked, held))
        assert CANARY not in str(caught.value), name
        assert "/" not in str(caught.value), name
        assert str(caught.value).endswith((".", "?")), name


def outcome(header: bytes, files: Files) -> str:
    """The code of the error, or `read`; any other exception escapes."""
    try:
        standardise(parse_recording(header, files))
    except EcgInputError as error:
        return error.code
    return "read"


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_altered_header_raises_anything_else(data: st.DataObject):
    """Bytes are replaced, dropped and repeated anywhere in a good header; only `EcgInputError` may escape."""
    header = bytearray(as_bytes(LINES))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(header) - 1))
        piece = data.draw(
            st.sampled_from(
                [b"", b"-", b"0", b"99999999999999999999", b"\n", b" ", b"/", b"\0", b"nan", b"1e400", b"x:+"]
            )
            | st.binary(max_size=4)
        )
        header[place : place + data.draw(st.integers(0, 20))] = piece
        header = header or bytearray(b"r")
    assert outcome(bytes(header), HELD)


TOKENS = (
    "16",
    "16x1",
    "16+0",
    "1000",
    "1000/uV",
    "200(5)/mV",
    "(7)",
    "-1e3/mV",
    "0",
    "-3",
    "12",
    "360",
    "2500",
    "V5",
    "x",
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_is_accepted_means_the_same_to_wfdb(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    """One token of a line is replaced: where both read the record, they read the same millivolts."""
    place = data.draw(st.integers(0, 12))
    parts = LINES[place].split(" ")
    parts[data.draw(st.integers(1, len(parts) - 1))] = data.draw(st.sampled_from(TOKENS))
    header = as_bytes([*LINES[:place], " ".join(parts), *LINES[place + 1 :]])
    if outcome(header, HELD) != "read":
        return
    ours = parse_recording(header, HELD)
    folder = tmp_path_factory.mktemp("same")
    (folder / "r.hea").write_bytes(header)
    (folder / "r.dat").write_bytes(DAT)
    theirs = wfdb.rdrecord(str(folder / "r"))
    factors = [{"uv": 1e-3}.get(unit.lower(), 1.0) for unit in theirs.units]
    places = [theirs.sig_name.index(name) for name in ours.names]
    assert ours.fs == theirs.fs
    assert np.allclose(ours.signal, (theirs.p_signal * factors).T[places], rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(format_=st.sampled_from([8, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516, 524]), cut=st.integers(0, 120_000))
def test_no_file_in_another_format_raises_anything_else(format_: int, cut: int):
    header = signals(" 16 ", f" {format_} ")
    assert outcome(header, {"r.dat": DAT[cut:] + DAT * 2}) not in ("header_syntax", "format_unsupported")
