"""The case picture: the recording on which the first generated set does as well as it does in the median."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from jaxtyping import Float, Int16

from ecgray.cluster.evaluation_plan import Compared, Reference, open_reference
from ecgray.metrics.case_picture import Panel, draw_case
from ecgray.output import write_bytes
from ecgray.sediff.folder import load_vae
from ecgray.tables import COUNTS_PER_MV, ecg_counts
from ecgray.waveform.morphologies import fitted
from ecgray.waveform.stand_in import stand_ins

if TYPE_CHECKING:
    from ecgray.recipes.evaluate import EvaluateConfig

_LETTERS = 110
"""Longer prompts are cut in the picture."""


def draw_median_case(
    path: Path,
    config: EvaluateConfig,
    sets: Sequence[Compared],
    errors: Float[np.ndarray, " ecg"],
    recordings: Path,
    reference: Reference,
) -> None:
    """Draw one recording beside what each set has for it: not the best case, the one of the median MAE.

    `errors` are those of the first generated set, the second of `sets`. Where it has free prompts only, the first ECG
    of each generated set is drawn.
    """
    known = np.flatnonzero(np.isfinite(errors))
    if len(known):
        row = int(known[np.argsort(errors[known], kind="stable")[len(known) // 2]])
        place, real = int(sets[1].place[row]), open_reference(recordings)
        panels = [Panel(np.array(real[place]), "Recorded", _cut(reference.text[place]), synthetic=False)]
        panels.append(_generated(sets[1], row))
        found = [_panel(one, place, config, real, reference) for one in sets[2:]]
        panels += [panel for panel in found if panel is not None]
    else:
        panels = [_generated(one, 0) for one in sets if one.kind == "generated"]
    write_bytes(
        path, draw_case(panels, title="One condition: recorded, generated, and what each baseline has").encode()
    )


def _generated(one: Compared, row: int) -> Panel:
    asked = f"asked: {one.asked_bpm[row]:.0f} bpm; " if np.isfinite(one.asked_bpm[row]) else ""
    prompt = "" if one.place[row] >= 0 else f"; {one.text[row]}"
    return Panel(_stored(one, row), one.name, _cut(f"{asked}{one.preset}{prompt}"), synthetic=True)


def _panel(
    one: Compared,
    place: int,
    config: EvaluateConfig,
    real: Int16[np.ndarray, "record lead time"],
    reference: Reference,
) -> Panel | None:
    """What a set has for the recording at `place`; None where that is nothing to look at."""
    if one.kind == "generated":
        rows = np.flatnonzero(one.place == place)
        return _generated(one, int(rows[0])) if len(rows) else None
    if one.kind == "simulator":
        asked = one.asked_bpm[place : place + 1]
        drawn = stand_ins(fitted(), [reference.terms[place]], asked, seeds=[config.seed + place])
        return Panel(drawn[0], one.name, f"waves of the class {reference.terms[place]}", synthetic=True)
    if one.kind == "vae" and config.vae is not None:
        vae = load_vae(config.vae).vae
        with torch.inference_mode():
            again = vae.reconstruct(torch.from_numpy(real[place][None].astype(np.float32) / COUNTS_PER_MV))
        return Panel(again[0].numpy(), one.name, one.preset, synthetic=True)
    if one.kind == "other" and one.other[place] >= 0:
        return Panel(np.array(real[one.other[place]]), one.name, _cut(one.preset), synthetic=False)
    return None


def _stored(one: Compared, row: int) -> Int16[np.ndarray, "lead time"]:
    wanted = pa.array([one.record_ids[row]])
    with pq.ParquetFile(one.sources[row], memory_map=True) as file:
        for group in file.iter_batches(64, columns=["record_id", "ecg"]):
            kept = group.filter(pc.is_in(group["record_id"], value_set=wanted))
            if kept.num_rows:
                return np.array(ecg_counts(kept["ecg"])[0])
    raise AssertionError("an ECG that was scored is gone")


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."
