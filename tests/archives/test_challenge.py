"""Headers of the PhysioNet Challenges, with what their comments leave open."""

import os
from types import SimpleNamespace

import pytest

from ecgray.archives import comments as reader
from ecgray.archives import detect, manifest_notes, read_manifest
from ecgray.errors import ArchiveError

HEADER = "A0001 1 500 5000\nA0001.mat 16+24 1000/mV 16 0 28 -1716 0 I\n"


def write(root, name, *comments):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / f"{name}.hea").write_text(HEADER + "".join(f"{comment}\n" for comment in comments))


def test_comments_with_and_without_a_blank(tmp_path):
    write(tmp_path, "A0001", "#Age: 74", "#Sex: Male", "#Dx: RBBB, AF")
    write(tmp_path, "A0002", "# Age: NaN", "# Sex: Unknown", "# Dx: 59118001,164889003,59118001")
    write(tmp_path, "A0003", "#Age: -1", "#sex: f", "#Dx: Unknown")
    write(tmp_path, "A0004")
    rows = read_manifest(tmp_path, detect(tmp_path)).to_pylist()
    assert [(row["age"], row["sex"]) for row in rows] == [(74, "M"), (None, None), (None, "F"), (None, None)]
    assert [row["codes"] for row in rows] == [["cpsc:RBBB", "cpsc:AF"], ["snomed:59118001", "snomed:164889003"], [], []]


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (["g1/A0001", "g2/A0002"], "cpsc2018"),
        (["WFDBRecords/01/010/JS00001"], "csn"),
        (["E00001"], "georgia"),
        (["A0001", "JS00001"], "wfdb"),
        (["HR06001"], "wfdb"),
    ],
)
def test_a_layout_is_known_by_its_names(tmp_path, names, layout):
    for name in names:
        write(tmp_path, name)
    assert detect(tmp_path) == layout


def test_a_stray_header_does_not_change_the_layout_without_a_word(tmp_path):
    """The same folder would read as wfdb, with other ids and other codes."""
    for name in ("g1/A0001", "g1/A0002", "g1/notes"):
        write(tmp_path, name)
    with pytest.raises(ArchiveError, match=r"2 of the 3 headers .* as those of cpsc2018 .*--layout cpsc2018"):
        detect(tmp_path)


def test_a_linked_folder_is_read_once_and_a_loop_ends(tmp_path):
    archive, elsewhere = tmp_path / "archive", tmp_path / "elsewhere"
    write(archive, "g2/A0001")
    write(elsewhere, "deep/A0002")
    (archive / "linked").symlink_to(elsewhere)
    (archive / "a_second_way").symlink_to(archive / "g2")
    (archive / "g2" / "loop").symlink_to(archive)
    (elsewhere / "back").symlink_to(elsewhere)
    assert read_manifest(archive, "cpsc2018")["path"].to_pylist() == ["g2/A0001", "linked/deep/A0002"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    """Its recordings would be missing from the manifest, and nobody would know. (Tests run as root, who reads all.)"""
    write(tmp_path, "g1/A0001")
    write(tmp_path, "Jane_Doe/A0002")
    scan = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("Jane_Doe"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ArchiveError, match=r"cannot be read \(Permission denied\)") as caught:
        read_manifest(tmp_path, "cpsc2018")
    assert "Jane" not in str(caught.value)


def test_headers_in_capitals_are_counted(tmp_path):
    """The reader asks for .hea alone."""
    write(tmp_path, "A0001")
    (tmp_path / "A0002.HEA").write_text(HEADER)
    manifest = read_manifest(tmp_path, "cpsc2018")
    assert manifest["record_id"].to_pylist() == ["cpsc2018:A0001"]
    assert manifest_notes(manifest.schema) == {"headers_not_named_hea": 1}


def test_headers_wait_in_windows(tmp_path, monkeypatch):
    """An archive has a million: no more than a window of them may be handed to the threads at a time."""
    for number in range(1, 8):
        write(tmp_path, f"A000{number}", f"#Age: {number}")
    sizes = []

    class Readers(reader.ThreadPoolExecutor):
        def map(self, function, paths):
            sizes.append(len(paths))
            return super().map(function, paths)

    monkeypatch.setattr(reader, "ThreadPoolExecutor", Readers)
    monkeypatch.setattr(reader, "_WINDOW", 3)
    assert read_manifest(tmp_path, "cpsc2018")["age"].to_pylist() == [1, 2, 3, 4, 5, 6, 7]
    assert sizes == [3, 3, 1]


def test_reading_headers_shows_a_bar_where_it_takes_long(tmp_path, monkeypatch, capsys):
    write(tmp_path, "A0001")
    read_manifest(tmp_path, "cpsc2018")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(reader, "_PATIENCE_S", 0)
    read_manifest(tmp_path, "cpsc2018")
    assert "headers: 100%" in capsys.readouterr().err


def test_a_machine_that_fails_costs_no_header_its_comments(tmp_path, monkeypatch):
    write(tmp_path, "A0001", "#Age: 74")

    def fail(*_args):
        raise OSError(24, "Too many open files", "Jane_Doe.hea")

    monkeypatch.setattr("ecgray.waveform.record.os", SimpleNamespace(**vars(os) | {"open": fail}))
    with pytest.raises(ArchiveError, match=r"\(Too many open files\)") as caught:
        read_manifest(tmp_path, "cpsc2018")
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_an_archive_that_is_unmounted_while_headers_are_read_is_an_error(tmp_path, monkeypatch, left):
    archive = tmp_path / "archive"
    write(archive, "A0001", "#Age: 74")
    read = reader.read_file

    def unmount(path, limit):
        archive.rename(tmp_path / "elsewhere")
        if left == "an empty folder":
            archive.mkdir()
        return read(path, limit)

    monkeypatch.setattr(reader, "read_file", unmount)
    with pytest.raises(ArchiveError, match="archive is gone or empty since it was listed"):
        read_manifest(archive, "cpsc2018")


def test_the_id_is_the_name_and_a_name_met_twice_is_refused(tmp_path):
    write(tmp_path, "g1/A0001")
    write(tmp_path, "g2/A0001")
    rows = read_manifest(tmp_path, "cpsc2018").to_pylist()
    assert [(row["record_id"], row["path"], row["refused"]) for row in rows] == [
        ("cpsc2018:A0001", "g1/A0001", None),
        ("cpsc2018:A0001#2", "g2/A0001", "duplicate_id"),
    ]


def test_any_tree_names_recordings_by_their_path(tmp_path):
    write(tmp_path, "g1/A0001", "# Dx: AF")
    write(tmp_path, "g2/A0001")
    write(tmp_path, ".hidden/A0003")
    rows = read_manifest(tmp_path, "wfdb").to_pylist()
    assert [row["record_id"] for row in rows] == ["wfdb:g1/A0001", "wfdb:g2/A0001"]
    assert rows[0]["codes"] == ["dx:AF"]


def test_a_header_that_cannot_be_read_is_listed_all_the_same(tmp_path):
    write(tmp_path, "A0001")
    (tmp_path / "A0002.hea").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "A0003.hea").mkdir()
    assert read_manifest(tmp_path, "cpsc2018")["record_id"].to_pylist()[:2] == ["cpsc2018:A0001", "cpsc2018:A0002"]


def test_a_name_that_is_no_text_stops_nothing(tmp_path):
    write(tmp_path, "A0001")
    try:
        (tmp_path / b"caf\xe9.hea".decode("utf-8", "surrogateescape")).write_text(HEADER)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert read_manifest(tmp_path, "wfdb")["path"].to_pylist() == ["A0001", "caf\\xe9"]
