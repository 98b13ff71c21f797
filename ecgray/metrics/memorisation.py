"""Whether a generator copies its training records: the nearest one to each ECG, by waves and by embedding.

The nearest training record is the one whose leads correlate best, on average over leads, at any shift within a second.
How near is too near? As near as real patients never come: the same search from held-out patients gives the distances
that similar hearts have. A planted copy (a training record, moved, rescaled and with noise on it) shows that the search
finds what it is for.

Comparing everything with everything at every shift would take hours. A shift leaves the magnitude of a spectrum as it
is; so magnitudes are compared first, one matrix product for all pairs, then the few nearest (and the few nearest by
embedding) exactly. What this may miss is a record that correlates by chance more than those whose rhythm agrees; never
a copy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.signal
from jaxtyping import Float, Float32, Int, Int16

SEARCH_FS = 100
"""Samples a second at which ECGs are compared: nothing above 50 Hz tells two hearts apart."""
SEARCH_SAMPLES = 1000
MOST_SHIFT = SEARCH_FS
"""A copy may be moved by a second."""
TOP_HZ = 40
_STORED_FS, _COUNTS_PER_MV = 500, 1000
_SCREEN_LEADS = (0, 1, 6, 7, 10)  # I, II, V1, V2, V5
_BLOCK = 256


def thumbnails(counts: Int16[np.ndarray, "record lead=12 time=5000"]) -> Int16[np.ndarray, "record lead=12 time=1000"]:
    """The ECGs at 100 Hz, counts of 1/1000 mV, low-passed below 50 Hz."""
    small = scipy.signal.resample_poly(counts.astype(np.float32), 1, _STORED_FS // SEARCH_FS, axis=-1)
    return np.clip(np.rint(small), -32768, 32767).astype(np.int16)


def magnitudes(small: Int16[np.ndarray, "record lead=12 time=1000"]) -> Float32[np.ndarray, "record feature"]:
    """What a shift leaves (nearly) alone: magnitudes of five leads' spectra up to 40 Hz, length 1 together."""
    leads = small[:, list(_SCREEN_LEADS)].astype(np.float32)
    leads -= leads.mean(axis=-1, keepdims=True)
    window = scipy.signal.windows.hann(SEARCH_SAMPLES).astype(np.float32)
    last = TOP_HZ * SEARCH_SAMPLES // SEARCH_FS
    found = np.abs(scipy.fft.rfft(leads * window))[..., 1 : last + 1].reshape(len(small), -1)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)


def best_correlation(
    small: Int16[np.ndarray, "lead time"], others: Int16[np.ndarray, "other lead time"], *, most: int = MOST_SHIFT
) -> tuple[Float[np.ndarray, " other"], Int[np.ndarray, " other"]]:
    """The mean over leads of Pearson's correlation at the best shift, and that shift; a flat lead counts as 0.

    The middle of `small` against every equally long stretch of each other: products by the Fourier transform, the
    stretches' deviations by running sums.

    >>> one = np.random.default_rng(0).integers(-500, 500, (12, 1000)).astype(np.int16)
    >>> found, shift = best_correlation(one, np.roll(one, 30, axis=-1)[None] // 2)
    >>> round(float(found[0]), 3), int(shift[0])
    (1.0, 30)
    """
    samples = small.shape[-1]
    middle = small[:, most : samples - most].astype(np.float64)
    middle -= middle.mean(axis=-1, keepdims=True)
    length = np.sqrt(np.square(middle).sum(axis=-1))
    values = others.astype(np.float64)
    values -= values.mean(axis=-1, keepdims=True)  # large offsets would cost digits in the running sums
    product = scipy.fft.irfft(np.conj(scipy.fft.rfft(middle, samples)) * scipy.fft.rfft(values), samples)
    product = product[..., : 2 * most + 1]
    width = samples - 2 * most
    sums, squares = (_stretches(each, width) for each in (values, np.square(values)))
    deviation = np.sqrt(np.maximum(squares - sums**2 / width, 0.0))
    size = length[:, None] * deviation
    each = np.divide(product, size, out=np.zeros_like(product), where=size > 1e-3)
    mean = each.mean(axis=1)  # (other, shift)
    best = mean.argmax(axis=1)
    return mean[np.arange(len(others)), best], best - most


def _stretches(values: Float[np.ndarray, "other lead time"], width: int) -> Float[np.ndarray, "other lead shift"]:
    total = np.pad(np.cumsum(values, axis=-1), ((0, 0), (0, 0), (1, 0)))
    return total[..., width:] - total[..., :-width]


@dataclass(frozen=True)
class Library:
    """The training records that a copy could be of; the arrays may be memory-mapped files."""

    small: Int16[np.ndarray, "record lead=12 time=1000"]
    magnitude: Float32[np.ndarray, "record feature"]
    embedding: Float[np.ndarray, "record width"] | None = None


@dataclass(frozen=True)
class Nearest:
    """The nearest training record of each ECG."""

    record: Int[np.ndarray, " ecg"]
    """Which one by its waves."""
    correlation: Float[np.ndarray, " ecg"]
    shift_s: Float[np.ndarray, " ecg"]
    embedding_record: Int[np.ndarray, " ecg"]
    """Which one by its embedding; -1 without embeddings."""
    embedding_distance: Float[np.ndarray, " ecg"]
    """Euclidean; NaN without embeddings."""


def find_nearest(
    small: Int16[np.ndarray, "ecg lead=12 time=1000"],
    library: Library,
    *,
    embedding: Float[np.ndarray, "ecg width"] | None = None,
    candidates: int = 32,
) -> Nearest:
    """The nearest record of the library to each ECG; `candidates` are compared exactly."""
    rows: list[tuple[int, float, float, int, float]] = []
    kept = min(candidates, len(library.small))
    for start in range(0, len(small), _BLOCK):
        part = slice(start, start + _BLOCK)
        closeness = magnitudes(small[part]) @ library.magnitude.T
        chosen = np.argpartition(-closeness, kept - 1, axis=1)[:, :kept]
        by_embedding, distance = np.full(len(chosen), -1), np.full(len(chosen), np.nan)
        if embedding is not None and library.embedding is not None:
            square = _squares(embedding[part], library.embedding)
            near = np.argpartition(square, kept - 1, axis=1)[:, :kept]
            chosen = np.concatenate([chosen, near], axis=1)
            by_embedding = square.argmin(axis=1)
            distance = np.sqrt(square[np.arange(len(square)), by_embedding])
        for place, ecg in enumerate(small[part]):
            among = np.unique(chosen[place])
            correlation, shift = best_correlation(ecg, library.small[among])
            best = int(correlation.argmax())
            found = (int(among[best]), float(correlation[best]), float(shift[best]) / SEARCH_FS)
            rows.append((*found, int(by_embedding[place]), float(distance[place])))
    columns = np.array(rows, np.float64).reshape(-1, 5).T
    return Nearest(columns[0].astype(int), columns[1], columns[2], columns[3].astype(int), columns[4])


def _squares(rows: Float[np.ndarray, "row width"], columns: Float[np.ndarray, "column width"]) -> np.ndarray:
    lengths = [np.square(each.astype(np.float64)).sum(axis=1) for each in (rows, columns)]
    products = rows.astype(np.float64) @ columns.T.astype(np.float64)
    return np.maximum(lengths[0][:, None] + lengths[1] - 2 * products, 0.0)


def planted_copies(
    counts: Int16[np.ndarray, "record lead=12 time=5000"], *, seed: int, noise_mv: float = 0.02
) -> Int16[np.ndarray, "record lead=12 time=5000"]:
    """Copies that are hard to see: moved by up to half a second, 10 % larger or smaller, noise of 20 uV on top.

    What is moved in at one end is what was moved out at the other.
    """
    random = np.random.default_rng([seed, 2])
    copies = []
    for ecg in counts:
        turned = np.roll(ecg, int(random.integers(-_STORED_FS // 2, _STORED_FS // 2 + 1)), axis=-1)
        noise = random.normal(0.0, noise_mv * _COUNTS_PER_MV, ecg.shape)
        copies.append(np.clip(np.rint(random.uniform(0.9, 1.1) * turned + noise), -32768, 32767))
    return np.array(copies, np.float64).reshape(-1, *counts.shape[1:]).astype(np.int16)
