"""ECGs through the autoencoder and back, as the demo's report shows them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float32

from ecgray.demo.chapters import Rebuilding
from ecgray.errors import ConfigError
from ecgray.sediff.folder import load_vae
from ecgray.sediff.picture import draw_rebuilt
from ecgray.tables import COUNTS_PER_MV, ecg_counts
from ecgray.waveform.record import read_recording
from ecgray.waveform.standard import standardise


@dataclass(frozen=True, kw_only=True)
class VaeRun:
    """What the stage of the autoencoder read and wrote."""

    records: Path
    """The file of records that it learnt from; its test records were not among them."""
    vae: Path
    real: Path | None
    """A real recording to show too."""


def rebuild(run: VaeRun) -> Rebuilding:
    """A drawn ECG of a test patient, and the real one if there is one, beside their reconstructions and beats."""
    vae = load_vae(run.vae).vae
    pictures = [draw_rebuilt(vae, _first_test(run.records), title="A drawn ECG of a test patient", synthetic=True)]
    if run.real is not None:
        title = "A real ECG, of a kind that it never learnt from"
        pictures.append(draw_rebuilt(vae, read_real(run.real), title=title, synthetic=False))
    figures = json.loads((run.vae / "figures.json").read_text())
    return Rebuilding(
        pictures=tuple(pictures),
        steps=figures["steps"],
        records=figures["records"],
        mae_mv=figures["mae_mv"],
        correlation=figures["correlation"],
        heart_rate_error_bpm=figures["heart_rate_error_bpm"],
        qt_error_ms=figures["qt_error_ms"],
    )


def read_real(recording: Path) -> Float32[np.ndarray, "lead=12 time=5000"]:
    """A WFDB recording in mV at 500 Hz; the path may end in .hea."""
    if not recording.with_suffix(".hea").is_file():
        raise ConfigError(f"there is no recording {recording}; give the path of a WFDB header (.hea).")
    return standardise(read_recording(recording.with_suffix(""))).counts.astype(np.float32) / COUNTS_PER_MV


def _first_test(part: Path) -> Float32[np.ndarray, "lead=12 time=5000"]:
    """The first record of a test patient in the file."""
    with pq.ParquetFile(part, memory_map=True) as file:
        for rows in file.iter_batches(64, columns=["split", "ecg"]):
            test = rows.filter(pc.equal(rows["split"], "test"))
            if test.num_rows:
                return ecg_counts(test["ecg"])[0].astype(np.float32) / COUNTS_PER_MV
    raise ConfigError(f"{part} has no record of a test patient; draw more patients.")
