"""What the delineator learns from: pieces of marked recordings, stretched, disturbed, with leads taken away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int8, Int64
from torch import Tensor

from ecgray.tables import FS
from ecgray.waveform.delineator.config import OUTPUT_FS
from ecgray.waveform.delineator.marks import UNMARKED
from ecgray.waveform.delineator.network import scaled

PIECE = 2048
"""Samples at 500 Hz of one example: 4.1 s."""
_HALF = FS // OUTPUT_FS


@dataclass(frozen=True)
class Marked:
    """Recordings with their marks."""

    ecg: Float32[np.ndarray, "record lead time"]
    """mV at 500 Hz."""
    labels: Int8[np.ndarray, "record lead step"]
    """Classes at 250 Hz, -1 where not marked."""

    def __len__(self) -> int:
        return len(self.ecg)


@dataclass(frozen=True)
class Batch:
    """Examples as the network takes them."""

    signal: Float[Tensor, "record lead time"]
    seen: Bool[Tensor, "record lead"]
    labels: Int64[Tensor, "record lead step"]


def draw_batch(marked: Marked, size: int, random: np.random.Generator) -> Batch:
    """Pieces of random recordings at random places, each with its own disturbances."""
    pieces = [_piece(marked, int(random.integers(len(marked))), random) for _ in range(size)]
    ecg = np.stack([piece[0] for piece in pieces])
    labels = np.stack([piece[1] for piece in pieces])
    ready, seen = scaled(torch.from_numpy(ecg))
    gain = torch.from_numpy(random.uniform(0.7, 1.4, (*seen.shape, 1)).astype(np.float32))
    targets = torch.from_numpy(labels.astype(np.int64)).masked_fill(~seen[..., None], UNMARKED)
    return Batch(ready * gain, seen, targets)


def _piece(
    marked: Marked, record: int, random: np.random.Generator
) -> tuple[Float32[np.ndarray, "lead time"], Int8[np.ndarray, "lead step"]]:
    """One piece: played up to a quarter faster or slower, disturbed, with leads missing half of the time."""
    ecg, labels = marked.ecg[record], marked.labels[record]
    speed = random.uniform(0.8, 1.25)
    start = random.uniform(0, ecg.shape[-1] - 1 - speed * PIECE)
    at = start + speed * np.arange(PIECE)
    left = at.astype(np.int64)
    right = np.minimum(left + 1, ecg.shape[-1] - 1)
    share = (at - left).astype(np.float32)
    signal = ecg[:, left] * (1 - share) + ecg[:, right] * share
    step = np.rint(at[::_HALF] / _HALF).astype(np.int64).clip(max=labels.shape[-1] - 1)
    targets = labels[:, step]
    signal = _disturbed(signal, random)
    if random.random() < 0.3:
        _burst(signal, targets, random)
    kept = _leads_kept(len(signal), random)
    signal[random.permutation(len(signal))[kept:]] = 0
    return signal, targets


def _leads_kept(leads: int, random: np.random.Generator) -> int:
    """All of them in half of the pieces, a single one in a sixth, else any number."""
    draw = random.random()
    return leads if draw < 1 / 2 else 1 if draw < 2 / 3 else int(random.integers(1, leads))


def _burst(
    signal: Float32[np.ndarray, "lead time"], labels: Int8[np.ndarray, "lead step"], random: np.random.Generator
) -> None:
    """A loose electrode in some leads: the signal jumps and wanders for up to 1.5 s, and nobody could mark it."""
    samples = signal.shape[-1]
    start = int(random.integers(samples))
    end = min(samples, start + int(random.uniform(0.1, 1.5) * FS))
    hit = random.random(len(signal)) < random.uniform(0.1, 1)
    size = np.maximum(np.percentile(np.abs(signal[hit]), 98, axis=1, keepdims=True), 0.05) if hit.any() else 0
    walk = np.cumsum(random.standard_normal(end - start)) / np.sqrt(FS)
    signal[hit, start:end] += size * random.uniform(1, 20) * (walk + random.choice([0.0, 1.0, -1.0]))
    labels[hit, start // _HALF : -(-end // _HALF)] = UNMARKED


def _disturbed(
    signal: Float32[np.ndarray, "lead time"], random: np.random.Generator
) -> Float32[np.ndarray, "lead time"]:
    """Breathing, muscle, mains and a reversed polarity, each now and then, in proportion to the lead's size."""
    leads, samples = signal.shape
    time = np.arange(samples) / FS
    size = np.maximum(np.percentile(np.abs(signal), 98, axis=1, keepdims=True), 0.05)
    noise = np.zeros((leads, samples))
    if random.random() < 0.6:
        noise += random.uniform(0, 0.5) * np.sin(
            2 * np.pi * (random.uniform(0.05, 0.5) * time + random.random((leads, 1)))
        )
    if random.random() < 0.5:
        loud = random.choice([0.06, 0.2], p=[0.8, 0.2])
        noise += random.uniform(0, loud) * random.standard_normal((leads, samples))
    if random.random() < 0.2:
        noise += random.uniform(0, 0.06) * np.sin(2 * np.pi * (random.choice([50, 60]) * time + random.random()))
    sign = -1 if random.random() < 0.3 else 1
    return (sign * (signal + size * noise)).astype(np.float32)
