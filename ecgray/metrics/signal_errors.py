"""How far an ECG is from the recording it is paired with: millivolts, two normalisers, correlation; as it is and moved.

A generated ECG owes its recording the rhythm and the shape of its waves, not the moment of its first beat. So each
measure stands a second time, with the other ECG moved by up to a second to where it fits best. The middle of the
recording is then compared with an equally long stretch of the other one: always the same samples of the recording, so
that a flat line gains nothing by being moved.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from jaxtyping import Float, Int

from ecgray.leads import frontal_residual
from ecgray.metrics.fidelity import lead_correlation, mean_absolute_error

MOST_SHIFT = 500
"""Samples by which an ECG may be moved: 1 s."""
PLAIN = ("mae_mv", "nrmse_range", "nrmse_lead", "correlation")
"""The measures of `signal_errors`; `aligned_errors` gives each as <name>_aligned."""


def signal_errors(
    real: Float[np.ndarray, "record lead time"], other: Float[np.ndarray, "record lead time"]
) -> dict[str, Float[np.ndarray, " record"]]:
    """MAE (mV), NRMSE by both normalisers and mean correlation over leads, a value a record.

    nrmse_range = RMSE over all leads / (highest - lowest value in any lead of the recording);
    nrmse_lead = mean over leads of RMSE / peak-to-peak of that lead, flat leads left out.
    A lead that is flat in one of the two counts as correlation 0.

    >>> one = np.array([[[0.0, 2.0, 0.0, 2.0]]])
    >>> {name: float(value[0]) for name, value in signal_errors(one, one * 0).items()}
    {'mae_mv': 1.0, 'nrmse_range': 0.7071067811865476, 'nrmse_lead': 0.7071067811865476, 'correlation': 0.0}
    """
    real, other = real.astype(np.float64), other.astype(np.float64)
    square = np.square(real - other).mean(axis=-1)  # (record, lead)
    span = real.max(axis=(1, 2)) - real.min(axis=(1, 2))
    each = _divide(np.sqrt(square), np.ptp(real, axis=-1))
    known = np.isfinite(each)
    correlation = lead_correlation(real, other)
    return {
        "mae_mv": mean_absolute_error(real, other),
        "nrmse_range": _divide(np.sqrt(square.mean(axis=-1)), span),
        "nrmse_lead": _divide(np.where(known, each, 0.0).sum(axis=-1), known.sum(axis=-1)),
        "correlation": np.where(np.isfinite(correlation), correlation, 0.0).mean(axis=-1),
    }


def aligned_errors(
    real: Float[np.ndarray, "record lead time"],
    other: Float[np.ndarray, "record lead time"],
    *,
    most: int = MOST_SHIFT,
) -> dict[str, Float[np.ndarray, " record"]]:
    """The same with `other` moved by up to `most` samples to where its squared error is least."""
    shift = best_shift(real, other, most=most)
    found = signal_errors(real[..., most : real.shape[-1] - most], moved(other, shift, most=most))
    return {f"{name}_aligned": value for name, value in found.items()}


def best_shift(
    real: Float[np.ndarray, "record lead time"], other: Float[np.ndarray, "record lead time"], *, most: int
) -> Int[np.ndarray, " record"]:
    """By how many samples `other` comes later than `real`, -`most` to `most`; 0 where no shift is better.

    The squared error of every shift at once: the energies of the stretches are running sums, the products a circular
    correlation by the Fourier transform, in which nothing wraps round because the recording's middle is shorter.

    >>> wave = np.random.default_rng(0).standard_normal((1, 2, 200))
    >>> best_shift(wave, np.roll(wave, 7, axis=-1), most=20).tolist()
    [7]
    """
    samples = real.shape[-1]
    middle, other = (one.astype(np.float32) for one in (real[..., most : samples - most], other))
    spectrum = np.conj(scipy.fft.rfft(middle, samples)) * scipy.fft.rfft(other)
    product = scipy.fft.irfft(spectrum.sum(axis=1), samples)[:, : 2 * most + 1]
    energy = np.cumsum(np.square(other, dtype=np.float64).sum(axis=1), axis=-1)
    before = np.pad(energy, ((0, 0), (1, 0)))
    width = samples - 2 * most
    stretch = before[:, width : width + 2 * most + 1] - before[:, : 2 * most + 1]
    nearest = np.argsort(np.abs(np.arange(-most, most + 1)), kind="stable")  # of equal ones the smallest shift
    cost = (stretch - 2 * product)[:, nearest]
    return nearest[cost.argmin(axis=1)] - most


def moved(
    other: Float[np.ndarray, "record lead time"], shift: Int[np.ndarray, " record"], *, most: int
) -> Float[np.ndarray, "record lead shorter"]:
    """The stretch of each ECG that lies under the recording's middle once it is moved back by `shift`."""
    windows = np.lib.stride_tricks.sliding_window_view(other, other.shape[-1] - 2 * most, axis=-1)
    return windows[np.arange(len(other)), :, shift + most]


def identity_residual(ecg: Float[np.ndarray, "record lead=12 time"]) -> dict[str, Float[np.ndarray, " record"]]:
    """How far III, aVR, aVL and aVF are from what I and II (in mV) say they are: mean and largest, in uV.

    >>> ecg = np.zeros((1, 12, 4))
    >>> ecg[0, 2] = 0.004
    >>> {name: round(float(value[0]), 6) for name, value in identity_residual(ecg).items()}
    {'identity_mean_uv': 1.0, 'identity_max_uv': 4.0}
    """
    off = 1000 * np.abs(frontal_residual(ecg))
    return {"identity_mean_uv": off.mean(axis=(1, 2)), "identity_max_uv": off.max(axis=(1, 2))}


def _divide(above: Float[np.ndarray, "*axis"], below: np.ndarray) -> Float[np.ndarray, "*axis"]:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 1e-9)
