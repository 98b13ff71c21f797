"""Leads are found by name; the frontal identities hold."""

import numpy as np
import pytest

from ecgray.errors import EcgInputError
from ecgray.leads import LEADS, derive_frontal, find_leads, frontal_residual, lead_name


@pytest.mark.parametrize("text", ["AVR", "avr", "aVR", " aVr ", "Lead aVR", "MDC_ECG_LEAD_aVR"])
def test_a_lead_is_known_by_many_spellings(text):
    assert lead_name(text) == "aVR"


@pytest.mark.parametrize("text", ["", "ch0", "pleth", "V7", "vx", "MLII", "I+II"])
def test_what_is_no_standard_lead_has_no_name(text):
    assert lead_name(text) is None


@pytest.mark.parametrize(
    ("text", "lead"),
    [("lead-II", "II"), ("ECG-V1", "V1"), ("Lead-aVR", "aVR"), ("MDC_ECG_LEAD-V6", "V6"), ("V-1", "V1"), ("C-3", "V3")],
)
def test_a_hyphen_may_follow_a_prefix(text, lead):
    assert lead_name(text) == lead


@pytest.mark.parametrize(
    "text", ["-aVR", "aVR-", "lead -aVR", "ECG - I", "lead--II", "I-II", "V1-V2", "II-I", "-V1", "V1-", "-1"]
)
def test_a_lead_with_a_minus_is_none(text):
    """It is upside down, or the difference of two leads: as a lead it would have the wrong sign."""
    assert lead_name(text) is None


def test_every_lead_is_its_own_name():
    assert [lead_name(lead) for lead in LEADS] == list(LEADS)


def test_positions_follow_the_names_whatever_their_order():
    shuffled = ["V6", "aVF", "aVL", "I", "II"]
    assert find_leads(shuffled) == {"V6": 0, "aVF": 1, "aVL": 2, "I": 3, "II": 4}


def test_a_lead_named_twice_is_refused():
    with pytest.raises(EcgInputError) as caught:
        find_leads(["I", "i"])
    assert caught.value.code == "leads_duplicate"


def test_signals_without_a_known_lead_are_refused():
    with pytest.raises(EcgInputError) as caught:
        find_leads(["ch0", "ch1"])
    assert caught.value.code == "leads_unknown"


def test_derived_leads_have_no_residual_and_swapped_ones_do():
    rng = np.random.default_rng(0)
    ecg = rng.normal(size=(12, 100))
    ecg[2:6] = np.stack(derive_frontal(ecg[0], ecg[1]))
    assert np.abs(frontal_residual(ecg)).max() < 1e-12
    ecg[[4, 5]] = ecg[[5, 4]]
    assert np.abs(frontal_residual(ecg)).max() > 0.5


def test_the_three_augmented_leads_sum_to_zero():
    lead_i, lead_ii = np.random.default_rng(1).normal(size=(2, 50))
    assert np.abs(np.sum(derive_frontal(lead_i, lead_ii)[1:], axis=0)).max() < 1e-12
