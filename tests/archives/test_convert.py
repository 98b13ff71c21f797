"""One file of the manifest becomes one file of records: exact, atomic, and no recording is lost."""

import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from mimic_shaped import LEADS, drawing, measurement, mimic_archive, write_csv

from ecgray.archives import convert, read_manifest
from ecgray.archives.account import settle
from ecgray.archives.convert import DIARIES, Conversion, convert_part
from ecgray.archives.record_file import RecordFile, record_file
from ecgray.errors import ClusterError
from ecgray.parquet import read_table, write_tables
from ecgray.tables import QUARANTINE, RECORDS, ecg_counts
from ecgray.waveform.record import read_recording
from ecgray.waveform.standard import standardise
from ecgray.waveform.write import write_recording

PART = "part-00000.parquet"


def prepare(archive, out, layout="mimic-iv-ecg"):
    write_tables(read_manifest(archive, layout), out / "manifest", rows=512)
    return out / "manifest" / PART


def spoil(archive, rows):
    """Make six of the recordings unreadable, each in its own way; returns the codes expected of rows 1 to 6."""
    at = [archive / row["path"] for row in rows]
    at[1].with_suffix(".hea").unlink()
    header = at[2].with_suffix(".hea").read_text()
    at[2].with_suffix(".hea").write_text(header.replace(".dat 16 ", ".dat 99 "))
    at[3].with_suffix(".hea").write_text("")
    at[4].with_suffix(".hea").write_text(header.replace("40000000.dat", "gone.dat"))
    at[5].with_suffix(".hea").write_text(header.replace(" 500 5000", " 500 6000"))
    rows[6]["path"] = "../elsewhere"
    write_csv(archive / "record_list.csv", rows)
    return ["header_missing", "format_unsupported", "header_empty", "dat_missing", "length_mismatch", "header_path"]


def ids(table):
    return table["record_id"].to_pylist()


@pytest.mark.parametrize("readers", [1, 4])
def test_good_recordings_are_kept_in_order_and_bad_ones_quarantined(tmp_path, readers):
    archive, out = tmp_path / "archive", tmp_path / "out"
    rows = mimic_archive(archive, 200)
    codes = spoil(archive, rows)
    manifest = prepare(archive, out)
    figures = convert_part(manifest, out, Conversion(archive=archive, readers=readers))
    assert figures == {"rows": 200, "records": 194, "quarantined": 6}
    records, refused = read_table(out / "records"), read_table(out / "quarantine")
    assert records.schema.equals(RECORDS)
    assert refused.schema.equals(QUARANTINE)
    assert refused["code"].to_pylist() == codes
    assert ids(refused) == [f"mimic-iv-ecg:{row['study_id']}" for row in rows[1:7]]
    assert ids(records) == [f"mimic-iv-ecg:{row['study_id']}" for row in (rows[0], *rows[7:])]
    assert all(sentence.endswith((".", "?")) for sentence in refused["message"].to_pylist())
    assert pq.ParquetFile(out / "records" / PART).metadata.num_row_groups == 4


def test_stored_counts_are_the_sources_with_the_leads_in_our_order(tmp_path):
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 65)
    convert_part(prepare(archive, out), out, Conversion(archive=archive))
    stored = ecg_counts(read_table(out / "records")["ecg"])
    mimic_order = drawing()
    mimic_order[[4, 5]] = mimic_order[[5, 4]]
    assert (stored == mimic_order).all()
    assert stored.shape == (65, 12, 5000)


def test_what_the_manifest_says_goes_along(tmp_path):
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 3)
    manifest = prepare(archive, out)
    convert_part(manifest, out, Conversion(archive=archive))
    wanted = pq.read_table(manifest).drop_columns(["refused"])
    records = read_table(out / "records")
    assert records.select(wanted.column_names).to_pylist() == wanted.to_pylist()
    assert (records["source_fs"].to_pylist(), records["source_duration_s"].to_pylist()) == ([500] * 3, [10] * 3)


def test_the_recorders_own_interval_checks_the_sampling_rate(tmp_path):
    """The beats are 800 ms apart; a recorder that says 400 ms read another signal, or at another rate."""
    archive, out = tmp_path / "archive", tmp_path / "out"
    rows = mimic_archive(archive, 2)
    stated = [
        measurement(row["subject_id"], row["study_id"], rr_interval=interval)
        for row, interval in zip(rows, ("810", "400"), strict=True)
    ]
    write_csv(archive / "machine_measurements.csv", stated)
    convert_part(prepare(archive, out), out, Conversion(archive=archive))
    flags = read_table(out / "records")["flags"].to_pylist()
    assert ["sampling_rate_suspect" in row for row in flags] == [False, True]


def test_a_committed_part_is_never_done_again(tmp_path):
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 3)
    manifest = prepare(archive, out)
    convert_part(manifest, out, Conversion(archive=archive))
    before = (out / "records" / PART).stat()
    assert convert_part(manifest, out, Conversion(archive=archive))["rows"] == 0
    after = (out / "records" / PART).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_recording_mended_before_the_commit_leaves_the_quarantine(tmp_path):
    archive, out = tmp_path / "archive", tmp_path / "out"
    rows = mimic_archive(archive, 3)
    header = (archive / rows[1]["path"]).with_suffix(".hea")
    content = header.read_bytes()
    header.unlink()
    manifest = prepare(archive, out)
    assert convert_part(manifest, out, Conversion(archive=archive))["quarantined"] == 1
    (out / "records" / PART).unlink()  # as if the job had been killed between the two files
    header.write_bytes(content)
    assert convert_part(manifest, out, Conversion(archive=archive))["quarantined"] == 0
    assert (settle(out)["records"], settle(out)["quarantined"]) == (3, 0)


def test_a_part_that_fails_leaves_no_file(tmp_path):
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 3)
    manifest = pq.read_table(prepare(archive, out))
    with pytest.raises(KeyError), record_file(out / "records" / PART, manifest):
        raise KeyError
    assert list((out / "records").iterdir()) == []


@pytest.mark.parametrize("function", ["load_recording", "decode_recording", "standardise"])
def test_a_fault_of_the_reader_is_quarantined_by_its_type_alone(tmp_path, monkeypatch, function):
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 3)

    def fail(*_args, **_options):
        raise IndexError("Jane Doe, born 1950")

    monkeypatch.setattr(f"ecgray.archives.convert.{function}", fail)
    convert_part(prepare(archive, out), out, Conversion(archive=archive))
    refused = read_table(out / "quarantine").to_pylist()
    assert [row["code"] for row in refused] == ["internal_error"] * 3
    assert refused[0]["message"] == "The reader failed with IndexError; please report this recording."
    assert settle(out)["codes"] == {"internal_error": 3}


CRASH = """
import os, sys
from pathlib import Path
from ecgray.archives import convert
read = convert.load_recording
def load(path):
    if path.name in {"40000003", "40000007"}:
        os._exit(9)  # what the memory monitor or a fault in C does
    return read(path)
convert.load_recording = load
archive, out = Path(sys.argv[1]), Path(sys.argv[2])
attempts = 0
while not os.path.exists(out / "records" / "part-00000.parquet") and attempts < 10:
    attempts += 1
    child = os.fork()
    if not child:
        convert.convert_part(out / "manifest" / "part-00000.parquet", out, convert.Conversion(archive=archive))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_recording_that_kills_its_process_three_times_is_quarantined(tmp_path):
    """One attempt that reads ahead, then three for each of the two recordings that kill, then one that ends."""
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 20)
    prepare(archive, out)
    ran = subprocess.run([sys.executable, "-c", CRASH, archive, out], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == [*["9"] * 7, "0"]
    assert ids(read_table(out / "quarantine")) == ["mimic-iv-ecg:40000003", "mimic-iv-ecg:40000007"]
    assert set(read_table(out / "quarantine")["code"].to_pylist()) == {"reader_crashed"}
    assert settle(out)["records"] == 18
    assert list((out / DIARIES).iterdir()) == []


@pytest.mark.parametrize(("deaths", "quarantined"), [(2, 0), (3, 1)])
def test_a_job_that_is_killed_twice_at_one_recording_costs_it_nothing(tmp_path, deaths, quarantined):
    """Killed by chance: nothing is wrong with the recording that was open."""
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 3)
    manifest = prepare(archive, out)
    (out / DIARIES).mkdir()
    (out / DIARIES / manifest.stem).write_text("-\n0\n1\n" * deaths)
    assert convert_part(manifest, out, Conversion(archive=archive))["quarantined"] == quarantined


def fails_at(name, fault):
    """The system calls, of which `open` fails for one file."""

    def call(path, flags):
        if path.endswith(name):
            raise fault
        return os.open(path, flags)

    return SimpleNamespace(**vars(os) | {"open": call})


@pytest.mark.parametrize("readers", [1, 4])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (OSError(errno.EMFILE, "", "Jane_Doe.hea"), "Too many open files"),
        (OSError(errno.EIO, "", "Jane_Doe.hea"), "Input/output error"),
        (OSError(errno.ESTALE, "", "Jane_Doe.hea"), "Stale file handle"),
        (MemoryError("Jane_Doe"), "no memory was left"),
    ],
)
def test_a_machine_that_fails_ends_the_part_and_costs_no_recording(tmp_path, monkeypatch, fault, reason, readers):
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 20)
    manifest = prepare(archive, out)
    conversion = Conversion(archive=archive, readers=readers)
    with monkeypatch.context() as broken:
        broken.setattr("ecgray.waveform.record.os", fails_at("40000011.hea", fault))
        with pytest.raises(ClusterError, match=rf"row 11 of {PART} .*\({reason}\)") as caught:
            convert_part(manifest, out, conversion)
    assert "Jane" not in str(caught.value)
    assert list((out / "records").iterdir()) == []
    assert not (out / "quarantine").exists()
    assert convert_part(manifest, out, conversion) == {"rows": 20, "records": 20, "quarantined": 0}


@pytest.mark.parametrize("function", ["decode_recording", "standardise"])
@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_machine_that_fails_while_decoding_costs_no_recording(tmp_path, monkeypatch, function, fault):
    """As a full temporary folder does, into which wfdb's formats are copied."""
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 3)

    def fail(*_args, **_options):
        raise fault

    monkeypatch.setattr(f"ecgray.archives.convert.{function}", fail)
    with pytest.raises(ClusterError, match="not held against the recording"):
        convert_part(prepare(archive, out), out, Conversion(archive=archive))
    assert list((out / "records").iterdir()) == []


def test_a_library_that_is_missing_ends_the_part_with_its_name(tmp_path, monkeypatch):
    archive, out = tmp_path / "archive", tmp_path / "out"
    rows = mimic_archive(archive, 3)
    manifest = prepare(archive, out)
    header = (archive / rows[1]["path"]).with_suffix(".hea")
    header.write_text(header.read_text().replace(".dat 16 ", ".flac 516 "))
    (header.parent / "40000000.flac").write_bytes(b"fLaC")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ClusterError, match="libsndfile"):
        convert_part(manifest, out, Conversion(archive=archive))
    assert list((out / "records").iterdir()) == []


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
@pytest.mark.parametrize("after", [0, 5, 19])
def test_an_archive_that_is_unmounted_costs_no_recording(tmp_path, monkeypatch, left, after):
    """Every header after that is missing, and comes back with the archive."""
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 20)
    manifest = prepare(archive, out)
    read = convert.load_recording

    def unmount(path):
        if path.name == f"{40_000_000 + after}":
            archive.rename(tmp_path / "elsewhere")
            if left == "an empty folder":
                archive.mkdir()
        return read(path)

    monkeypatch.setattr(convert, "load_recording", unmount)
    conversion = Conversion(archive=archive, readers=1)
    for _ in range(2):  # and when it is begun without the archive
        with pytest.raises(ClusterError, match=r"archive is gone, empty .*; mount it and run the same command again"):
            convert_part(manifest, out, conversion)
        assert list((out / "records").iterdir()) == []
    if left == "an empty folder":
        archive.rmdir()
    (tmp_path / "elsewhere").rename(archive)
    monkeypatch.setattr(convert, "load_recording", read)
    assert convert_part(manifest, out, conversion)["records"] == 20


def test_a_folder_beneath_the_archives_mount_is_not_the_archive(tmp_path, monkeypatch):
    """It holds something, and lies on another disk."""
    archive, out = tmp_path / "archive", tmp_path / "out"
    rows = mimic_archive(archive, 3)
    (archive / rows[1]["path"]).with_suffix(".hea").unlink()
    manifest = prepare(archive, out)
    disks = iter([1, 2])
    monkeypatch.setattr(convert, "_disk", lambda _archive: next(disks))
    with pytest.raises(ClusterError, match="is gone, empty or unreadable"):
        convert_part(manifest, out, Conversion(archive=archive))


def test_a_disk_that_fails_under_the_output_is_said_in_a_sentence(tmp_path, monkeypatch):
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 3)
    manifest = prepare(archive, out)

    def fail(*_args):
        raise OSError(errno.EIO, "", "x")

    monkeypatch.setattr(RecordFile, "flush", fail)
    with pytest.raises(ClusterError, match=rf"{PART} could not be written \(Input/output error\)"):
        convert_part(manifest, out, Conversion(archive=archive))


def test_a_full_disk_is_said_in_a_sentence_and_the_same_call_goes_on(tmp_path):
    archive, out = tmp_path / "archive", tmp_path / "out"
    mimic_archive(archive, 40)
    prepare(archive, out)
    (out / "records").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", out / "records"], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs privileges")
    try:
        with pytest.raises(ClusterError, match=r"part-00000\.parquet found no space; it takes 5 MB"):
            convert_part(out / "manifest" / PART, out, Conversion(archive=archive))
        assert list((out / "records").iterdir()) == []
    finally:
        subprocess.run(["umount", out / "records"], check=True)
    assert convert_part(out / "manifest" / PART, out, Conversion(archive=archive))["records"] == 40


def settled(tmp_path):
    archive, out = tmp_path / "archive", tmp_path / "out"
    rows = mimic_archive(archive, 20)
    spoil(archive, rows)
    convert_part(prepare(archive, out), out, Conversion(archive=archive))
    return out


def test_the_account_counts_what_is_there(tmp_path):
    figures = settle(settled(tmp_path))
    assert (figures["records"], figures["quarantined"], figures["patients"]) == (14, 6, 8)
    assert sum(figures["splits"].values()) == 14
    assert figures["codes"]["dat_missing"] == 1


def test_the_account_counts_records_with_a_flag_and_not_leads(tmp_path):
    archive, out = tmp_path / "archive", tmp_path / "out"
    rows = mimic_archive(archive, 2)
    flat = drawing()
    flat[6:9] = 0
    write_recording((archive / rows[1]["path"]).parent, rows[1]["study_id"], flat, leads=LEADS)
    convert_part(prepare(archive, out), out, Conversion(archive=archive))
    assert settle(out)["flags"] == {"lead_flat": 1}


@pytest.mark.parametrize("table", ["records", "quarantine"])
def test_the_account_finds_a_recording_that_is_lost_or_doubled(tmp_path, table):
    out = settled(tmp_path)
    path = out / table / PART
    held = pq.read_table(path)
    for wrong in (held.slice(1), held.take([0, *range(held.num_rows)]), held.take([0, 0, *range(2, held.num_rows)])):
        pq.write_table(wrong, path)
        with pytest.raises(ClusterError, match="run the same command again"):
            settle(out)


def test_the_account_finds_a_patient_in_two_splits(tmp_path):
    out = settled(tmp_path)
    path = out / "records" / PART
    held = pq.read_table(path)
    splits = held["split"].to_pylist()
    splits[-1] = "test" if splits[-1] == "train" else "train"
    pq.write_table(held.set_column(held.column_names.index("split"), "split", [splits]), path)
    with pytest.raises(ClusterError, match="two splits"):
        settle(out)


@pytest.mark.real
def test_ludb_is_stored_in_microvolts(real_data, tmp_path):
    """Lead III is II - I in LUDB's counts and nowhere near it by the headers' gains."""
    manifest = prepare(real_data / "ludb", tmp_path, "ludb")
    convert_part(manifest, tmp_path, Conversion(archive=real_data / "ludb", digital=True))
    records = read_table(tmp_path / "records")
    ecg = ecg_counts(records["ecg"]).astype(np.int32)
    assert np.abs(ecg[:, 2] - ecg[:, 1] + ecg[:, 0]).max() <= 1
    assert not any(flag.startswith("lead_identity") for row in records["flags"].to_pylist() for flag in row)


@pytest.mark.real
def test_stored_records_equal_what_the_reader_says(real_data, tmp_path):
    manifest = prepare(real_data / "cpsc2018", tmp_path, "cpsc2018")
    convert_part(manifest, tmp_path, Conversion(archive=real_data / "cpsc2018", readers=3))
    records = read_table(tmp_path / "records")
    stored = ecg_counts(records["ecg"])
    for row, path in enumerate(records["path"].to_pylist()):
        alone = standardise(read_recording(real_data / "cpsc2018" / path))
        assert (stored[row] == alone.counts).all()
        assert records["flags"][row].as_py() == list(alone.flags)
    assert records.num_rows == 106
