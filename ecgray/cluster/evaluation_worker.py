"""What is measured of each ECG of an evaluation, on Ray Data: distances, intervals, embedding, a small copy of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from jaxtyping import Float, Int, Int16

from ecgray.alignment.folder import load_scorer
from ecgray.cluster.evaluation_plan import Compared, Kind, open_reference, stored_ecgs
from ecgray.cluster.parts import PartWorker
from ecgray.metrics.generation import INTERVALS, RATE, EcgSet
from ecgray.metrics.memorisation import Library, planted_copies, thumbnails
from ecgray.metrics.signal_errors import PLAIN, aligned_errors, identity_residual, signal_errors
from ecgray.parquet import write_table
from ecgray.sediff.folder import load_vae
from ecgray.sediff.input import to_counts
from ecgray.tables import COUNTS_PER_MV
from ecgray.waveform.delineator.reader import WaveReader
from ecgray.waveform.morphologies import fitted
from ecgray.waveform.stand_in import stand_ins

PAIRED: frozenset[Kind] = frozenset({"generated", "flat", "other", "simulator", "vae"})
MEASURED: frozenset[Kind] = frozenset({"real", "generated", "simulator", "vae"})
EMBEDDED: frozenset[Kind] = frozenset({"real", "generated", "flat", "simulator", "vae", "train", "planted"})
SEARCHED: frozenset[Kind] = frozenset({"real", "generated", "train", "planted"})
"""Which kinds are held against a recording, measured, embedded, and looked for among the training records."""
ERRORS = (*PLAIN, *(f"{name}_aligned" for name in PLAIN), "identity_mean_uv", "identity_max_uv")
FILES = 4
"""Files of small ECGs in memory at once as copies are looked for: 2,000 training records, half a GB of work."""
_SMALL_BYTES = 12 * 1000 * 2
SCORED = pa.schema(
    [
        ("number", pa.int64()),
        *((name, pa.float32()) for name in (*ERRORS, RATE, *INTERVALS)),
        ("embedding", pa.list_(pa.float32())),
        ("small", pa.binary(_SMALL_BYTES)),
    ]
)
"""One row an ECG: its number in its set and what was found; null where it was not asked or could not be measured."""


@dataclass(frozen=True)
class EvaluationPlan:
    """What each worker is told; paths are absolute."""

    reference: Path
    scored: Path
    scorer: Path
    vae: Path | None
    measures_real: bool
    """Whether the recordings are measured here; else an intervals table says what was."""
    batch_size: int
    threads: int
    device: str
    seed: int


class Evaluator(PartWorker):
    """One worker: loads the networks once, looks at piece after piece."""

    def __init__(self, plan: EvaluationPlan) -> None:
        torch.set_num_threads(plan.threads)
        self.plan = plan
        self.reader = WaveReader.load(device=plan.device)
        self.scorer = load_scorer(plan.scorer, device=plan.device)
        self.vae = load_vae(plan.vae, device=plan.device).vae if plan.vae else None
        self.reference = open_reference(plan.reference)

    def write(self, part: Path) -> int:
        """Look at the ECGs of one piece."""
        task = pq.read_table(part)
        kind: Kind = task["kind"][0].as_py()
        found = [self._look(kind, task.take(pa.array(rows)), counts) for rows, counts in self._ecgs(kind, task)]
        whole = pa.concat_tables(found)
        write_table(whole, self.plan.scored / part.name)
        return whole.num_rows

    def _ecgs(
        self, kind: Kind, task: pa.Table
    ) -> Iterator[tuple[Int[np.ndarray, " _"], Int16[np.ndarray, "ecg lead=12 time=5000"]]]:
        """The rows of a task, some at a time, and their ECGs as counts."""
        if kind in ("generated", "train", "planted"):
            source, wanted, number = (
                task["source"][0].as_py(),
                task["record_id"].combine_chunks(),
                task["number"].to_numpy(),
            )
            for rows, counts in stored_ecgs(Path(source), wanted, batch_size=self.plan.batch_size):
                copied = kind == "planted"
                yield rows, planted_copies(counts, number[rows], seed=self.plan.seed) if copied else counts
            return
        for start in range(0, task.num_rows, self.plan.batch_size):
            rows = np.arange(start, min(start + self.plan.batch_size, task.num_rows))
            yield rows, self._made(kind, task.take(pa.array(rows)))

    def _made(self, kind: Kind, rows: pa.Table) -> Int16[np.ndarray, "ecg lead=12 time=5000"]:
        """Recordings, and what is made of them or in their place."""
        if kind == "flat":
            return np.zeros((rows.num_rows, *self.reference.shape[1:]), np.int16)
        if kind == "simulator":
            seeds = [self.plan.seed + place for place in rows["place"].to_pylist()]
            drawn = stand_ins(fitted(), rows["term"].to_pylist(), rows["asked_bpm"].to_numpy(), seeds=seeds)
            return np.clip(np.rint(COUNTS_PER_MV * drawn), -32768, 32767).astype(np.int16)
        own = np.array(self.reference[rows["other" if kind == "other" else "place"].to_numpy()])
        if kind != "vae":
            return own
        assert self.vae is not None
        with torch.inference_mode():
            signal = torch.from_numpy(own.astype(np.float32) / COUNTS_PER_MV).to(self.plan.device)
            return to_counts(self.vae.reconstruct(signal)).cpu().numpy()

    def _look(self, kind: Kind, rows: pa.Table, counts: Int16[np.ndarray, "ecg lead=12 time=5000"]) -> pa.Table:
        columns: dict[str, Any] = {"number": rows["number"]}
        signal = counts.astype(np.float32) / COUNTS_PER_MV
        if kind in PAIRED:
            columns |= self._errors(signal, rows["place"].to_numpy())
        if kind in MEASURED and (kind != "real" or self.plan.measures_real):
            found = [one.values for one in self.reader.measure(signal)]
            columns |= {name: pa.array([one[name] for one in found], pa.float32()) for name in (RATE, *INTERVALS)}
        if kind in EMBEDDED:
            embedded = self.scorer.embed_ecg(counts, batch_size=self.plan.batch_size)
            columns["embedding"] = pa.array(list(embedded.astype(np.float32)), pa.list_(pa.float32()))
        if kind in SEARCHED:
            small = [one.astype("<i2").tobytes() for one in thumbnails(counts)]
            columns["small"] = pa.array(small, pa.binary(_SMALL_BYTES))
        return pa.table(
            [columns.get(name, pa.nulls(len(counts), SCORED.field(name).type)) for name in SCORED.names], schema=SCORED
        )

    def _errors(
        self, signal: Float[np.ndarray, "ecg lead=12 time"], place: Int[np.ndarray, " ecg"]
    ) -> dict[str, Float[np.ndarray, " ecg"]]:
        """Against the paired recordings, null for those that have none."""
        paired = np.flatnonzero(place >= 0)
        columns = dict(identity_residual(signal))
        if len(paired):
            real = self.reference[place[paired]].astype(np.float32) / COUNTS_PER_MV
            for name, values in (signal_errors(real, signal[paired]) | aligned_errors(real, signal[paired])).items():
                columns[name] = np.full(len(place), np.nan)
                columns[name][paired] = values
        return {name: values.astype(np.float32) for name, values in columns.items()}


def read_scored(scored: Path, at: int) -> pa.Table:
    """What was found of a set's ECGs, in their order."""
    return _in_order(_scored_files(scored, at))


def _scored_files(scored: Path, at: int) -> list[Path]:
    return sorted(scored.glob(f"set{at:02d}-*.parquet"))


def _in_order(files: Sequence[Path]) -> pa.Table:
    table = pa.concat_tables([SCORED.empty_table(), *(pq.read_table(file) for file in files)])
    return table.take(pc.sort_indices(table["number"]))


@dataclass(frozen=True)
class TrainingParts:
    """The training records of a finished search, some files at a time, as often as it is gone through."""

    files: tuple[Path, ...]
    width: int
    """Of the embeddings."""

    @staticmethod
    def of(scored: Path, at: int, *, width: int) -> TrainingParts:
        """Those of the set with the number `at`; its files hold it in its order."""
        return TrainingParts(tuple(_scored_files(scored, at)), width)

    def __iter__(self) -> Iterator[Library]:
        for start in range(0, len(self.files), FILES):
            table = _in_order(self.files[start : start + FILES])
            yield Library(small_ecgs(table), embeddings(table, self.width))


def ecg_set(
    one: Compared, table: pa.Table, *, text: Int[np.ndarray, " ecg"], text_embedding: Float[np.ndarray, "text width"]
) -> EcgSet:
    """A set as its scores are computed from it; `text` counts the rows of `text_embedding`."""
    width = text_embedding.shape[1]
    return EcgSet(
        patients=one.patients.astype(str),
        place=one.place,
        asked_bpm=one.asked_bpm,
        errors={name: _floats(table[name]) for name in ERRORS},
        measured={name: _floats(table[name]) for name in (RATE, *INTERVALS)},
        embedding=embeddings(table, width),
        text=text,
        text_embedding=text_embedding[text],
    )


def _floats(column: pa.ChunkedArray) -> Float[np.ndarray, " ecg"]:
    return column.to_numpy(zero_copy_only=False).astype(np.float64)


def embeddings(table: pa.Table, width: int) -> Float[np.ndarray, "ecg width"]:
    """The embeddings of a set; NaN where they were not asked for."""
    column = table["embedding"].combine_chunks()
    found = np.full((len(column), width), np.nan)
    found[column.is_valid().to_numpy(zero_copy_only=False)] = column.flatten().to_numpy().reshape(-1, width)
    return found


def small_ecgs(table: pa.Table) -> Int16[np.ndarray, "ecg lead=12 time=1000"]:
    """The ECGs of a set at 100 Hz."""
    column = table["small"].combine_chunks()
    if not len(column):
        return np.zeros((0, 12, 1000), np.int16)
    flat = np.frombuffer(column.buffers()[1], "<i2", len(column) * _SMALL_BYTES // 2, column.offset * _SMALL_BYTES)
    return flat.reshape(-1, 12, 1000)
