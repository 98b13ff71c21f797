"""The search for copies of training records: it finds what was planted, and agrees with the search of everything."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest

from ecgray.metrics.memorisation import (
    Library,
    Nearest,
    best_correlation,
    find_nearest,
    magnitudes,
    planted_copies,
    thumbnails,
)

RNG = np.random.default_rng(0)


def hearts(records: int) -> np.ndarray:
    """Pulse trains of their own rate, heights and noise, counts."""
    time = np.arange(5000)
    found = []
    for _ in range(records):
        period = RNG.integers(280, 600)
        phase = (time + RNG.integers(0, 600)) % period
        height = RNG.normal(0, 900, (12, 1))
        wave = height * np.exp(-0.5 * ((phase - 150) / 10) ** 2)
        wave = wave + RNG.normal(0, 250, (12, 1)) * np.exp(-0.5 * ((phase - 270) / 30) ** 2)
        found.append(wave + np.cumsum(RNG.normal(0, 3, (12, 5000)), axis=-1))
    return np.clip(np.array(found), -32000, 32000).astype(np.int16)


def library(counts: np.ndarray) -> list[Library]:
    return [Library(thumbnails(counts))]


def cut(whole: Library, rows: int) -> list[Library]:
    """The same library in parts of so many records."""
    assert whole.embedding is not None
    starts = range(0, len(whole.small), rows)
    return [Library(whole.small[at : at + rows], whole.embedding[at : at + rows]) for at in starts]


def same(one: Nearest, other: Nearest) -> bool:
    """To the last bit."""
    return all(np.array_equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(Nearest))


def test_planted_copies_are_found() -> None:
    train = hearts(150)
    chosen = np.arange(0, 150, 10)
    found = find_nearest(thumbnails(planted_copies(train[chosen], chosen, seed=0)), library(train))
    assert found.record.tolist() == chosen.tolist()
    others = find_nearest(thumbnails(hearts(40)), library(train))
    assert found.correlation.min() > np.percentile(others.correlation, 99)
    assert np.abs(found.shift_s).max() <= 0.5


def test_the_nearest_is_that_of_a_search_of_everything() -> None:
    """With as many candidates as records the search is one of everything; with few it is hardly worse."""
    train, asked = library(hearts(120)), thumbnails(hearts(25))
    whole, few = (find_nearest(asked, train, candidates=n) for n in (120, 32))
    assert (few.correlation <= whole.correlation + 1e-12).all()
    assert (whole.correlation - few.correlation).mean() < 0.02


@pytest.mark.parametrize("shift", [-100, 0, 64])
def test_a_shift_a_scale_and_an_offset_do_not_hide_a_copy(shift: int) -> None:
    small = thumbnails(hearts(1))
    moved = (np.roll(small, shift, axis=-1) // 2 + 300).astype(np.int16)
    found, by = best_correlation(small[0], moved)
    assert found[0] > 0.999
    assert by[0] == shift


def test_correlation_is_pearsons() -> None:
    one, others = RNG.integers(-900, 900, (12, 1000)).astype(np.int16), RNG.integers(-900, 900, (2, 12, 1000))
    found, shift = best_correlation(one, others.astype(np.int16))
    for n, by in enumerate(shift):
        stretch = others[n, :, 100 + by : 900 + by]
        golden = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(one[:, 100:900], stretch, strict=True)])
        assert found[n] == pytest.approx(golden, abs=1e-9)


def test_a_flat_line_resembles_nobody() -> None:
    found = find_nearest(np.zeros((1, 12, 1000), np.int16), library(hearts(5)))
    assert found.correlation.tolist() == [0.0]


@pytest.mark.real
def test_copies_of_real_recordings_stand_out_among_other_patients(real_data: Path) -> None:
    """Twenty-two recordings of PTB-XL at 100 Hz, and as many that a diffusion model made (SSSD-ECG)."""
    folder = real_data / "sssd_turing"
    real, made = (
        np.rint(1000 * np.load(folder / f"samples_{name}_22.npy", allow_pickle=False)).astype(np.int16)
        for name in ("real", "synthetic")
    )
    known = [Library(real)]
    noise = RNG.normal(0, 20, real.shape)
    copies = np.rint(1.1 * np.roll(real, 40, axis=-1) + noise).astype(np.int16)
    found = find_nearest(copies, known)
    assert found.record.tolist() == list(range(22))
    assert found.correlation.min() > find_nearest(made, known).correlation.max()


def test_embeddings_have_a_nearest_of_their_own() -> None:
    known = Library(thumbnails(hearts(6)), np.eye(6))
    found = find_nearest(known.small[:2], [known], embedding=np.eye(6)[[4, 5]] + 0.1)
    assert found.embedding_record.tolist() == [4, 5]
    assert found.record.tolist() == [0, 1]
    assert found.embedding_distance[0] == pytest.approx(np.sqrt(6) * 0.1)


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_the_nearest_is_the_same_however_the_library_is_cut(rows: int) -> None:
    """Some records stand in it twice: of equally near ones the first is named."""
    small = thumbnails(hearts(90))
    vectors = RNG.normal(size=(90, 48)).astype(np.float32)
    again = RNG.permutation(90)[:40]
    whole = Library(np.concatenate([small, small[again]]), np.concatenate([vectors, vectors[again]]))
    asked = np.concatenate([thumbnails(hearts(20)), small[:5]])
    embedding = np.concatenate([RNG.normal(size=(20, 48)), vectors[:5]])
    one = find_nearest(asked, [whole], embedding=embedding, candidates=8)
    assert one.record[20:].tolist() == one.embedding_record[20:].tolist() == list(range(5))
    assert same(find_nearest(asked, cut(whole, rows), embedding=embedding, candidates=8), one)


def test_magnitudes_have_products_without_rounding() -> None:
    found = magnitudes(thumbnails(hearts(40)))
    exact = found.astype(np.int64) @ found.T.astype(np.int64)
    assert (found == np.rint(found)).all()
    assert exact.max() < 2**24
    assert ((found @ found.T).astype(np.int64) == exact).all()


@dataclass(frozen=True)
class Drawn:
    """Parts that exist only while they are looked at."""

    parts: int

    def __iter__(self) -> Iterator[Library]:
        for part in range(self.parts):
            random = np.random.default_rng(part)
            yield Library(random.integers(-500, 500, (100, 12, 1000), np.int16), random.normal(size=(100, 8)))


def test_memory_does_not_grow_with_the_library() -> None:
    asked, embedding = RNG.integers(-500, 500, (3, 12, 1000)).astype(np.int16), RNG.normal(size=(3, 8))
    peaks = []
    for parts in (2, 10):
        tracemalloc.start()
        find_nearest(asked, Drawn(parts), embedding=embedding, candidates=4)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_a_planted_copy_does_not_depend_on_those_beside_it() -> None:
    train, numbers = hearts(4), np.array([3, 8, 9, 40])
    whole = planted_copies(train, numbers, seed=1)
    assert (
        np.concatenate([planted_copies(train[n : n + 1], numbers[n : n + 1], seed=1) for n in range(4)]) == whole
    ).all()
    assert (planted_copies(train, numbers, seed=2) != whole).any(axis=(1, 2)).all()
