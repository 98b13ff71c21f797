"""Intervals on Ray Data: workers that hold the delineator read the files of records and write one of intervals each."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ecgray.cluster.parts import PartWorker, read_signals, rows_of, work_through
from ecgray.cluster.workers import Workers
from ecgray.output import output_folder
from ecgray.parquet import table_folder, write_table
from ecgray.tables import INTERVALS
from ecgray.waveform.delineator.reader import EMBEDDED, WaveReader
from ecgray.waveform.intervals import VALUES

if TYPE_CHECKING:
    from ecgray.recipes.measure import MeasureConfig
    from ecgray.waveform.intervals import Intervals

_WHO = ["record_id", "subject_id"]


@dataclass(frozen=True)
class MeasurePlan:
    """What each worker is told; paths are absolute."""

    delineator: Path
    table: Path
    batch_size: int
    threads: int
    device: str
    bf16: bool = False


def measure(config: MeasureConfig) -> dict[str, Any]:
    """Measure every record; returns the figures. Writes OUT/intervals, a file for each of the records'."""
    records = table_folder(config.records, "records").absolute()
    model = _model_folder(config.delineator)
    reader = WaveReader.load(model)  # a folder that no worker could load is refused here
    inputs: dict[str, Path | str] = {"records": config.records, "delineator": reader.fingerprint}
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        parts, table = rows_of(records), folder.path / "intervals"
        threads, device = max(1, int(config.cpus_per_worker)), "cuda" if config.gpu else "cpu"
        plan = MeasurePlan(model.absolute(), table, config.batch_size, threads, device, config.bf16)
        size = Workers(config.workers, config.cpus_per_worker, config.gpu)
        rate = work_through(parts, Measurer, plan, tables=[table], size=size, name="measure", purpose="measuring")
        figures = _figures([table / part.name for part in parts])
        return folder.finish(
            figures | {"records_per_s": round(rate, 1), "delineator": reader.fingerprint, "intervals": str(table)}
        )


def _model_folder(given: Path | None) -> Path:
    if given is None:
        return EMBEDDED
    return given / "model" if (given / "model").is_dir() else given


class Measurer(PartWorker):
    """One worker: loads the delineator once, measures file after file."""

    def __init__(self, plan: MeasurePlan) -> None:
        torch.set_num_threads(plan.threads)
        self.plan = plan
        self.reader = WaveReader.load(plan.delineator, device=plan.device, bf16=plan.bf16)

    def write(self, part: Path) -> int:
        """Measure the records of one file."""
        found: list[Intervals] = []
        who: list[pa.Table] = [INTERVALS.empty_table().select(_WHO)]  # a file of which all was refused has no rows
        for rows, signal in read_signals(part, batch_size=self.plan.batch_size, columns=_WHO):
            found += self.reader.measure(signal)
            who.append(rows)
        write_table(_table(pa.concat_tables(who), found), self.plan.table / part.name)
        return len(found)


def _table(who: pa.Table, found: list[Intervals]) -> pa.Table:
    columns = {name: pa.array([one.values[name] for one in found], pa.float32()) for name in VALUES}
    missing = [[f"{name}:{reason}" for name, reason in sorted(one.reasons.items())] for one in found]
    more = {
        "r_peaks": pa.array([one.r_peaks.tolist() for one in found], pa.list_(pa.int32())),
        "missing": pa.array(missing, pa.list_(pa.string())),
    }
    whole = {name: who[name] for name in _WHO} | columns | more
    return pa.table(whole, schema=INTERVALS)


def _figures(files: list[Path]) -> dict[str, Any]:
    """Medians of what was measured, and how often what could not be, and why."""
    table = pa.concat_tables(pq.read_table(file) for file in files)
    medians = {}
    for name in VALUES:
        if name == "st60_mv":  # of the lead farthest from 0, up or down: a median over records says nothing
            continue
        values = table[name].drop_null().to_numpy()
        medians[name] = round(float(np.median(values)), 2) if len(values) else None
    reasons = collections.Counter(reason for row in table["missing"].to_pylist() for reason in row)
    return {"records": table.num_rows, "median": medians, "missing": dict(sorted(reasons.items()))}
