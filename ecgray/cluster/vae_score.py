"""What an autoencoder makes of recordings that it never saw: millivolts, heart rate, intervals, power."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from ecgray.metrics.fidelity import lead_correlation, mean_absolute_error, median_interval, power_above
from ecgray.sediff.input import resample
from ecgray.sediff.vae import Vae
from ecgray.tables import COUNTS_PER_MV, FS, SAMPLES
from ecgray.training.shards import ordered_batches, select
from ecgray.waveform.beats import crop_beats
from ecgray.waveform.delineator.reader import WaveReader

INTERVALS = ("heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "p_ms")
GATES = {"heart_rate_bpm": 1.0, "qt_ms": 10.0}
"""Median errors of the reconstruction that are asked for at the most."""
HIGH_HZ = 40.0
PEER_SAMPLES = 1024


def score_vae(vae: Vae, records: Path, most: int, *, seed: int) -> dict[str, Any]:
    """Reconstruct records of splits val and test, `most` of them; medians with 95 % intervals over records.

    Beside it stand a flat line, and what 102.4 Hz alone costs (resampled there and back, no network).
    """
    real = held_out(records, most, seed=seed)
    rows = {
        "reconstruction": reconstruct(vae, real),
        "resampled only": _resampled(real),
        "flat line": np.zeros_like(real),
    }
    reader = WaveReader.load()
    found = measure_all(reader, real)
    measured = [one.values for one in found]
    table = {name: _row(real, other, measured, reader) for name, other in rows.items()}
    beats = _beats(vae, real, [np.asarray(one.r_peaks, np.int64) for one in found])
    ours = table["reconstruction"]
    figures = {
        "mae_mv": ours["mae_mv"]["median"],
        "correlation": ours["correlation"]["median"],
        "heart_rate_error_bpm": ours["heart_rate_bpm"]["median"],
        "qt_error_ms": ours["qt_ms"]["median"],
        "qrs_error_ms": ours["qrs_ms"]["median"],
        "power_lost_above_40_hz": ours["power_lost_above_40_hz"]["median"],
        "beat_mae_mv": beats["decoded"]["mae_mv"]["median"],
        "beat_correlation": beats["decoded"]["correlation"]["median"],
        "gate": all(ours[name]["median"] is not None and ours[name]["median"] <= most for name, most in GATES.items()),
    }
    return {"records": len(real), "delineator": reader.fingerprint, "table": table, "beats": beats, "figures": figures}


def held_out(records: Path, most: int, *, seed: int) -> Float32[np.ndarray, "record lead=12 time=5000"]:
    """Records of splits val and test in mV, drawn once."""
    splits = [select(records, None, split=split) for split in ("val", "test")]
    chosen = np.sort(np.random.default_rng(seed).permutation(sum(map(len, splits)))[:most])
    found = []
    for selection, before in zip(splits, (0, len(splits[0])), strict=True):
        rows = chosen[(chosen >= before) & (chosen < before + len(selection))] - before
        batches = ordered_batches(selection, rows, batch_size=64, rank=0, world=1, kind=np.float32)
        found += [counts / np.float32(COUNTS_PER_MV) for counts in batches]
    return np.concatenate(found)


@torch.inference_mode()
def reconstruct(vae: Vae, real: Float32[np.ndarray, "record lead time"]) -> Float32[np.ndarray, "record lead time"]:
    """Through the latent and back."""
    device = next(vae.parameters()).device
    batches = [torch.from_numpy(real[start : start + 32]).to(device) for start in range(0, len(real), 32)]
    return np.concatenate([vae.reconstruct(batch).cpu().numpy() for batch in batches])


@torch.inference_mode()
def _beats(
    vae: Vae, real: Float32[np.ndarray, "record lead time"], peaks: list[Int64[np.ndarray, " _"]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """How near the decoded beat comes to each record's first whole one (Eq. 13); records without one are left out.

    Beside it the mean of all these beats, one for everybody: what a decoder scores that does not look at its latent.
    """
    crops = [crop_beats(ecg, r_peaks) for ecg, r_peaks in zip(real, peaks, strict=True)]
    known = np.array([len(one) > 0 for one in crops], bool)
    if not known.any():
        return {name: dict.fromkeys(("mae_mv", "correlation"), _summary(np.array([]))) for name in ("decoded", "mean")}
    first = np.stack([one[0] for one in crops if len(one)])
    device = next(vae.parameters()).device
    batches = [torch.from_numpy(real[known][start : start + 32]).to(device) for start in range(0, len(first), 32)]
    decoded = np.concatenate([vae.decode_beat(vae.encode(batch)).cpu().numpy() for batch in batches])
    rows = {"decoded": decoded, "mean": np.broadcast_to(first.mean(axis=0), first.shape)}
    return {
        name: {
            "mae_mv": _summary(mean_absolute_error(first, other)),
            "correlation": _summary(_mean_correlation(first, other)),
        }
        for name, other in rows.items()
    }


def _mean_correlation(
    real: Float32[np.ndarray, "record lead time"], other: Float32[np.ndarray, "record lead time"]
) -> Float64[np.ndarray, " record"]:
    """Over leads; a flat one counts as 0."""
    each = lead_correlation(real.astype(np.float64), other.astype(np.float64))
    return np.where(np.isfinite(each), each, 0.0).mean(axis=1)


def _resampled(real: Float32[np.ndarray, "record lead time"]) -> Float32[np.ndarray, "record lead time"]:
    return resample(resample(torch.from_numpy(real), PEER_SAMPLES), SAMPLES).numpy()


def measure_all(reader: WaveReader, signal: Float32[np.ndarray, "record lead time"]) -> list[Any]:
    """The intervals of many records, a few at a time."""
    return [one for start in range(0, len(signal), 16) for one in reader.measure(signal[start : start + 16])]


def _row(
    real: Float32[np.ndarray, "record lead time"],
    other: Float32[np.ndarray, "record lead time"],
    measured: list[dict[str, float | None]],
    reader: WaveReader,
) -> dict[str, dict[str, Any]]:
    """Median, 95 % interval and support of each measure."""
    found = [one.values for one in measure_all(reader, other)]
    before, after = (power_above(one, fs=FS, hz=HIGH_HZ) for one in (real, other))
    columns = {
        "mae_mv": mean_absolute_error(real, other),
        "correlation": _mean_correlation(real, other),
        "power_lost_above_40_hz": 1 - np.divide(after, before, out=np.full(len(before), np.nan), where=before > 0),
    }
    for name in INTERVALS:
        pairs = np.array([[a[name], b[name]] for a, b in zip(measured, found, strict=True)], np.float64)
        columns[name] = np.abs(pairs[:, 1] - pairs[:, 0])
    return {name: _summary(values) for name, values in columns.items()}


def _summary(values: np.ndarray) -> dict[str, Any]:
    median, low, high = median_interval(values)
    known = int(np.isfinite(values).sum())
    numbers = {"median": median, "low": low, "high": high}
    return {name: round(value, 4) if known else None for name, value in numbers.items()} | {"records": known}
