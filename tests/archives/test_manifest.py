"""Ids are unique, patients stand in one split, nothing that is listed is lost."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgray.archives.manifest import Listing, Shares, build_manifest, hashed_split
from ecgray.errors import ArchiveError, ConfigError
from ecgray.tables import MANIFEST


def listing(**columns):
    return Listing(columns={name: pa.array(values, pa.string()) for name, values in columns.items()})


def built(**columns):
    columns = {"record_id": ["1", "2"], "path": ["a/1", "a/2"]} | columns
    return build_manifest("csn", listing(**columns), Shares()).to_pydict()


def test_columns_that_the_source_lacks_are_empty():
    manifest = build_manifest("csn", listing(record_id=["1"], path=["1"]), Shares())
    assert manifest.schema.equals(MANIFEST)
    assert manifest.to_pylist()[0] == dict.fromkeys(MANIFEST.names) | {
        "record_id": "csn:1",
        "subject_id": "csn:1",
        "split": "train",
        "report": "",
        "codes": [],
        "source": "csn",
        "path": "1",
    }


def test_a_repeated_id_is_kept_refused_and_with_its_patient():
    manifest = built(record_id=["7", "7"])
    assert manifest["record_id"] == ["csn:7", "csn:7#2"]
    assert manifest["subject_id"] == ["csn:7", "csn:7"]
    assert manifest["refused"] == [None, "duplicate_id"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret", "a/../../b", "", "a\x00b", "a\nb"])
def test_a_path_that_leads_out_of_the_archive_is_refused(path):
    assert built(path=["a/1", path])["refused"] == [None, "header_path"]


@pytest.mark.parametrize("path", ["a..b/c", "Gr\u00f6\u00dfe/1 2", "s:1/x", "~/x"])
def test_an_odd_path_within_the_archive_is_not(path):
    assert built(path=["a/1", path])["refused"] == [None, None]


def test_a_row_that_cannot_be_taken_apart_is_kept_and_refused():
    source = listing(record_id=["1"], path=["1"])
    manifest = build_manifest("csn", Listing(columns=source.columns, malformed_rows=2), Shares()).to_pydict()
    assert manifest["record_id"] == ["csn:1", "csn:malformed-row-1", "csn:malformed-row-2"]
    assert manifest["refused"] == [None, "row_malformed", "row_malformed"]


def test_a_patient_in_two_official_splits_fails_the_archive():
    with pytest.raises(ArchiveError, match="1 patients of the archive stand in two splits"):
        built(subject_id=["p", "p"], split=["train", "test"])


def test_an_empty_archive_is_an_error():
    with pytest.raises(ArchiveError, match="no recording as csn"):
        build_manifest("csn", listing(record_id=[], path=[]), Shares())


def test_hashed_splits_never_change():
    """Golden: another hash, or another use of it, would move patients between the splits of tables already made."""
    names = pa.array([f"mimic-iv-ecg:{number}" for number in range(10_000_000, 10_000_040)])
    drawn = hashed_split(names, Shares()).to_pylist()
    assert [place for place, split in enumerate(drawn) if split == "val"] == [2]
    assert [place for place, split in enumerate(drawn) if split == "test"] == [14, 16, 21, 23, 24, 26, 34]
    assert hashed_split(names, Shares(val_percent=0, test_percent=0)).to_pylist() == ["train"] * 40


def test_the_page_says_how_patients_are_drawn():
    """The share of test patients from which `csn:JS00001` is one, as docs/archives.md has it."""
    page = (Path(__file__).parents[2] / "docs" / "archives.md").read_text()
    name = pa.array(["csn:JS00001"])
    drawn = [hashed_split(name, Shares(test_percent=share, val_percent=0)).to_pylist() for share in range(100)]
    assert f"`csn:JS00001` gives {drawn.index(['test']) - 1}" in page


def test_shares_are_kept_to():
    names = pa.array([f"p{number}" for number in range(20_000)])
    drawn = hashed_split(names, Shares(val_percent=5, test_percent=20)).to_pylist()
    assert drawn.count("val") / 200 == pytest.approx(5, abs=0.5)
    assert drawn.count("test") / 200 == pytest.approx(20, abs=1)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30))
def test_a_patients_records_share_a_split(patients):
    own = [str(number) for number in range(len(patients))]
    manifest = build_manifest("csn", listing(record_id=own, path=own, subject_id=patients), Shares())
    pairs = set(zip(manifest["subject_id"].to_pylist(), manifest["split"].to_pylist(), strict=True))
    assert len(pairs) == len(set(patients))


@pytest.mark.parametrize(("val", "test"), [(-1, 10), (50, 50), (0, 100)])
def test_shares_leave_someone_to_train_on(val, test):
    with pytest.raises(ConfigError, match="leave no patient to train on"):
        Shares(val_percent=val, test_percent=test)
