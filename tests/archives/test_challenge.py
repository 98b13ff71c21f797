"""Headers of the PhysioNet Challenges, with what their comments leave open."""

import pytest

from ecgray.archives import detect, read_manifest

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
