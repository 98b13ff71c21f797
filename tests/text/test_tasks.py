"""Zero-shot tasks: their classes are those of the archives, their truth that of the published labels."""

from __future__ import annotations

import ast
import collections
import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecgray.errors import ConfigError
from ecgray.recipes.demo import UNSEEN
from ecgray.text.tasks import TASKS, Class, Task, load_task
from ecgray.text.terms import TERMS

DEMO = """
    normal ecg; sinus rhythm; sinus bradycardia; sinus tachycardia; sinus arrhythmia; atrial fibrillation;
    atrial flutter; supraventricular tachycardia; premature atrial complex; premature ventricular complex;
    first degree av block; second degree av block; third degree av block; left bundle branch block;
    right bundle branch block; incomplete left bundle branch block; incomplete right bundle branch block;
    left anterior fascicular block; left ventricular hypertrophy; right ventricular hypertrophy;
    left axis deviation; right axis deviation; anterior st elevation; inferior st elevation; lateral st elevation;
    anterior st depression; inferior st depression; lateral st depression; inferior myocardial infarction;
    anteroseptal myocardial infarction; anterior t wave inversion; inferior t wave inversion;
    lateral t wave inversion; long qt interval; short qt interval; short pr interval; left atrial enlargement;
    right atrial enlargement; early repolarization; low qrs voltage; paced rhythm; ventricular preexcitation
"""
DEMO_TERMS = [" ".join(name.split()) for name in DEMO.split(";")]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _split_rows(folder: Path) -> Iterator[dict[str, str]]:
    for path in sorted(folder.glob("*_*.csv")):
        yield from _rows(path)


def test_the_six_public_sets_have_106_classes():
    sizes = {name: len(task.classes) for name, task in TASKS.items()}
    assert sizes["ptbxl-super"], sizes["ptbxl-sub"] == (5, 23)
    assert (sizes["ptbxl-form"], sizes["ptbxl-rhythm"], sizes["cpsc2018"]) == (19, 12, 9)
    assert sizes["csn-exact"] == sizes["csn-merl"] == 38
    assert sum(size for name, size in sizes.items() if name[:4] in ("ptbx", "cpsc") or name == "csn-exact") == 106


def test_names_and_queries_are_clean():
    for task in TASKS.values():
        names = [each.name for each in task.classes]
        assert len(set(names)) == len(names)
        for each in task.classes:
            assert each.query == each.query.lower() == each.query.strip() != ""
            assert each.query.isascii()
            assert each.codes


def test_queries_differ_within_a_task():
    for task in TASKS.values():
        queries = [each.query for each in task.classes]
        assert len(set(queries)) == len(queries), task.name


def test_the_demo_asks_for_its_42_conditions():
    assert [each.name for each in TASKS["demo"].classes] == [
        *[term for term in DEMO_TERMS if term not in UNSEEN],
        *[term for term in DEMO_TERMS if term in UNSEEN],
    ]
    assert {each.name for each in TASKS["demo-unseen"].classes} == set(UNSEEN)
    assert len(UNSEEN) == 5
    assert len(set(DEMO_TERMS)) == 42
    assert set(DEMO_TERMS) <= set(TERMS)
    assert TASKS["demo-unseen"].truth(["demo:sinus rhythm", "demo:inferior st depression"]) is not None
    assert not any(TASKS["demo-unseen"].truth(["demo:sinus rhythm"]) or (True,))


def test_who_takes_part():
    assert TASKS["ptbxl-form"].truth(["scp:NORM", "scp:SR"]) is None, "holds no form statement"
    assert TASKS["cpsc2018"].truth([]) is None, "nobody says"
    assert TASKS["csn-exact"].truth(["snomed:426783006", "snomed:1"]) is None, "a code outside the archive's table"
    assert TASKS["csn-exact"].truth(["snomed:426177001"]) is None, "sinus bradycardia is none of the 38"
    assert sum(TASKS["csn-exact"].truth(["snomed:426783006"]) or ()) == 1


def test_the_substring_rule_of_the_public_csn_labels():
    def names(task: str, code: str) -> list[str]:
        holds = TASKS[task].truth([f"snomed:{code}"]) or ()
        return sorted(each.name for each, true in zip(TASKS[task].classes, holds, strict=True) if true)

    assert names("csn-merl", "270492004") == ["1AVB", "AVB", "VB"]
    assert names("csn-exact", "270492004") == ["1AVB"]
    assert names("csn-merl", "251146004") == ["SA"], "low voltage in all leads: LVQRSAL holds the letters SA"


def test_the_two_codings_of_cpsc_agree():
    task = TASKS["cpsc2018"]
    pairs = {"AF": "164889003", "PVC": "164884008", "Normal": "426783006", "STE": "164931005", "RBBB": "59118001"}
    for word, code in pairs.items():
        assert task.truth([f"cpsc:{word}"]) == task.truth([f"snomed:{code}"])


def test_a_file_of_queries(tmp_path: Path):
    lines = tmp_path / "mine.txt"
    lines.write_text("atrial fibrillation\n\n  wide  qrs complex \n")
    task = load_task(str(lines))
    assert [each.query for each in task.classes] == ["atrial fibrillation", "wide qrs complex"]
    assert task.truth(["scp:AFIB"]) is None
    table = tmp_path / "mine.json"
    table.write_text('{"AF": "atrial fibrillation"}')
    assert load_task(str(table)) == Task("mine", (Class("AF", "atrial fibrillation"),))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.txt", b"\n", "holds 0 queries"),
        ("long.txt", b"x" * 513, "513 letters"),
        ("list.json", b'["atrial fibrillation"]', "something else"),
        ("numbers.json", b'{"AF": 1}', "something else"),
        ("broken.json", b'{"AF": ', "not JSON"),
        ("blank.json", b'{"AF": " "}', "1 letters"),
        ("twice.json", b'{"AF": "atrial fibrillation", "AF": "normal ecg"}', "holds 'AF' twice"),
        ("twice.txt", b"flutter\nAF\nflutter\n", "holds 'flutter' twice"),
        ("latin.txt", b"\xe9\xff", "not UTF-8"),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence(tmp_path: Path, name: str, content: bytes, says: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        load_task(str(path))


def test_an_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="ptbxl-super"):
        load_task("no-such-task")


@pytest.mark.real
def test_ptbxl_classes_are_those_of_scp_statements(real_data: Path):
    statements = {row[""]: row for row in _rows(real_data / "ptbxl" / "scp_statements.csv")}
    for task, column in [("ptbxl-super", "diagnostic_class"), ("ptbxl-sub", "diagnostic_subclass")]:
        theirs = collections.defaultdict(set)
        for code, row in statements.items():
            if row["diagnostic"] == "1.0":
                theirs[row[column]].add(f"scp:{code}")
        assert {each.name: set(each.codes) for each in TASKS[task].classes} == dict(theirs)
    for task, column in [("ptbxl-form", "form"), ("ptbxl-rhythm", "rhythm")]:
        theirs = {code: {f"scp:{code}"} for code, row in statements.items() if row[column] == "1.0"}
        assert {each.name: set(each.codes) for each in TASKS[task].classes} == theirs


@pytest.mark.real
@pytest.mark.parametrize(
    ("task", "folder", "differ"),
    [
        ("ptbxl-super", "super_class", {"9822"}),
        ("ptbxl-sub", "sub_class", {"1371", "3802", "9822"}),
        ("ptbxl-form", "form", set()),
        ("ptbxl-rhythm", "rhythm", set()),
    ],
)
def test_ptbxl_truth_is_that_of_the_public_splits(real_data: Path, task: str, folder: str, differ: set[str]):
    """Any statement counts, whatever its likelihood. The records that differ were re-annotated between two versions."""
    tables = real_data / "tables"
    codes = {
        row["ecg_id"]: [f"scp:{code}" for code in ast.literal_eval(row["scp_codes"])]
        for row in _rows(tables / "ptbxl_database_partial.csv")
    }
    compared, different = 0, set()
    for row in _split_rows(tables / "merl" / "ptbxl" / folder):
        if row["ecg_id"] not in codes:
            continue
        ours = TASKS[task].truth(codes[row["ecg_id"]]) or ()
        theirs = tuple(row[each.name.strip("_")] == "1" for each in TASKS[task].classes)
        compared += 1
        if ours != theirs:
            different.add(row["ecg_id"])
    assert compared > 6400
    assert different == differ


@pytest.mark.real
def test_cpsc_truth_is_that_of_the_public_splits(real_data: Path):
    """Their columns, from the reference file of the challenge: all 6,877 records agree."""
    words = ["Normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE"]
    columns = ["NORM", "AFIB", "1AVB", "CLBBB", "CRBBB", "PAC", "VPC", "STD", "STE"]
    assert [each.name for each in TASKS["cpsc2018"].classes] == words
    reference = {
        row["Recording"]: [
            int(float(row[name])) for name in ("First_label", "Second_label", "Third_label") if row[name]
        ]
        for row in _rows(real_data / "tables" / "cpsc2018" / "REFERENCE_training.csv")
    }
    compared = 0
    for row in _split_rows(real_data / "tables" / "merl" / "icbeb"):
        codes = [f"cpsc:{words[number - 1]}" for number in reference[row["filename"]]]
        assert TASKS["cpsc2018"].truth(codes) == tuple(row[column] == "1" for column in columns)
        compared += 1
    assert compared == 6877


@pytest.mark.real
def test_csn_truth_is_that_of_the_public_splits(real_data: Path):
    """The substring rule gives their 38 columns to the row; the exact rule gives the counts of the acronyms."""
    code_of: dict[str, str] = {}
    for row in _rows(real_data / "tables" / "chapman" / "ConditionNames_SNOMED-CT.csv"):
        code_of.setdefault(row["AcronymName"], f"snomed:{row['Snomed_CT']}")
    counts = {"csn-merl": collections.Counter[str](), "csn-exact": collections.Counter[str]()}
    rows = left_out = 0
    for row in _split_rows(real_data / "tables" / "merl" / "chapman"):
        codes = [code_of[acronym] for acronym in row["diagnose"].split(",")]
        theirs = tuple(row[each.name] == "1" for each in TASKS["csn-merl"].classes)
        ours = TASKS["csn-merl"].truth(codes)
        rows += 1
        left_out += ours is None
        assert ours == theirs or (ours is None and not any(theirs))
        for name, counter in counts.items():
            holds = TASKS[name].truth(codes) or [False] * 38
            counter.update(each.name for each, true in zip(TASKS[name].classes, holds, strict=True) if true)
    assert (rows, left_out) == (23026, 2), "two rows of sinus bradycardia with preexcitation hold none of the 38"
    pairs = {name: (counts["csn-merl"][name], counts["csn-exact"][name]) for name in counts["csn-merl"]}
    assert pairs["VB"] == (916, 3)
    assert pairs["AVB"] == (913, 176)
    assert pairs["AF"] == (4753, 3340)
    assert pairs["ST"] == (6338, 5154)
    assert pairs["SA"] == (2828, 2107)
    assert pairs["CR"] == (216, 75)
    assert pairs["2AVB"] == (38, 22)
    assert sum(1 for merl, exact in pairs.values() if merl != exact) == 7, "the other 31 classes agree"
