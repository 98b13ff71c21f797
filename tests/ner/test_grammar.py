"""Laws of the statement grammar: what it draws, what it holds back, what it calls strange."""

import random

import pytest

from ecgray.ner.findings import draw_finding
from ecgray.ner.grammar import certainty_of, draw_statement, is_held_out
from ecgray.ner.phrases import base_form, holds_wording, owners
from ecgray.ner.strangers import draw_unknown, known_words, strange_word
from ecgray.ner.words import frames, wordings
from ecgray.text.entities import read_answer, write_answer
from ecgray.text.terms import TERMS


def drawn(number: int, draw=draw_statement, **options):
    rng = random.Random(7)
    return [draw(rng, **options) for _ in range(number)]


def test_the_same_seed_draws_the_same_statements():
    assert drawn(50) == drawn(50)


def test_every_wording_of_the_vocabulary_belongs_to_its_own_term():
    assert [
        (name, text) for name, each in wordings().items() for text in each if owners()[base_form(text)] != name
    ] == []


def test_every_term_is_drawn():
    seen = {entity.name for each in drawn(12_000) for entity in each.reading.entities}
    assert sorted(set(TERMS) - seen) == []


def test_every_drawn_answer_reads_back_as_what_was_drawn():
    """Each entity cites words of its statement, and the JSON holds all of it."""
    for each in [*drawn(2000), *drawn(500, draw_unknown)]:
        assert read_answer(each.text, write_answer(each.reading)) == each.reading, each.text


def test_statements_are_clean_text():
    for each in [*drawn(1000), *drawn(500, draw_unknown)]:
        assert each.text == " ".join(each.text.split()) == each.text.lower()
        assert each.text.isascii()


def test_a_held_out_pair_of_term_and_hedge_is_never_trained_on():
    """Wherever a finding of the training part stands right behind a hedge, alone, in a list or as a cause."""
    hedges = sorted((hedge for hedge in frames()["hedge_before"] if len(hedge) > 3), key=len, reverse=True)
    seen = 0
    for each in drawn(8000):
        for entity in each.reading.entities:
            before = f" {each.text}".partition(f" {entity.cited}")[0]
            hedge = next((hedge for hedge in hedges if before.endswith(f" {hedge}")), None)
            if hedge and entity.certainty == "Uncertain":
                seen += 1
                assert not is_held_out(entity.name, hedge), each.text
    assert seen > 500


def test_the_held_out_part_holds_nothing_else():
    statements = drawn(300, part="held out")
    assert all(entity.certainty == "Uncertain" for each in statements for entity in each.reading.entities)
    assert not {each.text for each in statements} & {each.text for each in drawn(6000)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1st degree a-v block", "first degree atrioventricular block"),
        ("inverted t waves", "t-wave inversion"),
        ("pvcs", "ventricular premature complex(es)"),
        ("prolonged qtc interval", "qt interval is prolonged"),
    ],
)
def test_phrases_that_say_the_same_have_one_base_form(one, other):
    assert base_form(one) == base_form(other)


def test_normal_terms_are_normal_and_borderline_ones_uncertain():
    assert certainty_of("sinus rhythm") == "Normal"
    assert certainty_of("atrial fibrillation") == "Abnormal"
    assert certainty_of("borderline ecg") == "Uncertain"


def test_strange_words_are_strange():
    rng = random.Random(3)
    assert not {strange_word(rng) for _ in range(3000)} & known_words()


def test_a_statement_called_unknown_without_entities_holds_no_wording_by_itself():
    """Unless a strange word stands right before it."""
    for each in drawn(1500, draw_unknown):
        assert each.reading.unknown
        words = each.text.split()
        if not each.reading.entities and holds_wording(words):
            assert any(word.strip(",") not in known_words() for word in words), each.text


@pytest.mark.parametrize("frame", ["has been replaced by", "has given way to", "has converted to"])
def test_what_was_replaced_is_not_drawn_as_a_finding(frame):
    """Only what stands behind the frame counts, so its words are those that are cited."""
    found = [each for each in drawn(20_000) if each.text.count(frame) == 1 and ". " not in each.text]
    assert len(found) > 5
    for each in found:
        after = each.text.partition(frame)[2]
        assert all(entity.cited in after for entity in each.reading.entities), each.text


def test_a_list_behind_a_negation_is_negated():
    begins = ("no evidence", "no sign", "absence of ", "no definite ", "there is no ")
    lists = [each for each in drawn(20_000) if each.text.startswith(begins) and " nor " in each.text]
    assert len(lists) > 3
    assert all(not each.reading.entities for each in lists if ". " not in each.text)


def test_a_missing_lead_may_be_any_lead():
    rng = random.Random(3)
    texts = " ".join(draw_finding(rng, term="missing lead").text for _ in range(600))
    assert all(f"lead {lead}" in texts for lead in ("ii", "avf", "v2", "v6"))
