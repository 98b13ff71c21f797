"""The most similar admissions: exact, whatever the pool's size, its ties and its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from hospitals import write_hospital
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgray.ehr import similar
from ecgray.ehr.hospital import hosp_folder, read_hospital
from ecgray.ehr.profiles import Level, Profiles, View, profiles_of, view_of
from ecgray.ehr.similar import Searcher, Weights, build_pool
from ecgray.errors import ConfigError


def jaccard(one: set[int], two: set[int]) -> float:
    return len(one & two) / len(one | two) if one | two else 0.0


def by_sets(
    pool: Profiles, owner: np.ndarray, queries: Profiles, asking: np.ndarray, weights: Weights, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same with Python sets."""
    rows, tau = np.full((len(queries), k), -1), np.zeros((len(queries), k))
    sets = [[set(view.row(row).tolist()) for row in range(len(view))] for view in pool.views]
    for query in range(len(queries)):
        mine = [set(view.row(query).tolist()) for view in queries.views]
        scores = []
        for row in range(len(pool)):
            value = 0.0
            for weight, one, view in zip(weights, mine, sets, strict=True):
                value += weight * jaccard(one, view[row])
            if value > 0 and owner[row] != asking[query]:
                scores.append((-value, row))
        for place, (value, row) in enumerate(sorted(scores)[:k]):
            rows[query, place], tau[query, place] = row, -value
    return rows, tau


def drawn(rows: int, *, seed: int, names: tuple[int, int, int] = (200, 150, 40)) -> Profiles:
    """Profiles whose codes are as skewed as a hospital's; some views are empty."""
    random = np.random.default_rng(seed)
    views = []
    for total, mean in zip(names, (9, 12, 1.5), strict=True):
        chance = np.minimum(mean * _skew(total), 0.9)
        holds = random.random((rows, total)) < chance
        holds[random.random(rows) < 0.1] = False
        codes = np.nonzero(holds)[1].astype(np.int32)
        views.append(
            View(np.append(0, np.cumsum(holds.sum(1))), random.permutation(total).astype(np.int32)[codes], total)
        )
    return Profiles((views[0], views[1], views[2]))


def _skew(total: int) -> np.ndarray:
    chance = 1 / (np.arange(total) + 5) ** 1.2
    return chance / chance.sum()


@pytest.mark.parametrize("block", [7, 64, 1 << 15])
@pytest.mark.parametrize("weights", [(1, 1, 1), (2, 1, 1), (1, 3, 1), (0, 1, 0.25), (1, 0, 0), (0, 0, 5)])
def test_the_answer_is_that_of_python_sets(block: int, weights: tuple, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(similar, "LEAST_BLOCK", block)
    monkeypatch.setattr(similar, "MOST_BLOCK", block)
    lambdas = Weights(diagnoses=weights[0], medications=weights[1], procedures=weights[2])
    everyone = drawn(700, seed=block)
    owner = np.random.default_rng(1).integers(0, 300, 700)
    chosen = np.arange(0, 700, 3)
    pool = build_pool(everyone.take(chosen), owner[chosen])
    asking = np.arange(1, 700, 9)
    found = Searcher(pool, weights=lambdas, k=4).search(everyone.take(asking), owner[asking])
    truth = by_sets(everyone.take(chosen), owner[chosen], everyone.take(asking), owner[asking], lambdas, 4)
    assert (found[0] == truth[0]).all()
    assert (found[1] == truth[1]).all(), "to the last bit"


@pytest.mark.parametrize("often", [0.0, 0.1, 1.0])
def test_columns_and_lists_count_the_same(often: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(similar, "OFTEN", often)
    everyone, owner = drawn(300, seed=5), np.arange(300)
    found = Searcher(build_pool(everyone, owner), weights=Weights(), k=3).search(everyone, owner)
    truth = by_sets(everyone, owner, everyone, owner, Weights(), 3)
    assert (found[0] == truth[0]).all()
    assert (found[1] == truth[1]).all()


def test_of_equals_the_lower_row_comes_first():
    same = view_of([["a", "b"]] * 50)
    none = view_of([[]] * 50)
    profiles = Profiles((same, same, none))
    rows, tau = Searcher(build_pool(profiles, np.arange(50)), weights=Weights(), k=3).search(profiles, np.arange(50))
    assert rows[10].tolist() == [0, 1, 2]
    assert rows[1].tolist() == [0, 2, 3]
    assert (tau == 2.0).all()


def test_the_same_patient_is_never_found():
    everyone = drawn(200, seed=2)
    owner = np.repeat(np.arange(4), 50)
    rows, _ = Searcher(build_pool(everyone, owner), weights=Weights(), k=60).search(everyone, owner)
    for mine, found in zip(owner, rows, strict=True):
        assert mine not in owner[found[found >= 0]]
        assert len(set(found[found >= 0])) == (found >= 0).sum()


def test_an_admission_without_codes_finds_nobody_and_is_found_by_nobody():
    profiles = Profiles((view_of([[], ["a"], []]), view_of([[], [], ["b"]]), view_of([[], [], []])))
    rows, tau = Searcher(build_pool(profiles, np.arange(3)), weights=Weights(), k=2).search(profiles, np.arange(3))
    assert (rows == -1).all()
    assert (tau == 0).all()


def test_a_code_that_the_pool_has_not_makes_less_similar():
    views = view_of([["a"], ["a", "z"]]), view_of([[], []]), view_of([[], []])
    profiles = Profiles(views)
    pool = build_pool(profiles.take(np.array([0])), np.array([0]))
    rows, tau = Searcher(pool, weights=Weights(), k=1).search(profiles.take(np.array([1])), np.array([1]))
    assert (rows.tolist(), tau.tolist()) == ([[0]], [[0.5]])


def test_a_pool_of_nobody_and_admissions_of_very_many_codes():
    many = view_of([[str(code) for code in range(300)], [str(code) for code in range(299)]])
    profiles = Profiles((many, many, many))
    nobody = build_pool(profiles.take(np.zeros(0, np.int64)), np.zeros(0, np.int64))
    assert (Searcher(nobody, weights=Weights(), k=2).search(profiles, np.arange(2))[0] == -1).all()
    rows, tau = Searcher(build_pool(profiles, np.arange(2)), weights=Weights(), k=1).search(profiles, np.arange(2))
    assert rows.tolist() == [[1], [0]]
    assert tau == pytest.approx(3 * 299 / 300)


@pytest.mark.parametrize("most", [21_846, 66_000])
def test_no_bound_and_no_count_overflows(most: int):
    """21,846 codes in each view are the fewest whose bound leaves 16 bits, and begins again at 0."""
    codes = [str(code) for code in range(most)]
    one = view_of([codes, codes, *[codes[:1000]] * 78])
    profiles = Profiles((one, one, one))
    rows, tau = Searcher(build_pool(profiles, np.arange(80)), weights=Weights(), k=1).search(profiles, np.arange(80))
    assert (rows[0].tolist(), tau[0].tolist()) == ([1], [3.0])


sets = st.lists(st.sets(st.sampled_from("abcdefgh")), min_size=2, max_size=12)


@settings(deadline=None, max_examples=60)
@given(sets, st.tuples(*[st.sampled_from([0.25, 1.0, 2.0])] * 3))
def test_similarity_is_symmetric_within_bounds_and_full_with_itself(each: list[set[str]], weights: tuple):
    lambdas = Weights(diagnoses=weights[0], medications=weights[1], procedures=weights[2])
    rows = len(each)
    one = view_of([sorted(codes) for codes in each])
    profiles = Profiles((one, view_of([sorted(codes)[:2] for codes in each]), one))
    pool = build_pool(profiles, np.arange(rows))
    found, tau = Searcher(pool, weights=lambdas, k=rows).search(profiles, np.full(rows, -1))
    matrix = np.zeros((rows, rows))
    for query in range(rows):
        matrix[query, found[query][found[query] >= 0]] = tau[query][found[query] >= 0]
    assert (matrix == matrix.T).all()
    assert (matrix <= sum(weights)).all()
    assert all(matrix[row, row] == sum(weights) for row in range(rows) if each[row])


def test_codes_may_count_by_their_first_three_characters(tmp_path: Path):
    """Of either version; a drug has none."""
    stays = [f"{n},2{n},2180-01-01 08:00:00,2180-01-03 08:00:00," for n in (1, 2)]
    write_hospital(
        tmp_path,
        admissions=stays,
        diagnoses_icd=["1,21,1,I4891,10", "2,22,1,I480,10", "1,21,2,E8490,9", "2,22,2,E8498,9"],
        procedures_icd=["1,21,1,,3961,9", "2,22,1,,3964,9", "1,21,2,,02100Z9,10", "2,22,2,,02104Z9,10"],
        prescriptions=["1,21,MAIN,Metoprolol", "2,22,MAIN,Metolazone"],
    )
    admissions = read_hospital(tmp_path).admissions
    levels: tuple[tuple[Level, float], ...] = (("full", 0.0), ("3", 2.0))
    for level, alike in levels:
        profiles = profiles_of(admissions, level=level)
        _, tau = Searcher(build_pool(profiles, np.arange(2)), weights=Weights(), k=1).search(profiles, np.arange(2))
        assert tau.tolist() == [[alike], [alike]]


@pytest.mark.parametrize("wrong", [{"diagnoses": -1}, {"diagnoses": 0, "medications": 0, "procedures": 0}])
def test_weights_that_mean_nothing_are_refused(wrong: dict):
    with pytest.raises(ConfigError, match="one of them above 0"):
        Weights(**wrong)


@pytest.mark.real
@pytest.mark.parametrize("level", ["full", "3"])
def test_on_the_demo_of_mimic_iv_the_answer_is_that_of_python_sets(real_data: Path, level: Level):
    admissions = read_hospital(hosp_folder(real_data / "mimic_iv_demo_2.2")).admissions
    profiles = profiles_of(admissions, level=level)
    owner = pc.index_in(admissions["subject_id"], value_set=pc.unique(admissions["subject_id"])).to_numpy()
    owner = owner.astype(np.int64)
    found = Searcher(build_pool(profiles, owner), weights=Weights(), k=3).search(profiles, owner)
    truth = by_sets(profiles, owner, profiles, owner, Weights(), 3)
    assert (found[0] == truth[0]).all()
    assert (found[1] == truth[1]).all()
    assert (owner[found[0]] != owner[:, None]).all()
