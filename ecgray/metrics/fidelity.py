"""How near a signal comes to another one: arrays in, numbers out, one a record."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def mean_absolute_error(
    real: Float[np.ndarray, "record lead time"], other: Float[np.ndarray, "record lead time"]
) -> Float[np.ndarray, " record"]:
    """Mean absolute difference over leads and samples, in the unit of the signals (mV).

    >>> mean_absolute_error(np.zeros((1, 1, 2)), np.array([[[1.0, -3.0]]])).tolist()
    [2.0]
    """
    return np.abs(real - other).mean(axis=(1, 2))


def lead_correlation(
    real: Float[np.ndarray, "record lead time"], other: Float[np.ndarray, "record lead time"]
) -> Float[np.ndarray, "record lead"]:
    """Pearson's correlation of each lead; NaN where one of the two is flat.

    >>> wave = np.sin(np.arange(100.0))[None, None]
    >>> np.round(lead_correlation(wave, -2 * wave + 5), 6).tolist()
    [[-1.0]]
    """
    a, b = real - real.mean(-1, keepdims=True), other - other.mean(-1, keepdims=True)
    size = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.divide((a * b).sum(-1), size, out=np.full(size.shape, np.nan), where=size > 1e-9)


def power_above(signal: Float[np.ndarray, "record lead time"], *, fs: float, hz: float) -> Float[np.ndarray, " record"]:
    """The part of a signal's variance that lies above `hz`, summed over leads, in squared units (mV^2).

    >>> time = np.arange(500) / 500
    >>> waves = np.sin(2 * np.pi * 10 * time) + 0.5 * np.sin(2 * np.pi * 60 * time)
    >>> round(float(power_above(waves[None, None], fs=500, hz=40)[0]), 4)
    0.125
    """
    samples = signal.shape[-1]
    power = np.abs(np.fft.rfft(signal)) ** 2 * 2 / samples**2
    return power[..., np.fft.rfftfreq(samples, 1 / fs) > hz].sum(axis=(1, 2))


def median_interval(
    values: Float[np.ndarray, " record"], *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """The median of what is a number, and the 95 % interval of it by resampling records; NaN where there is none.

    >>> median_interval(np.array([1.0, 2.0, np.nan, 3.0]))[0]
    2.0
    """
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return float("nan"), float("nan"), float("nan")
    random = np.random.default_rng(seed)
    medians = [np.median(known[random.integers(len(known), size=len(known))]) for _ in range(resamples)]
    low, high = np.percentile(medians, [2.5, 97.5])
    return float(np.median(known)), float(low), float(high)
