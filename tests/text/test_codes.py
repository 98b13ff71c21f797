"""Codes of the archives: every one has its term."""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import pytest

from ecgray.text.codes import likely_codes, terms_of_code, terms_of_codes
from ecgray.text.terms import ancestors

CPSC = {
    "Normal": "normal ecg",
    "AF": "atrial fibrillation",
    "I-AVB": "first degree av block",
    "LBBB": "left bundle branch block",
    "RBBB": "right bundle branch block",
    "PAC": "premature atrial complex",
    "PVC": "premature ventricular complex",
    "STD": "st depression",
    "STE": "st elevation",
}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _statements(real_data: Path) -> dict[str, dict[str, str]]:
    return {row[""]: row for row in _rows(real_data / "ptbxl" / "scp_statements.csv")}


@pytest.mark.parametrize(("code", "term"), CPSC.items())
def test_each_word_of_cpsc_has_its_term(code: str, term: str):
    assert terms_of_code(f"cpsc:{code}") == (term,)


def test_an_unknown_code_is_named_never_guessed():
    assert terms_of_codes(["scp:NORM", "scp:NEW", "snomed:1"]) == (("normal ecg",), ("scp:NEW", "snomed:1"))
    assert terms_of_code("demo:no such term") == ()
    assert terms_of_code("NORM") == ()


def test_codes_of_the_same_diagnosis_have_one_term():
    """The Challenge scores these pairs as one diagnosis."""
    for one, other in [("733534002", "164909002"), ("713427006", "59118001"), ("427172004", "17338001")]:
        assert terms_of_code(f"snomed:{one}") == terms_of_code(f"snomed:{other}") != ()


def test_a_threshold_drops_unlikely_statements_and_keeps_those_that_nobody_weighed():
    codes, likelihoods = ["scp:IMI", "scp:LVH", "scp:SR", "scp:PVC"], [35.0, 80.0, 0.0, None]
    assert likely_codes(codes, likelihoods, min_likelihood_percent=0) == codes
    assert likely_codes(codes, likelihoods, min_likelihood_percent=80) == ["scp:LVH", "scp:SR", "scp:PVC"]
    assert likely_codes(codes, None, min_likelihood_percent=80) == codes


@pytest.mark.real
def test_every_scp_statement_has_its_term(real_data: Path):
    statements = _statements(real_data)
    assert len(statements) == 71
    assert [code for code in statements if not terms_of_code(f"scp:{code}")] == []
    assert len({terms_of_code(f"scp:{code}") for code in statements}) == 71, "two statements share a term"


@pytest.mark.real
def test_the_diagnostic_statements_imply_their_superclass(real_data: Path):
    wide = {
        "NORM": "normal ecg",
        "CD": "conduction disturbance",
        "HYP": "hypertrophy",
        "STTC": "st-t change",
        "MI": "myocardial infarction",
    }
    missing = []
    for code, row in _statements(real_data).items():
        for term in terms_of_code(f"scp:{code}"):
            superclass = row["diagnostic_class"]
            if superclass and wide[superclass] not in {term, *ancestors(term)}:
                missing.append(code)
    # Subendocardial injury is no infarction, though PTB-XL counts it there: a term says what it means.
    assert sorted(missing) == ["INJAL", "INJAS", "INJIL", "INJIN", "INJLA"]


@pytest.mark.real
def test_codes_in_scp_statements_agree_with_ours(real_data: Path):
    """Where PTB-XL names the AHA code of a statement, that code and the statement stand for the same term."""
    ours = {}
    for code, row in _statements(real_data).items():
        if row["AHA code"] and terms_of_code(f"aha:{row['AHA code']}"):
            ours[code] = terms_of_code(f"aha:{row['AHA code']}") == terms_of_code(f"scp:{code}")
    assert len(ours) >= 30
    assert all(ours.values()), ours


@pytest.mark.real
def test_every_snomed_code_of_the_challenges_has_its_term(real_data: Path):
    tables = real_data / "tables"
    codes = {
        row["SNOMEDCTCode"].strip()
        for name in ("scored", "unscored")
        for row in _rows(tables / "cinc2021" / f"dx_mapping_{name}.csv")
    }
    codes |= {row["Snomed_CT"].strip() for row in _rows(tables / "chapman" / "ConditionNames_SNOMED-CT.csv")}
    assert len(codes) > 130
    assert sorted(code for code in codes if not terms_of_code(f"snomed:{code}")) == []


@pytest.mark.real
def test_the_challenges_names_agree_with_ours_where_the_words_are_the_same(real_data: Path):
    """A slipped line in the vocabulary would turn a code into another finding."""
    from ecgray.text.terms import find_term

    compared = 0
    for name in ("scored", "unscored"):
        for row in _rows(real_data / "tables" / "cinc2021" / f"dx_mapping_{name}.csv"):
            term = find_term(row["Dx"])
            if term is not None:
                compared += 1
                assert terms_of_code(f"snomed:{row['SNOMEDCTCode']}") == (term.name,), row["Dx"]
    assert compared >= 70


@pytest.mark.real
def test_every_code_in_real_headers_has_its_term(real_data: Path):
    codes: set[str] = set()
    for folder in ("cpsc2018", "chapman_shaoxing_ningbo", "georgia", "ptbxl_cinc2021_format"):
        for header in sorted((real_data / folder).rglob("*.hea")):
            for line in header.read_text("latin-1").splitlines():
                head, _, tail = line.lstrip("# ").partition(":")
                if head == "Dx":
                    codes |= {code.strip() for code in tail.split(",")}
    for row in _rows(real_data / "ptbxl" / "ptbxl_database.csv"):
        codes |= {f"scp:{code}" for code in ast.literal_eval(row["scp_codes"])}
    named = {code if ":" in code else f"{'snomed' if code.isdigit() else 'cpsc'}:{code}" for code in codes}
    assert len(named) > 60
    assert sorted(code for code in named if not terms_of_code(code)) == []
