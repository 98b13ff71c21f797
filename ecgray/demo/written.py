"""ECGs written from text, as the demo's report shows them: on paper, asked beside measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecgray.demo.chapters import Writing, Written
from ecgray.parquet import read_table
from ecgray.tables import ecg_counts
from ecgray.waveform.paper import draw_paper


@dataclass(frozen=True, kw_only=True)
class WritingRun:
    """What the generator's stages wrote."""

    generator: Path
    """OUT of the train_diffusion job."""
    written: Path
    """OUT of the generate job."""
    intervals: Path
    """OUT of a measure job on what was written."""


def read_writing(run: WritingRun) -> Writing:
    """The first ECG of each prompt on paper, and how far all heart rates are from what was asked."""
    asked = read_table(run.written / "generated", ["record_id", "prompt", "heart_rate_bpm", "flags"])
    measured = read_table(run.intervals / "intervals", ["record_id", "heart_rate_bpm"])
    rate_of = dict(zip(*(measured[name].to_pylist() for name in ("record_id", "heart_rate_bpm")), strict=True))
    rows = asked.to_pylist()
    apart = [
        abs(rate_of[row["record_id"]] - row["heart_rate_bpm"])
        for row in rows
        if row["heart_rate_bpm"] is not None and rate_of.get(row["record_id"]) is not None
    ]
    first = {row["prompt"]: place for place, row in reversed(list(enumerate(rows)))}
    records = read_table(run.written / "records", ["ecg"])
    shown = []
    for place in sorted(first.values()):
        row = rows[place]
        svg = draw_paper(ecg_counts(records.slice(place, 1)["ecg"])[0], title=row["prompt"][:90], synthetic=True)
        shown.append(
            Written(
                svg=svg,
                prompt=row["prompt"],
                asked_bpm=row["heart_rate_bpm"],
                measured_bpm=rate_of.get(row["record_id"]),
                flags=tuple(row["flags"]),
            )
        )
    trained, drew = (json.loads((folder / "figures.json").read_text()) for folder in (run.generator, run.written))
    return Writing(
        shown=tuple(shown),
        steps=trained["steps"],
        records=trained["records"],
        asked=sum(row["heart_rate_bpm"] is not None for row in rows),
        measured=len(apart),
        error_bpm=float(np.median(apart)) if apart else None,
        seconds_each=1 / drew["records_per_s"] if drew["records_per_s"] else 0.0,
        sampling=f"{drew['sampler']}, {drew['steps']} steps, guidance {drew['guidance_scale']:g}",
    )
