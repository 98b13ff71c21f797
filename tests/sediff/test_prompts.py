"""Prompts: what is refused, what is read out of the text, what is flagged."""

from __future__ import annotations

import math

import pytest

from ecgray.errors import ConfigError
from ecgray.sediff.prompts import Limits, Prompt, flags, printable, understood

GOOD = "sinus rhythm, left bundle branch block"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"text": ""}, "empty"),
        ({"text": " \n\t"}, "empty"),
        ({"text": "x" * 5000}, "5,000 characters"),
        ({"text": GOOD, "experience": "x" * 5000}, "5,000 characters"),
        ({"text": GOOD, "heart_rate_bpm": 0}, "heart_rate=0"),
        ({"text": GOOD, "heart_rate_bpm": 900}, "heart_rate=900"),
        ({"text": GOOD, "heart_rate_bpm": math.nan}, "heart_rate=nan"),
        ({"text": GOOD, "age": -1}, "age=-1"),
        ({"text": GOOD, "age": math.inf}, "age=inf"),
        ({"text": GOOD, "sex": "female"}, "sex='female' must be F or M"),
        ({"text": GOOD + "\0"}, "a prompt holds control characters"),
        ({"text": GOOD + "\udcff"}, "a prompt holds control characters, or bytes that are not UTF-8"),
        ({"text": GOOD, "experience": "\x1b[2J"}, "an experience report holds control characters"),
    ],
)
def test_what_no_ecg_can_be_drawn_for_is_refused_in_a_sentence(fields: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Prompt(**fields)


def test_tabs_and_ends_of_lines_are_text_and_a_record_s_other_controls_are_blanks() -> None:
    assert Prompt(text="sinus rhythm,\tLBBB\r\nold infarct").text.endswith("infarct")
    assert Prompt(text=printable("sinus\0rhythm")).text == "sinus rhythm"


@pytest.mark.parametrize(
    ("text", "age", "sex", "rate"),
    [
        ("Sinus tachycardia at 132 bpm in a 54-year-old man", 54, "M", 132),
        ("84 yo female, atrial fibrillation, ventricular rate of 95", 84, "F", 95),
        ("normal ECG, 60/min", None, None, 60),
        ("woman seen with a man; st elevation in V2", None, None, None),
        ("rate 900 bpm, aged 300", None, None, None),
        ("HR 45", None, None, 45),
        ("HR: 45, AF", None, None, 45),
        ("heart rate 45", None, None, 45),
        ("rate 45", None, None, 45),
        ("72.5 bpm", None, None, 72.5),
        ("old anteroseptal infarct", None, None, None),
    ],
)
def test_the_text_is_read_for_what_no_field_says(text: str, age, sex, rate) -> None:
    found = understood(Prompt(text=text))
    assert (found.age, found.sex, found.heart_rate_bpm) == (age, sex, rate)
    kept = understood(Prompt(text=text, age=30, sex="F", heart_rate_bpm=70))
    assert (kept.age, kept.sex, kept.heart_rate_bpm) == (30, "F", 70)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (Prompt(text=GOOD), []),
        (Prompt(text="AF"), []),
        (Prompt(text="sinus bradycardia, 150 bpm"), ["rate_against_text"]),
        (Prompt(text="sinus bradycardia", heart_rate_bpm=150), ["rate_against_text"]),
        (Prompt(text="sinus tachycardia, 140 bpm", heart_rate_bpm=120), ["rate_against_text"]),
        (Prompt(text="sinus tachycardia", heart_rate_bpm=120), []),
        (Prompt(text="sinus rhythm in a 40-year-old woman", age=80, sex="M"), ["age_against_text", "sex_against_text"]),
        (Prompt(text="sinus bradycardia and sinus tachycardia"), ["text_against_itself"]),
        (Prompt(text="LBBB and RBBB"), ["text_against_itself"]),
        (Prompt(text="alternating bundle branch block"), []),
        (Prompt(text="SINUS BRADYCARDIA AT 45 BPM"), []),
        (Prompt(text="normal ECG, anterior infarction"), ["text_against_itself"]),
        (Prompt(text="Normal. ST elevation in V2"), ["text_against_itself"]),
        (Prompt(text="normal ECG, sinus bradycardia"), []),
        (Prompt(text="left ventricular hypertrophy, otherwise normal ECG"), []),
        (Prompt(text="normal PR interval, left bundle branch block"), []),
        (Prompt(text="No atrial fibrillation, sinus rhythm"), ["negation"]),
        (Prompt(text="sinus rhythm without LBBB or RBBB"), ["negation"]),
        (Prompt(text="normal ECG, cannot rule out infarction"), ["negation"]),
        (Prompt(text="no bradycardia, 80 bpm"), ["negation"]),
        (Prompt(text="not AF but atrial flutter and sinus rhythm"), ["text_against_itself", "negation"]),
        (Prompt(text="no p waves, irregular"), []),
        (Prompt(text="rbbb, svt"), []),
        (Prompt(text="frequent pvcs, lvh"), []),
        (Prompt(text="no lbbb"), ["negation"]),
        (Prompt(text="left bundle\nbranch block"), []),
        (Prompt(text="sinus rhythm, 900 bpm"), ["number_out_of_range"]),
        (Prompt(text="sinus rhythm, 5 bpm"), ["number_out_of_range"]),
        (Prompt(text="sinus rhythm in a 300-year-old man"), ["number_out_of_range"]),
        (Prompt(text="sinus rhythm, 72.5 bpm"), []),
        (Prompt(text="Der Patient hat Fieber"), ["no_known_term"]),
        (Prompt(text="\u5fc3\u623f\u98a4\u52a8"), ["no_known_term"]),
        (Prompt(text="!!!"), ["no_known_term"]),
    ],
)
def test_what_is_odd_is_flagged(prompt: Prompt, expected: list[str]) -> None:
    assert flags(prompt) == expected


LIMITS = Limits(
    not_drawn=("ventricular tachycardia", "asystole", "third degree av block", "sinus arrest"), rates_bpm=(40, 200)
)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (Prompt(text="VT"), ["finding_not_drawn"]),
        (Prompt(text="torsades de pointes"), ["finding_not_drawn"]),
        (Prompt(text="3rd degree AV block"), ["finding_not_drawn"]),
        (Prompt(text="third-degree heart block"), ["finding_not_drawn"]),
        (Prompt(text="third degree atrioventricular block"), ["finding_not_drawn"]),
        (Prompt(text="sinus node arrest"), ["finding_not_drawn"]),
        (Prompt(text="1st degree heart block"), []),
        (Prompt(text="sinus tachycardia"), []),
        (Prompt(text="sinus rhythm without asystole"), ["negation"]),
        (Prompt(text="sinus bradycardia, 39 bpm"), ["rate_not_followed"]),
        (Prompt(text="sinus bradycardia, 40 bpm"), []),
        (Prompt(text="supraventricular tachycardia", heart_rate_bpm=201), ["rate_not_followed"]),
    ],
)
def test_what_a_generator_is_known_not_to_draw_is_flagged(prompt: Prompt, expected: list[str]) -> None:
    assert flags(prompt, LIMITS) == expected
    assert not {"finding_not_drawn", "rate_not_followed"} & set(flags(prompt))


def test_the_hash_tells_prompts_apart_and_holds_no_text() -> None:
    one, same = Prompt(text=GOOD), Prompt(text=GOOD)
    assert one.hash == same.hash
    others = [Prompt(text=GOOD + "."), Prompt(text=GOOD, age=3), Prompt(text=GOOD, experience="x")]
    assert len({one.hash, *(each.hash for each in others)}) == 4
