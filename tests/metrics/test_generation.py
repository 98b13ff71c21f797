"""The scores of a set: what each must be for sets of which it is known, and how they are written down."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from ecgray.metrics import memorisation_report
from ecgray.metrics.bootstrap import Estimate
from ecgray.metrics.generation import INTERVALS, MEASURES, RATE, EcgSet, score_set
from ecgray.metrics.generation_report import ScoredSet, to_csv, to_markdown
from ecgray.metrics.memorisation import Nearest
from ecgray.metrics.partners import anyone, other_half

RNG = np.random.default_rng(0)
COUNT = 80


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


TEXTS = unit(RNG.standard_normal((8, 6)))
TEXT = np.arange(COUNT) % 8
REAL = EcgSet(
    patients=(np.arange(COUNT) // 2).astype(str),
    place=np.arange(COUNT),
    asked_bpm=RNG.uniform(50, 110, COUNT),
    errors={"mae_mv": np.zeros(COUNT)},
    measured={RATE: RNG.uniform(50, 110, COUNT)} | {name: RNG.random(COUNT) for name in INTERVALS},
    embedding=unit(TEXTS[TEXT] + 0.1 * RNG.standard_normal((COUNT, 6))),
    text=TEXT,
    text_embedding=TEXTS[TEXT],
)


def changed(**changes: object) -> EcgSet:
    return EcgSet(**(vars(REAL) | changes))


def scored(own: EcgSet, population: str = "whole") -> dict[str, Estimate]:
    return score_set(own, REAL, population=population, resamples=50)


def test_the_recordings_themselves_have_no_error() -> None:
    found = scored(REAL)
    assert {found[name].value for name in ("rate_paired_bpm", *INTERVALS)} == {0.0}
    assert found["rclip_ratio_of_means"].value == pytest.approx(1)
    assert found["rclip_mean_of_ratios"].value == pytest.approx(1)
    assert found["frechet"].value == pytest.approx(0, abs=1e-9)
    assert found["recall"].value == 1
    assert set(found) <= {measure.name for measure in MEASURES}


def test_rates_are_held_against_what_was_asked_and_against_the_pair() -> None:
    rate = REAL.asked_bpm + 5
    found = scored(changed(measured=dict(REAL.measured) | {RATE: rate}))
    assert found["rate_condition_bpm"].value == pytest.approx(5)
    assert found["rate_paired_bpm"].value == pytest.approx(np.abs(rate - REAL.measured[RATE]).mean())


def test_what_one_of_a_pair_lacks_is_no_support() -> None:
    pr = REAL.measured["pr_ms"] + 4
    pr[:30] = np.nan
    found = scored(changed(measured=dict(REAL.measured) | {"pr_ms": pr}))["pr_ms"]
    assert found.value == pytest.approx(4)
    assert found.records == COUNT - 30


def test_free_prompts_have_no_pair_and_are_scored_by_text_and_distribution() -> None:
    found = scored(changed(place=np.full(COUNT, -1), errors={"mae_mv": np.full(COUNT, np.nan)}))
    assert found["mae_mv"].value is None
    assert found["rate_paired_bpm"].value is None
    assert found["rclip_ratio_of_means"].value is None
    assert found["clip"].value > 0.9
    assert found["rate_condition_bpm"].records == COUNT


def test_wrong_texts_and_one_ecg_for_all_are_told() -> None:
    wrong = scored(changed(text_embedding=TEXTS[(TEXT + 1) % 8]))
    assert wrong["clip"].value < 0.5
    one = scored(changed(embedding=np.repeat(REAL.embedding[:1], COUNT, axis=0)))
    assert one["spread"].value == one["spread_text"].value == 0
    assert one["recall"].value < 0.2
    assert one["frechet"].value > 10 * scored(REAL)["frechet_halves"].value


def test_the_real_set_is_scored_by_its_halves_and_the_shuffled_one_not_at_all() -> None:
    halves = scored(REAL, "halves")
    assert halves["frechet"].value == pytest.approx(scored(REAL)["frechet_halves"].value)
    assert "rfid_literal" not in halves
    assert halves["spread"].records == COUNT
    assert not {"frechet", "precision", "spread"} & set(scored(REAL, "none"))


def test_partners_are_other_patients() -> None:
    for partner in (anyone(REAL.patients, seed=1), other_half(REAL.patients, TEXT, seed=1)):
        assert (partner >= 0).all()
        assert (REAL.patients[partner] != REAL.patients).all()
    assert (TEXT[other_half(REAL.patients, TEXT, seed=1)] == TEXT).mean() > 0.9
    assert anyone(np.array(["a", "a"]), seed=0).tolist() == [-1, -1]
    assert len(set(anyone(REAL.patients, seed=1).tolist())) > 0.8 * COUNT


def test_tables_hold_every_set_with_interval_and_support() -> None:
    sets = [ScoredSet("ours | theirs", "preset ours", COUNT, 40, scored(REAL)), ScoredSet("none", "0 mV", 3, 3, {})]
    rows = list(csv.DictReader(io.StringIO(to_csv(sets))))
    assert {row["measure"] for row in rows} == set(scored(REAL))
    assert all(row["records"] and row["set"] == "ours | theirs" for row in rows)
    page = to_markdown(sets)
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    assert len(tables) == 4
    for table in tables:
        assert len({line.count("|") for line in table}) == 1, "as many cells in every row"
    assert "ours / theirs" in page
    assert "None" not in page
    assert "nan" not in page


def test_nearness_is_one_for_other_patients_and_copies_stand_out() -> None:
    def near(correlation: np.ndarray, record: np.ndarray) -> Nearest:
        nothing = np.full(len(correlation), np.nan)
        return Nearest(record, correlation, nothing, np.full(len(record), -1), nothing)

    others = near(RNG.uniform(0.3, 0.8, 500), RNG.integers(0, 99, 500))
    own = memorisation_report.nearness(others, others, patients=np.arange(500), resamples=50)
    assert own["distance_ratio"] == 1.0
    assert own["embedding_distance_ratio"] is None
    assert own["above_held_out"]["value"] == pytest.approx(0.01, abs=0.002)
    copies = near(np.array([0.99, 0.98, 0.5]), np.array([4, 7, 9]))
    found = memorisation_report.planted_found(copies, np.array([4, 8, 9]), others)
    assert found["planted_found"] == pytest.approx(1 / 3, abs=1e-3), "the second is another record, the third too far"
