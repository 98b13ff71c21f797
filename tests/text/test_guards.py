"""What no similarity may bring together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgray.text.guards import FAMILIES, opposed, passes, verdict
from ecgray.text.terms import TERMS

OPPOSITE = [
    ("third degree av block", "second degree av block"),  # SuPreME's Table 6, 0.9795
    ("low amplitude t wave", "high t wave amplitude"),  # SuPreME's Table 6, 0.9741
    ("first degree av block", "third degree av block"),
    ("1st degree a-v block", "2nd degree a-v block"),
    ("first degree av block", "complete heart block"),
    ("second degree av block type one", "second degree av block type two"),
    ("mobitz I", "mobitz II"),
    ("left bundle branch block", "right bundle branch block"),
    ("lbbb", "rbbb"),
    ("left axis deviation", "right axis deviation"),
    ("left atrial enlargement", "right atrial enlargement"),
    ("lvh", "right ventricular hypertrophy"),
    ("low qrs voltage", "high qrs voltage"),
    ("tall t wave", "flat t wave"),
    ("increased voltage", "decreased voltage"),
    ("prolonged qt interval", "short qt interval"),
    ("long pr interval", "shortened pr interval"),
    ("st elevation", "st depression"),
    ("elevated st segment", "depressed st segment"),
    ("incomplete right bundle branch block", "complete right bundle branch block"),
    ("incomplete left bundle branch block", "left bundle branch block"),
    ("atrial tachycardia", "ventricular tachycardia"),
    ("atrial fibrillation", "ventricular fibrillation"),
    ("junctional rhythm", "atrial rhythm"),
    ("supraventricular tachycardia", "ventricular tachycardia"),
    ("junctional escape beat", "ventricular escape beat"),
    ("premature atrial complex", "premature ventricular complex"),
    ("premature ventricular complex", "ventricular escape complex"),
    ("sinus tachycardia", "sinus bradycardia"),
    ("sinus tachycardia", "atrial tachycardia"),
    ("rapid ventricular response", "slow ventricular response"),
    ("upright t wave", "inverted t wave"),
    ("acute myocardial infarction", "old myocardial infarction"),
    ("recent infarction", "old infarction"),
    ("previous atrial fibrillation", "chronic atrial fibrillation"),
    ("anterior infarction", "inferior infarction"),
    ("anteroseptal infarction", "inferolateral infarction"),
    ("lateral st depression", "septal st depression"),
    ("left anterior fascicular block", "left posterior fascicular block"),
    ("clockwise rotation", "counter-clockwise rotation"),
    ("clockwise rotation", "anticlockwise rotation"),
    ("normal t wave", "abnormal t wave"),
    ("normal axis", "axis deviation"),
    ("paced rhythm", "unpaced rhythm"),
    ("low voltage in chest leads", "low voltage in limb leads"),
    ("low voltage in precordial leads", "low voltage in extremity leads"),
    ("early transition", "late transition"),
    ("sinus rhythm", "ectopic rhythm"),
    ("sinus rhythm", "junctional rhythm"),
    ("atrial fibrillation", "atrial flutter"),
    ("ventricular bigeminy", "ventricular trigeminy"),
    ("inferior ischemia", "inferior infarction"),
    ("2:1 av block", "4:1 av block"),
    ("acute infarction", "recent infarction"),
    ("st elevation myocardial infarction", "non-st elevation myocardial infarction"),
    ("p wave abnormality", "t wave abnormality"),
    ("no st elevation", "st elevation"),
    ("left and right atrial enlargement", "left atrial enlargement"),
    ("atrial fibrillation or flutter", "atrial flutter"),
]
PASSES = [
    ("inferior st elevation", "st elevation"),
    ("complete left bundle branch block", "left bundle branch block"),
    ("second degree av block", "av block"),
    ("inferolateral infarction", "inferior myocardial infarction"),
    ("age undetermined inferior infarct", "inferior myocardial infarction"),
    ("high lateral infarct", "lateral myocardial infarction"),
    ("low atrial rhythm", "atrial rhythm"),
    ("atrial fibrillation with rapid ventricular response", "rapid atrial fibrillation"),
    ("marked sinus bradycardia", "sinus bradycardia"),
]
CLAIMS = [
    ("st elevation", "anterior st elevation"),
    ("infarction", "old myocardial infarction"),
    ("av block", "first degree av block"),
    ("bundle branch block", "left bundle branch block"),
    ("inferior infarction", "inferolateral myocardial infarction"),
    ("tachycardia", "sinus tachycardia"),
    ("qt interval", "long qt interval"),
    ("t wave flattening", "t wave inversion"),
    ("atrial fibrillation with rapid ventricular response", "ventricular fibrillation"),
    ("ischemia", "subendocardial ischemia"),
    ("premature ventricular complexes", "frequent premature ventricular complexes"),
    ("bradycardia", "marked sinus bradycardia"),
]
WORDS = sorted({word for family in FAMILIES for words in family.sides.values() for word in words.split()})
TEXTS = st.lists(st.sampled_from([*WORDS, "and", "rhythm", "axis"]), max_size=6).map(" ".join)


@pytest.mark.parametrize(("one", "other"), OPPOSITE)
def test_opposites_are_never_the_same_finding(one: str, other: str):
    assert opposed(one, other)
    assert opposed(other, one)
    assert not passes(one, other)
    assert verdict(one, other) == "opposed"


@pytest.mark.parametrize(("entity", "term"), PASSES)
def test_a_finding_may_be_called_by_a_wider_one(entity: str, term: str):
    assert passes(entity, term)


@pytest.mark.parametrize(("entity", "term"), CLAIMS)
def test_a_term_claims_nothing_that_nobody_said(entity: str, term: str):
    assert not passes(entity, term)


@given(TEXTS, TEXTS)
def test_the_veto_is_symmetric_and_nothing_is_its_own_opposite(one: str, other: str):
    assert opposed(one, other) == opposed(other, one)
    assert passes(one, one)
    mirrored = {"wider": "narrower", "narrower": "wider"}
    assert verdict(other, one) == mirrored.get(verdict(one, other), verdict(one, other))


@given(TEXTS, TEXTS)
def test_only_equal_qualifiers_pass_both_ways(one: str, other: str):
    assert (passes(one, other) and passes(other, one)) == (verdict(one, other) == "same")


@pytest.mark.parametrize("name", TERMS)
def test_a_term_passes_for_itself(name: str):
    assert passes(name, name)
