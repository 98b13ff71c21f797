"""Whether a generator copies its training records: the nearest one to each ECG, by waves and by embedding.

The nearest training record is the one whose leads correlate best, on average over leads, at any shift within a second.
How near is too near? As near as real patients never come: the same search from held-out patients gives the distances
that similar hearts have. A planted copy (a training record, moved, rescaled and with noise on it) shows that the search
finds what it is for.

Comparing everything with everything at every shift would take hours. A shift leaves the magnitude of a spectrum as it
is; so magnitudes are compared first, one matrix product for all pairs, then the few nearest (and the few nearest by
embedding) exactly. What this may miss is a record that correlates by chance more than those whose rhythm agrees; never
a copy.

The library goes by part by part, for it may be larger than memory. Nothing found depends on how it is cut: magnitudes
are whole numbers, so that their products are exact in whatever order a matrix product sums them; what is said of a pair
is computed of that pair alone.
"""

from __future__ import annotations

from collections.abc import Iterable
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
_WHOLE = 4000
"""Length of the magnitudes together: rounded, a product of two stays below 2^24, where float32 holds whole numbers."""
_TIES = 2.0**28
"""More records than any library has: among equally near ones the first is kept, in a float64 without rounding."""


def thumbnails(counts: Int16[np.ndarray, "record lead=12 time=5000"]) -> Int16[np.ndarray, "record lead=12 time=1000"]:
    """The ECGs at 100 Hz, counts of 1/1000 mV, low-passed below 50 Hz."""
    small = scipy.signal.resample_poly(counts.astype(np.float32), 1, _STORED_FS // SEARCH_FS, axis=-1)
    return np.clip(np.rint(small), -32768, 32767).astype(np.int16)


def magnitudes(small: Int16[np.ndarray, "record lead=12 time=1000"]) -> Float32[np.ndarray, "record feature"]:
    """What a shift leaves (nearly) alone: magnitudes of five leads' spectra up to 40 Hz, length 4000, rounded."""
    leads = small[:, list(_SCREEN_LEADS)].astype(np.float32)
    leads -= leads.mean(axis=-1, keepdims=True)
    window = scipy.signal.windows.hann(SEARCH_SAMPLES).astype(np.float32)
    last = TOP_HZ * SEARCH_SAMPLES // SEARCH_FS
    found = np.abs(scipy.fft.rfft(leads * window))[..., 1 : last + 1].reshape(len(small), -1)
    return np.rint(found * (_WHOLE / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)))


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
    """The training records that a copy could be of, or a part of them."""

    small: Int16[np.ndarray, "record lead=12 time=1000"]
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
    library: Iterable[Library],
    *,
    embedding: Float[np.ndarray, "ecg width"] | None = None,
    candidates: int = 32,
) -> Nearest:
    """The nearest record of a library to each ECG; `candidates` are compared exactly.

    The library's parts are gone through twice, one at a time; their records are numbered on from part to part.
    """
    near = _candidates(small, library, embedding, candidates)
    count = len(small)
    found = Nearest(
        record=np.full(count, -1),
        correlation=np.full(count, -np.inf),
        shift_s=np.zeros(count),
        embedding_record=np.full(count, -1),
        embedding_distance=np.full(count, np.nan),
    )
    first = 0
    for part in library:
        within = (near >= first) & (near < first + len(part.small))
        for ecg in np.flatnonzero(within.any(axis=1)):
            among = np.unique(near[ecg, within[ecg]])
            correlation, shift = best_correlation(small[ecg], part.small[among - first])
            best = correlation.argmax()
            if correlation[best] > found.correlation[ecg]:
                found.record[ecg], found.correlation[ecg] = among[best], correlation[best]
                found.shift_s[ecg] = shift[best] / SEARCH_FS
            if embedding is not None and part.embedding is not None:
                distance = np.linalg.norm(part.embedding[among - first] - embedding[ecg], axis=1)
                best = distance.argmin()
                if found.embedding_record[ecg] < 0 or distance[best] < found.embedding_distance[ecg]:
                    found.embedding_record[ecg], found.embedding_distance[ecg] = among[best], distance[best]
        first += len(part.small)
    return found


def _candidates(
    small: Int16[np.ndarray, "ecg lead=12 time=1000"],
    library: Iterable[Library],
    embedding: Float[np.ndarray, "ecg width"] | None,
    most: int,
) -> Int[np.ndarray, "ecg candidate"]:
    """The records whose magnitudes agree best with each ECG's, and the nearest by embedding; -1 where there is none."""
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(small), _BLOCK)]
    asked = [magnitudes(small[block]) for block in blocks]
    far = np.full((2, len(small), most), np.inf)
    record = np.full((2, len(small), most), -1)
    first = 0
    for part in library:
        number = np.arange(first, first + len(part.small))
        own = magnitudes(part.small)
        for block, magnitude in zip(blocks, asked, strict=True):
            closeness = (magnitude @ own.T).astype(np.float64)
            _keep_least(far[0, block], record[0, block], number - _TIES * closeness, number)
            if embedding is not None and part.embedding is not None:
                _keep_least(far[1, block], record[1, block], _squares(embedding[block], part.embedding), number)
        first += len(part.small)
    return np.concatenate(list(record), axis=1)


def _keep_least(
    far: Float[np.ndarray, "ecg kept"],
    record: Int[np.ndarray, "ecg kept"],
    more: Float[np.ndarray, "ecg record"],
    number: Int[np.ndarray, " record"],
) -> None:
    """Let the least of `more` take the place of what is larger in `far`, and their numbers the place in `record`."""
    both = np.concatenate([far, more], axis=1)
    kept = np.argpartition(both, far.shape[1] - 1, axis=1)[:, : far.shape[1]]
    numbers = np.concatenate([record, np.broadcast_to(number, more.shape)], axis=1)
    far[:], record[:] = (np.take_along_axis(each, kept, axis=1) for each in (both, numbers))


def _squares(rows: Float[np.ndarray, "row width"], columns: Float[np.ndarray, "column width"]) -> np.ndarray:
    lengths = [np.square(each.astype(np.float64)).sum(axis=1) for each in (rows, columns)]
    products = rows.astype(np.float64) @ columns.T.astype(np.float64)
    return np.maximum(lengths[0][:, None] + lengths[1] - 2 * products, 0.0)


def planted_copies(
    counts: Int16[np.ndarray, "record lead=12 time=5000"],
    numbers: Int[np.ndarray, " record"],
    *,
    seed: int,
    noise_mv: float = 0.02,
) -> Int16[np.ndarray, "record lead=12 time=5000"]:
    """Copies that are hard to see: moved by up to half a second, 10 % larger or smaller, noise of 20 uV on top.

    What is moved in at one end is what was moved out at the other. A copy depends on the seed and its own number alone,
    not on those beside it.
    """
    copies = np.empty_like(counts)
    for place, (ecg, number) in enumerate(zip(counts, numbers.tolist(), strict=True)):
        random = np.random.default_rng([seed, number, 2])
        turned = np.roll(ecg, int(random.integers(-_STORED_FS // 2, _STORED_FS // 2 + 1)), axis=-1)
        noise = random.normal(0.0, noise_mv * _COUNTS_PER_MV, ecg.shape)
        copies[place] = np.clip(np.rint(random.uniform(0.9, 1.1) * turned + noise), -32768, 32767)
    return copies
