"""A regular heart for the tests of recordings: twelve leads that obey the frontal identities, and its WFDB text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecgray.leads import LEADS, derive_frontal

WAVES = {"p": (-0.16, 0.025), "q": (-0.03, 0.009), "r": (0.0, 0.011), "s": (0.03, 0.01), "t": (0.28, 0.05)}
"""Centre and width of each wave in seconds from R."""
AMPLITUDES_MV = {
    "I": (0.10, -0.05, 0.80, -0.10, 0.20),
    "II": (0.15, -0.08, 1.20, -0.15, 0.30),
    "V1": (0.06, 0.00, 0.25, -0.90, -0.10),
    "V2": (0.06, 0.00, 0.50, -1.30, 0.35),
    "V3": (0.06, 0.00, 0.80, -0.90, 0.45),
    "V4": (0.07, -0.05, 1.40, -0.50, 0.45),
    "V5": (0.07, -0.08, 1.30, -0.25, 0.35),
    "V6": (0.07, -0.08, 1.00, -0.10, 0.28),
}


def heart_mv(*, fs: float = 500, duration_s: float = 10, bpm: float = 75, noise_mv: float = 0.0) -> np.ndarray:
    """Twelve leads in mV, float64 (12, fs * duration_s)."""
    time = np.arange(round(fs * duration_s)) / fs
    beats = np.arange(-0.2, duration_s + 1, 60 / bpm) + 0.5
    shapes = [
        sum(np.exp(-0.5 * ((time - beat - centre) / width) ** 2) for beat in beats) for centre, width in WAVES.values()
    ]
    drawn = {lead: np.tensordot(row, shapes, 1) for lead, row in AMPLITUDES_MV.items()}
    if noise_mv:
        rng = np.random.default_rng(0)
        drawn = {lead: row + rng.normal(0, noise_mv, len(row)) for lead, row in drawn.items()}
    frontal = dict(zip(LEADS[2:6], derive_frontal(drawn["I"], drawn["II"]), strict=True))
    return np.stack([(drawn | frontal)[lead] for lead in LEADS])


def heart_counts(**options: float) -> np.ndarray:
    """The same in counts of 1/1000 mV, int16; even, so that the derived leads need no rounding."""
    mv = heart_mv(**options)
    counts = (2 * np.rint(mv * 500)).astype(np.int16)
    counts[2:6] = np.stack(derive_frontal(counts[0].astype(float), counts[1].astype(float))).astype(np.int16)
    return counts


def header_lines(counts: np.ndarray, *, fs: str = "500", names: Sequence[str] = LEADS) -> list[str]:
    """The lines of a header for `counts` in r.dat; the record line first."""
    lines = [f"r {len(counts)} {fs} {counts.shape[1]}"]
    for row, name in zip(counts, names, strict=True):
        checksum = int(row.astype(np.int64).sum()) % 65536
        lines.append(f"r.dat 16 1000.0(0)/mV 16 0 {row[0] if len(row) else 0} {checksum} 0 {name}")
    return lines


def dat_bytes(counts: np.ndarray) -> bytes:
    """Format 16: frame after frame."""
    return np.ascontiguousarray(counts.T).astype("<i2").tobytes()


def as_bytes(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode("utf-8")
