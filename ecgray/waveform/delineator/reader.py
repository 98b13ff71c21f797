"""Millivolts in, waves, R peaks and intervals out: the delineator's network and what reads its probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from ecgray.artifact import load_model
from ecgray.errors import ArtifactError
from ecgray.waveform.delineator.config import CLASSES, DelineatorConfig
from ecgray.waveform.delineator.network import Delineator, folded
from ecgray.waveform.delineator.segments import Segments, segments
from ecgray.waveform.intervals import Intervals, LeadBeats, beats_of, measure, nothing, without_rate
from ecgray.waveform.r_peaks import find_r_peaks, hides_a_beat, steep_elsewhere

EMBEDDED = Path(__file__).with_name("embedded")
"""The model that ships."""
KIND = "ecgray-delineator"
MISSED_SHARE = 0.2
"""Steep places outside the beats, for each beat, above which nothing of the record is told."""


@dataclass(frozen=True)
class Reading:
    """What was found in some records."""

    p: Segments
    qrs: Segments
    t: Segments
    seen: Bool[np.ndarray, "record lead"]
    """Which leads could be read: neither flat, nor saturated, nor with values that are no numbers."""
    r_peaks: list[Int64[np.ndarray, " _"]]
    """For each record, in samples at 500 Hz."""

    def beats(self, record: int) -> list[LeadBeats]:
        """The beats of each lead that could be read."""
        return [
            beats_of(*(wave.of(record, lead) for wave in (self.p, self.qrs, self.t)))
            for lead in np.flatnonzero(self.seen[record]).tolist()
        ]


@dataclass(frozen=True)
class WaveReader:
    """A delineator ready to read."""

    network: Delineator
    fingerprint: str
    """Which model it is: stands beside whatever it measured."""
    bf16: bool = False
    """Compute in bfloat16 (autocast): twice as fast on processors that have it, ends within a millisecond or two."""

    @staticmethod
    def load(folder: Path = EMBEDDED, *, device: str = "cpu", bf16: bool = False) -> WaveReader:
        """Read a model folder that `jobs/train_delineator.py` wrote; by default the one that ships.

        Raises `ArtifactError` where the folder is damaged or holds another kind of model.
        """
        found = load_model(folder)
        if found.config.get("kind") != KIND:
            raise ArtifactError(f"{folder} holds no delineator; give OUT/model of a train_delineator job.")
        network = Delineator(DelineatorConfig(widths=tuple(found.config["widths"]), kernel=found.config["kernel"]))
        network.load_state_dict(found.tensors)
        return WaveReader(folded(network).to(device), found.fingerprint, bf16)

    def read(self, signal: Float32[np.ndarray, "record lead time"]) -> Reading:
        """Waves and R peaks of records in mV at 500 Hz; any number of leads, in any order."""
        device = next(self.network.parameters()).device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.bf16):
            found, seen = self.network.probabilities(torch.from_numpy(signal).to(device))
        probability, readable = found.cpu().numpy(), seen.cpu().numpy()
        probability = np.where(readable[..., None, None], probability, 0)
        p, qrs, t = (segments(probability[:, :, CLASSES.index(name)]) for name in ("P", "QRS", "T"))
        whole = np.nan_to_num(signal, posinf=0.0, neginf=0.0)
        peaks = find_r_peaks(whole, probability[:, :, CLASSES.index("QRS")], readable)
        return Reading(p, qrs, t, readable, peaks)

    def read_all(self, signal: Float32[np.ndarray, "record lead time"], *, batch_size: int = 16) -> Reading:
        """As `read`, but so many records at a time."""
        pieces = [self.read(signal[start : start + batch_size]) for start in range(0, len(signal), batch_size)]
        shift = np.cumsum([0] + [len(piece.seen) for piece in pieces[:-1]])

        def joined(name: str) -> Segments:
            parts = [getattr(piece, name) for piece in pieces]
            record = np.concatenate([part.record + by for part, by in zip(parts, shift, strict=True)])
            rest = ("lead", "onset", "offset", "whole")
            return Segments(record, *(np.concatenate([getattr(part, field) for part in parts]) for field in rest))

        seen = np.concatenate([piece.seen for piece in pieces])
        return Reading(
            joined("p"), joined("qrs"), joined("t"), seen, [one for piece in pieces for one in piece.r_peaks]
        )

    def measure(self, signal: Float32[np.ndarray, "record lead time"]) -> list[Intervals]:
        """The intervals of each record, mV at 500 Hz; all null where the record looks as if beats had been missed.

        Where one may have been missed, only what needs the rate is null.
        """
        if not len(signal):
            return []
        reading = self.read(signal)
        return [_measured(row[reading.seen[record]], reading, record) for record, row in enumerate(signal)]


def _measured(signal: Float32[np.ndarray, "lead time"], reading: Reading, record: int) -> Intervals:
    peaks = reading.r_peaks[record]
    steep = steep_elsewhere(signal, peaks)
    if len(steep) > MISSED_SHARE * len(peaks):
        return nothing(peaks, "beats_uncertain")
    found = measure(signal, reading.beats(record), peaks)
    return without_rate(found, "beats_uncertain") if hides_a_beat(peaks, steep) else found
