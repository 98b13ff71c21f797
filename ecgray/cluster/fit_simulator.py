"""Fitting the simulator to real beats: Ray Data reads the beats of the records chosen, one batched fit follows."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray.data
import torch
from tqdm import tqdm

from ecgray.cluster.connect import connected
from ecgray.cluster.preflight import check_room
from ecgray.cluster.workers import run_once
from ecgray.errors import ConfigError
from ecgray.leads import LEADS
from ecgray.metrics.fit_picture import draw_fit
from ecgray.output import output_folder, write_bytes, write_json
from ecgray.parquet import parquet_files, read_table, table_folder
from ecgray.tables import COUNTS_PER_MV, ecg_counts
from ecgray.waveform.beats import BEAT_SAMPLES, crop_beats, spread
from ecgray.waveform.fitting import Fit, fit_classes

if TYPE_CHECKING:
    from jaxtyping import Float32

    from ecgray.recipes.fit_simulator import FitSimulatorConfig


@dataclass(frozen=True)
class Choice:
    """The records of one class whose beats are looked at, nearest to the class's own heart rate first."""

    record_ids: tuple[str, ...]
    rr_ms: float
    """The median over the class."""
    beats_each: int


@dataclass(frozen=True)
class Archive:
    """One archive's tables; paths are absolute."""

    records: Path
    labels: Path
    intervals: Path


def fit_simulator(config: FitSimulatorConfig) -> dict[str, Any]:
    """Choose classes and records, crop their beats, fit; returns the figures.

    Writes OUT/eta.json, OUT/fit.csv (how well, class by class and lead by lead) and OUT/fit.svg.
    """
    if not config.records:
        raise ConfigError("no records are named; give --records, --labels and --intervals, one of each an archive.")
    archives = [
        Archive(
            table_folder(records, "records").absolute(),
            table_folder(labels, "labels").absolute(),
            table_folder(intervals, "intervals").absolute(),
        )
        for records, labels, intervals in zip(config.records, config.labels, config.intervals, strict=True)
    ]
    choices = choose(archives, config)
    named = {f"{name} {n}": path for n, one in enumerate(archives) for name, path in vars(one).items()}
    with output_folder(config.out, config, inputs=named) as folder:
        if folder.done is not None:
            return folder.done
        with connected():
            check_room(workers=1, cpus=config.cpus, gpus=0, spare_cpus=0, purpose="fitting")
            beats = _read_beats(archives, choices)
            rr_ms = {name: choice.rr_ms for name, choice in choices.items()}
            fit: Fit = run_once(_fit, beats, rr_ms, config, cpus=config.cpus, gpus=0)["fit"]
        absent = {
            name: "no training record with a heart rate carries it" for name in config.classes if name not in choices
        }
        fit = dataclasses.replace(fit, skipped=dict(fit.skipped) | absent)
        return folder.finish(_report(fit, archives, folder.path))


def choose(archives: Sequence[Archive], config: FitSimulatorConfig) -> dict[str, Choice]:
    """The classes, and for each the training records whose RR lies nearest to the class's median.

    A class that no training record with a heart rate carries is left out; `fit_simulator` counts it.
    A morphology holds for a heart rate; beats of many rates would blur its T wave.
    """
    table = pa.concat_tables(_training_rows(one) for one in archives)
    if table.num_rows == 0:
        raise ConfigError("no training record has both labels and a heart rate; measure and label the same records.")
    counts = pc.value_counts(table["terms"].combine_chunks().flatten()).to_pylist()
    frequent = sorted((-each["counts"], each["values"]) for each in counts)
    names = config.classes or tuple(name for _, name in frequent[: config.top])
    chosen = {}
    for name in names:
        held = table.filter(pa.array([name in terms for terms in table["terms"].to_pylist()]))
        if held.num_rows == 0:
            continue
        rr = held["rr_ms"].to_numpy()
        median = float(np.median(rr))
        each = min(config.beats_per_record, -(-config.fit.max_beats // held.num_rows))
        nearest = np.argsort(np.abs(rr - median), kind="stable")[: -(-config.fit.max_beats // each)]
        chosen[name] = Choice(tuple(held["record_id"].take(pa.array(nearest)).to_pylist()), median, each)
    if not chosen:
        raise ConfigError(
            f"no training record with a heart rate carries any of {', '.join(names)}; frequency.csv of the label job "
            "lists what they carry."
        )
    return chosen


def _training_rows(archive: Archive) -> pa.Table:
    """record_id, terms and rr_ms of the training records whose heart rate is known."""
    labels = read_table(archive.labels, ["record_id", "split", "terms"])
    labels = labels.filter(pc.equal(labels["split"], "train")).drop_columns(["split"])
    measured = read_table(archive.intervals, ["record_id", "rr_ms"])
    place = pc.index_in(labels["record_id"], value_set=measured["record_id"].combine_chunks())
    if labels.num_rows and place.null_count == labels.num_rows:
        raise ConfigError(
            f"{archive.labels} and {archive.intervals} have no training record in common; name each archive's records, "
            "labels and intervals in the same order."
        )
    table = labels.append_column("rr_ms", measured["rr_ms"].combine_chunks().take(place.combine_chunks()))
    return table.filter(pc.is_valid(table["rr_ms"]))


def _read_beats(
    archives: Sequence[Archive], choices: Mapping[str, Choice]
) -> dict[str, Float32[np.ndarray, "beat lead=12 time=300"]]:
    """The beats of every class; a task reads the wanted records of one file."""
    most: dict[str, int] = {}
    for choice in choices.values():
        for record_id in choice.record_ids:
            most[record_id] = max(most.get(record_id, 0), choice.beats_each)
    peaks = _peaks_of([one.intervals for one in archives], most)
    parts = [part for one in archives for part in parquet_files(one.records)]
    named = ray.data.from_items([{"part": str(part)} for part in parts], override_num_blocks=len(parts))
    found: dict[str, np.ndarray] = {}
    task = partial(_crop, peaks=ray.put(peaks), most=ray.put(most))
    with tqdm(total=len(most), unit="record", desc="fit_simulator: beats") as bar:
        for row in named.map_batches(task, batch_size=None, num_cpus=1).iter_rows():
            crops = np.frombuffer(row["beats"], np.float32).reshape(-1, len(LEADS), BEAT_SAMPLES)
            found[row["record_id"]] = crops
            bar.update()
    if missing := len(most) - len(found):
        raise ConfigError(
            f"{missing} of {len(most)} records that have labels and intervals are not in the records given; "
            "name each archive's records, labels and intervals in the same order."
        )
    return {
        name: np.concatenate([found[each][: choice.beats_each] for each in choice.record_ids])
        for name, choice in choices.items()
    }


def _peaks_of(intervals: Sequence[Path], wanted: Mapping[str, int]) -> dict[str, np.ndarray]:
    table = pa.concat_tables(read_table(one, ["record_id", "r_peaks"]) for one in intervals)
    table = table.filter(pc.is_in(table["record_id"], value_set=pa.array(list(wanted))))
    pairs = zip(table["record_id"].to_pylist(), table["r_peaks"].to_pylist(), strict=True)
    return {record_id: np.array(peaks, np.int64) for record_id, peaks in pairs}


def _crop(batch: dict[str, Any], *, peaks: Any, most: Any) -> dict[str, list[Any]]:
    """The wanted records of the files of a block (one as a rule), on a worker."""
    known, wanted = ray.get([peaks, most])
    rows: dict[str, list[Any]] = {"record_id": [], "beats": []}
    for part in batch["part"]:
        with pq.ParquetFile(part, memory_map=True) as file:
            for group in file.iter_batches(64, columns=["record_id", "ecg"]):
                kept = group.filter(pc.is_in(group["record_id"], value_set=pa.array(list(wanted))))
                counts = ecg_counts(kept["ecg"])
                for record_id, ecg in zip(kept["record_id"].to_pylist(), counts, strict=True):
                    beats = crop_beats(ecg.astype(np.float32) / COUNTS_PER_MV, known[record_id])
                    rows["record_id"].append(record_id)
                    rows["beats"].append(spread(beats, wanted[record_id]).tobytes())
    return rows


def _fit(beats: dict[str, np.ndarray], rr_ms: dict[str, float], config: FitSimulatorConfig) -> dict[str, Any]:
    torch.set_num_threads(max(1, int(config.cpus)))
    return {"fit": fit_classes(beats, rr_ms, config.fit)}


def _report(fit: Fit, archives: Sequence[Archive], out: Path) -> dict[str, Any]:
    """Write eta.json, fit.csv and fit.svg; returns the figures."""
    sources = sorted({record_id.split(":")[0] for one in archives for record_id in _first_ids(one.records)})
    write_json(out / "eta.json", fit.to_json(sources=sources))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["class", "lead", "beats", "rr_ms", "correlation", "nrmse"])
    for row, name in enumerate(fit.classes):
        for lead, label in enumerate(LEADS):
            quality = (round(float(values[row, lead]), 4) for values in (fit.correlation, fit.nrmse))
            writer.writerow([name, label, int(fit.beats[row]), round(1000 * float(fit.rr_s[row])), *quality])
    write_bytes(out / "fit.csv", text.getvalue().encode())
    write_bytes(out / "fit.svg", draw_fit(fit).encode())
    good = fit.correlation[~fit.flat]
    return {
        "classes": len(fit.classes),
        "skipped": dict(fit.skipped),
        "median_correlation": round(float(good.median()), 4) if len(good) else None,
        "lowest_correlation": round(float(good.min()), 4) if len(good) else None,
        "median_nrmse": round(float(fit.nrmse[~fit.flat].median()), 4) if len(good) else None,
        "eta": str(out / "eta.json"),
        "picture": str(out / "fit.svg"),
    }


def _first_ids(records: Path) -> list[str]:
    return pq.read_table(parquet_files(records)[0], columns=["record_id"])["record_id"].slice(0, 1).to_pylist()
