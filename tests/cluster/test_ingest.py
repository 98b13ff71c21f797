"""Ingest on a real local Ray: good and bad recordings together, finished work kept, other settings refused."""

import subprocess

import pyarrow.parquet as pq
import pytest
from mimic_shaped import measurement, mimic_archive, write_csv

from ecgray.archives.manifest import hashed_split
from ecgray.errors import ArchiveError, ClusterError, ConfigError
from ecgray.parquet import read_table
from ecgray.recipes.ingest import INGEST, IngestConfig
from ecgray.tables import MANIFEST, QUARANTINE, RECORDS

pytestmark = pytest.mark.ray


def files(out):
    """Name, inode and time of every file of the tables."""
    tables = [path for name in ("manifest", "records", "quarantine") for path in sorted((out / name).iterdir())]
    return [(path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in tables]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """1,100 recordings of 550 patients in three parts; seven cannot be read, four of which are all of two patients."""
    root = tmp_path_factory.mktemp("archive")
    rows = mimic_archive(root, 1100)
    write_csv(
        root / "machine_measurements.csv",
        [measurement(row["subject_id"], row["study_id"], "Sinus rhythm", "Normal ECG") for row in rows],
    )
    at = {number: root / row["path"] for number, row in enumerate(rows)}
    header = at[1].with_suffix(".hea").read_text()
    at[1].with_suffix(".hea").unlink()
    at[2].with_suffix(".hea").write_text(header.replace(" 500 5000", " nan 5000"))
    at[600].with_suffix(".hea").write_text(header.replace(" 500 5000", " 500 9000"))
    at[601].with_suffix(".hea").write_bytes(b"no header at all")
    at[602].with_suffix(".hea").write_text(header.replace("/mV", "/mmHg"))
    at[603].with_suffix(".hea").write_text(header.replace(" V3", " V2"))
    rows[604]["path"] = "/dev/zero"
    write_csv(root / "record_list.csv", rows)
    return root


@pytest.fixture(scope="module")
def ingested(archive, tmp_path_factory, ray_session):
    from ecgray.cluster.ingest import ingest

    out = tmp_path_factory.mktemp("runs") / "out"
    return out, ingest(IngestConfig(archive=archive, out=out, readers=2))


def test_every_recording_is_in_one_table_and_one_only(archive, ingested):
    out, figures = ingested
    records, refused = read_table(out / "records", ["record_id", "split", "subject_id"]), read_table(out / "quarantine")
    found = records["record_id"].to_pylist() + refused["record_id"].to_pylist()
    assert sorted(found) == [f"mimic-iv-ecg:{40_000_000 + number}" for number in range(1100)]
    assert (figures["records"], figures["quarantined"], figures["patients"]) == (1093, 7, 548)
    assert figures["records_per_s"] > 0
    assert figures["codes"] == {
        "header_missing": 1,
        "header_number": 1,
        "length_mismatch": 1,
        "header_syntax": 1,
        "units_unknown": 1,
        "leads_duplicate": 1,
        "header_path": 1,
    }


def test_tables_are_what_tables_py_says(ingested):
    out, _ = ingested
    for name, schema in (("manifest", MANIFEST), ("records", RECORDS), ("quarantine", QUARANTINE)):
        parts = sorted((out / name).iterdir())
        assert all(pq.read_schema(part).equals(schema) for part in parts)
    assert [pq.read_metadata(part).num_rows for part in sorted((out / "manifest").iterdir())] == [512, 512, 76]
    assert [path.name for path in sorted((out / "records").iterdir())] == [f"part-{n:05d}.parquet" for n in range(3)]


def test_patients_are_split_by_their_ids_alone(ingested):
    out, figures = ingested
    from ecgray.archives import Shares

    records = read_table(out / "records", ["split", "subject_id"])
    subjects = records["subject_id"].combine_chunks()
    assert records["split"].to_pylist() == hashed_split(subjects, Shares()).to_pylist()
    assert figures["splits"] == {split: records["split"].to_pylist().count(split) for split in figures["splits"]}


def test_the_same_settings_again_compute_nothing(archive, ingested):
    from ecgray.cluster.ingest import ingest

    out, figures = ingested
    before = files(out)
    assert ingest(IngestConfig(archive=archive, out=out, readers=2)) == figures
    assert files(out) == before


def test_a_part_that_is_lost_is_done_again_and_no_other(archive, ingested):
    from ecgray.cluster.ingest import ingest

    out, figures = ingested
    before = files(out)
    (out / "records" / "part-00001.parquet").unlink()
    (out / "figures.json").unlink()
    again = ingest(IngestConfig(archive=archive, out=out, readers=2))
    assert again | {"records_per_s": 0} == figures | {"records_per_s": 0}
    changed = [new for old, new in zip(before, files(out), strict=True) if old != new]
    assert [name for name, _, _ in changed] == ["part-00001.parquet"] * 2  # of the records and of the quarantine


def test_other_settings_are_refused_in_the_same_folder(archive, ingested):
    from ecgray.cluster.ingest import ingest

    out, _ = ingested
    with pytest.raises(ConfigError, match=r"differs in test_percent.*Give another --out"):
        ingest(IngestConfig(archive=archive, out=out, readers=2, test_percent=20))


def test_an_archive_that_cannot_be_read_leaves_no_folder(tmp_path, ray_session):
    from ecgray.cluster.ingest import ingest

    with pytest.raises(ConfigError, match="is no folder"):
        ingest(IngestConfig(archive=tmp_path / "nowhere", out=tmp_path / "out"))
    with pytest.raises(ArchiveError, match="laid out like no archive that is known"):
        ingest(IngestConfig(archive=tmp_path, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_too_small_is_said_before_work_begins(tmp_path, ray_session, monkeypatch):
    from ecgray.cluster import ingest as stage

    mimic_archive(tmp_path / "archive", 3)
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100_000})())
    with pytest.raises(ClusterError, match=r"0\.0 GB free and 3 recordings take 0\.0 GB"):
        stage.ingest(IngestConfig(archive=tmp_path / "archive", out=tmp_path / "out"))


def test_a_full_disk_ends_the_job_with_a_sentence(tmp_path, ray_session, monkeypatch):
    from ecgray.cluster import ingest as stage

    mimic_archive(tmp_path / "archive", 60)
    records = tmp_path / "out" / "records"
    records.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", records], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs privileges")
    config = IngestConfig(archive=tmp_path / "archive", out=tmp_path / "out")
    try:
        with pytest.raises(ClusterError, match="found no space"):
            stage.ingest(config)
    finally:
        subprocess.run(["umount", records], check=True)
    assert stage.ingest(config)["records"] == 60


def test_no_recipe_limits_an_archive():
    """Recipes differ in how many threads open files: what is read is what --archive names."""
    plain = vars(IngestConfig())
    differ = {name for recipe in INGEST.values() for name, value in vars(recipe).items() if value != plain[name]}
    assert differ == {"readers"}
