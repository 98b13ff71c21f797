"""The review file goes out, is edited in a spreadsheet, and comes back."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgray.errors import ConfigError
from ecgray.text.mapping import Candidate, EntityMapping
from ecgray.text.review import COLUMNS, Opinion, decisions, read_review, write_review
from ecgray.text.spreadsheet import escaped, unescaped

MAPPED = [
    EntityMapping("sinus rhythm", ("sinus rhythm",), "exact"),
    EntityMapping('odd, "quoted" st', (), "unmapped", candidates=(Candidate("st elevation", 0.7, False),)),
    EntityMapping("=cmd|' /c calc'!a0", (), "unmapped", like='odd, "quoted" st'),
    EntityMapping("early r wave transition", ("counterclockwise rotation",), "nearest", 0.77),
    EntityMapping("both st", ("inferior st elevation", "lateral st elevation"), "synonym"),
]
COUNTS = {"sinus rhythm": 9, 'odd, "quoted" st': 3, "=cmd|' /c calc'!a0": 7, "early r wave transition": 5, "both st": 1}


def _edited(content: bytes, decided: dict[str, str], *, separator: str = ",", encoding: str = "utf-8-sig") -> bytes:
    """What a spreadsheet saves after somebody wrote into the column `decision`."""
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS, delimiter=separator, lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {"decision": decided.get(unescaped(row["entity"]), row["decision"])})
    return file.getvalue().encode(encoding)


def test_what_needs_a_look_is_listed_most_frequent_first():
    rows = list(csv.DictReader(io.StringIO(write_review(MAPPED, COUNTS).decode("utf-8-sig"), newline="")))
    assert [row["count"] for row in rows] == ["7", "5", "3", "1"], "what is exact needs no look"
    assert rows[1]["proposed"] == "counterclockwise rotation"
    assert rows[2]["candidates"] == "st elevation 0.70 (guarded)"
    assert rows[0]["like"] == 'odd, "quoted" st'


def test_spreadsheets_see_text_and_no_formula():
    content = write_review(MAPPED, COUNTS)
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.count(b"\r\n") == 5
    assert b"\n=cmd" not in content
    assert b"\n'=cmd" in content
    assert b'"odd, ""quoted"" st"' in content


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_decisions_come_back(tmp_path: Path, separator: str, encoding: str):
    decided = {
        'odd, "quoted" st': "None",
        "=cmd|' /c calc'!a0": " Sinus rhythm ;st elevation",
        "early r wave transition": "",
    }
    file = tmp_path / "review.csv"
    file.write_bytes(_edited(write_review(MAPPED, COUNTS), decided, separator=separator, encoding=encoding))
    opinions = read_review(file)
    assert decisions(opinions) == {
        'odd, "quoted" st': (),
        "=cmd|' /c calc'!a0": ("sinus rhythm", "st elevation"),
    }
    again = write_review(MAPPED, COUNTS, opinions)
    file.write_bytes(again)
    assert read_review(file) == opinions
    assert write_review(MAPPED, COUNTS, read_review(file)) == again


def test_opinions_about_entities_that_nobody_names_now_are_kept(tmp_path: Path):
    opinions = {"sinus rhythm": Opinion(note="why listed?"), "of another archive": Opinion(("st elevation",), "mine")}
    file = tmp_path / "review.csv"
    file.write_bytes(write_review(MAPPED, COUNTS, opinions))
    assert read_review(file) == opinions


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20))
def test_every_cell_survives_the_escape(cell: str):
    safe = escaped(cell)
    assert unescaped(str(safe)) == cell
    assert not str(safe).startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "entity,decision\nqrs thing,lef bundle branch block\n",
            r"line 2: decision 'lef bundle branch block'.*'left bund",
        ),
        ("entity,decision\na,none\na,st elevation\n", "line 3: its entity is decided twice"),
        ("entity;count\na;1\n", "no column 'decision'"),
        ("", "no column 'entity'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(tmp_path: Path, content: str, message: str):
    file = tmp_path / "review.csv"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_review(file)
    assert "qrs thing" not in str(caught.value), "what reports say stays out of messages"


def test_no_file_and_no_text_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no file"):
        read_review(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("entity,decision\n\xe4,none\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="CSV UTF-8"):
        read_review(tmp_path / "latin.csv")
