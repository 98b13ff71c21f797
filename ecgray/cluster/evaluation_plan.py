"""What an evaluation compares: the recordings, the sets of ECGs that are held against them, and the work to be done."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float, Int, Int16

from ecgray.cluster.record_texts import RecordTexts
from ecgray.errors import ConfigError
from ecgray.metrics.partners import anyone, other_half
from ecgray.parquet import parquet_files, read_columns, table_folder, write_table
from ecgray.tables import GENERATED, LABELS, RECORD_GROUP, RECORDS, ecg_counts
from ecgray.waveform.morphologies import NORMAL, class_of, fitted

if TYPE_CHECKING:
    from ecgray.recipes.evaluate import EvaluateConfig

Kind = Literal["real", "generated", "flat", "other", "simulator", "vae", "train", "planted"]
"""other: a recording of another patient, of which everything but its distance is known already."""
TASK_ROWS = 256
_TASK = pa.schema(
    [
        ("kind", pa.string()),
        ("number", pa.int64()),
        ("place", pa.int64()),
        ("other", pa.int64()),
        ("asked_bpm", pa.float64()),
        ("term", pa.string()),
        ("record_id", pa.string()),
        ("source", pa.string()),
    ]
)
"""One row an ECG to look at: which of its set, the row of the recording it is held against, and what makes it."""


@dataclass(frozen=True)
class Reference:
    """The recordings that everything is held against, in the order of the records table."""

    record_ids: pa.Array
    patients: np.ndarray
    splits: np.ndarray
    text: tuple[str, ...]
    """What was asked for each, else what its report or its labels say."""
    asked_bpm: Float[np.ndarray, " record"]
    terms: tuple[str, ...]
    """The class whose morphology the simulator takes."""


@dataclass(frozen=True)
class Compared:
    """One set of ECGs; all arrays have a row each."""

    name: str
    kind: Kind
    preset: str
    patients: np.ndarray
    place: Int[np.ndarray, " ecg"]
    text: tuple[str, ...]
    asked_bpm: Float[np.ndarray, " ecg"]
    other: Int[np.ndarray, " ecg"] = field(default_factory=lambda: np.zeros(0, int))
    record_ids: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def reference_of(config: EvaluateConfig, generated: Sequence[pa.Table]) -> Reference:
    """The recordings that a generated ECG names as its like; where none does, some held-out ones.

    What was asked for a recording is what the first set that names it was asked.
    """
    records = table_folder(config.records, "records")
    fields = [RECORDS.field(name) for name in ("record_id", "subject_id", "split")]
    who = pa.concat_tables(read_columns(file, fields) for file in parquet_files(records))
    asked = _asked(generated)
    if asked:
        known = pa.array(list(asked))
        chosen = np.flatnonzero(pc.is_in(who["record_id"], value_set=known).to_numpy())
        if len(chosen) < len(asked):
            raise ConfigError(
                f"{len(asked) - len(chosen)} of {len(asked)} recordings that ECGs were generated like are not in "
                f"{records}; give the records that the prompts came from."
            )
    else:
        held = np.flatnonzero(pc.is_in(who["split"], value_set=pa.array(["val", "test"])).to_numpy())
        chosen = np.sort(np.random.default_rng(config.seed).permutation(held)[: config.real_records])
    if len(chosen) < 2:
        raise ConfigError(f"{records} has {len(chosen)} recordings to hold anything against; two or more are needed.")
    rows = who.take(pa.array(chosen))
    ids = rows["record_id"].combine_chunks()
    own = RecordTexts.read(records, None).of(ids).to_pylist()
    labels, classes = _terms(config, ids), fitted().classes
    empty = [", ".join(terms) or text for terms, text in zip(labels, own, strict=True)]
    wanted = [asked.get(name, (None, np.nan)) for name in ids.to_pylist()]
    return Reference(
        record_ids=ids,
        patients=rows["subject_id"].to_numpy(),
        splits=rows["split"].to_numpy(),
        text=tuple(said or text for (said, _), text in zip(wanted, empty, strict=True)),
        asked_bpm=np.array([bpm for _, bpm in wanted], float),
        terms=tuple(classes[at] if (at := class_of(terms, classes)) >= 0 else NORMAL for terms in labels),
    )


def _asked(generated: Sequence[pa.Table]) -> dict[str, tuple[str, float]]:
    """Prompt and heart rate (NaN where none) that were asked for each recording."""
    found: dict[str, tuple[str, float]] = {}
    for table in generated:
        for row in table.select(["like", "prompt", "heart_rate_bpm"]).to_pylist():
            if row["like"] is not None and row["like"] not in found:
                bpm = row["heart_rate_bpm"]
                found[row["like"]] = (row["prompt"] or "", np.nan if bpm is None else float(bpm))
    return found


def _terms(config: EvaluateConfig, ids: pa.Array) -> list[list[str]]:
    if config.labels is None:
        return [[] for _ in range(len(ids))]
    fields = [LABELS.field(name) for name in ("record_id", "terms")]
    found = rows_of(table_folder(config.labels, "labels"), fields, ids)
    if len(ids) and found["record_id"].null_count == len(ids):
        raise ConfigError(
            f"none of {len(ids):,} records stands in {config.labels}; give OUT of the label job on these records."
        )
    return [terms or [] for terms in found["terms"].to_pylist()]


def rows_of(table: Path, fields: Sequence[pa.Field], ids: pa.Array) -> pa.Table:
    """These columns (the first is `record_id`) of these records, in their order; all null where it has no such row."""
    whole = pa.concat_tables(read_columns(file, fields) for file in parquet_files(table)).combine_chunks()
    return whole.take(pc.index_in(ids, value_set=whole["record_id"].combine_chunks()))


def read_generated(out: Path) -> pa.Table:
    """What was asked of a generate job, in the order of its ECGs, with the file that each lies in (`source`).

    Raises `ConfigError` where OUT holds no such tables, or one of them lacks a row of the other.
    """
    asked = pa.concat_tables(read_columns(file, list(GENERATED)) for file in parquet_files(out / "generated"))
    files = parquet_files(out / "records")
    ids = [pq.read_table(file, columns=["record_id"])["record_id"].combine_chunks() for file in files]
    where = pa.array([str(file.absolute()) for file, own in zip(files, ids, strict=True) for _ in range(len(own))])
    known = pa.concat_arrays(ids)
    place = pc.index_in(asked["record_id"].combine_chunks(), value_set=known)
    if place.null_count or len(known) != asked.num_rows or len(pc.unique(known)) != len(known) or not len(known):
        raise ConfigError(
            f"{out} has {len(known)} ECGs and {asked.num_rows} rows that say what was asked, which do not belong "
            "together one by one; generate again."
        )
    return asked.append_column("source", where.take(place)).take(pc.sort_indices(place))


def compared_sets(
    config: EvaluateConfig, reference: Reference, generated: Sequence[pa.Table]
) -> tuple[list[Compared], Compared]:
    """Every set that gets a row: the generated ones, then the trivial ones; and the recordings themselves."""
    count = len(reference.record_ids)
    real = Compared(
        name="real",
        kind="real",
        preset="recorded",
        patients=reference.patients,
        place=np.arange(count),
        text=reference.text,
        asked_bpm=reference.asked_bpm,
        other=np.full(count, -1),
    )
    number = np.unique(np.array(reference.text), return_inverse=True)[1]
    shuffled, again = (
        anyone(reference.patients, seed=config.seed),
        other_half(reference.patients, number, seed=config.seed),
    )
    rows = [
        _generated(table, name, out, reference)
        for table, name, out in zip(generated, config.set_names, config.generated, strict=True)
    ]
    rows.append(dataclasses.replace(real, name="flat line", kind="flat", preset="0 mV"))
    trivial = "a recording of another patient"
    rows.append(dataclasses.replace(real, name="shuffled real", kind="other", preset=trivial, other=shuffled))
    classes = "class of its labels" if config.labels else NORMAL
    rows.append(dataclasses.replace(real, name="simulator only", kind="simulator", preset=f"fitted waves, {classes}"))
    if config.vae is not None:
        rows.append(dataclasses.replace(real, name="VAE reconstruction", kind="vae", preset="of the recording itself"))
    same = "one of the other half of the patients, same text where there is one"
    rows.append(dataclasses.replace(real, name="real against real", kind="other", preset=same, other=again))
    if len({one.name for one in rows}) < len(rows):
        raise ConfigError(f"names={' '.join(config.set_names)}; a set cannot be called as a baseline is.")
    return rows, real


def _generated(table: pa.Table, name: str, out: Path, reference: Reference) -> Compared:
    index = pc.index_in(table["like"].combine_chunks(), value_set=reference.record_ids)
    place = pc.fill_null(index, -1).to_numpy().astype(int)
    ids = table["record_id"].to_pylist()
    own = np.array([f"prompt of {each}" for each in ids], object)
    return Compared(
        name=name,
        kind="generated",
        preset=_how(table, out),
        patients=np.where(place >= 0, reference.patients[np.maximum(place, 0)], own),
        place=place,
        text=tuple(said or "" for said in table["prompt"].to_pylist()),
        asked_bpm=table["heart_rate_bpm"].to_numpy(zero_copy_only=False).astype(float),
        other=np.full(len(ids), -1),
        record_ids=tuple(ids),
        sources=tuple(table["source"].to_pylist()),
    )


def _how(table: pa.Table, out: Path) -> str:
    """The generator's preset, where its folder is still there; sampler, steps and guidance as the table says."""
    said = _object(out / "config.json").get("settings", {})
    model = Path(said["model"]) if isinstance(said, dict) and said.get("model") else out
    preset = _object((model / "model" if (model / "model").is_dir() else model) / "config.json").get("preset")
    words = [f"preset {preset}"] if preset else []
    for name, unit in (("sampler", ""), ("steps", " steps"), ("guidance_scale", " guidance")):
        words += [f"{each:g}{unit}" if not isinstance(each, str) else each for each in _values(table, name)]
    return ", ".join(words) or "generated"


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one where there is no such file."""
    held = json.loads(path.read_text()) if path.is_file() else {}
    return held if isinstance(held, dict) else {}


def _values(table: pa.Table, name: str) -> list[Any]:
    return [each for each in pc.unique(table[name]).to_pylist() if each is not None]


def train_sets(config: EvaluateConfig) -> list[Compared]:
    """The training records in which copies are looked for, and copies of some of them; empty where none are."""
    if config.train_records < 0:
        return []
    files = parquet_files(table_folder(config.records, "records"))
    ids: list[str] = []
    sources: list[str] = []
    for file in files:
        who = pq.read_table(file, columns=["record_id", "split"])
        train = who.filter(pc.equal(who["split"], "train"))["record_id"].to_pylist()
        ids += train
        sources += [str(file.absolute())] * len(train)
    random = np.random.default_rng([config.seed, 6])
    chosen = np.sort(random.permutation(len(ids))[: config.train_records or len(ids)])
    planted = np.sort(random.permutation(len(chosen))[: config.planted])
    if not len(chosen):
        return []
    return [
        _of_training("training", "train", chosen, np.full(len(chosen), -1), ids, sources),
        _of_training("planted", "planted", chosen[planted], planted, ids, sources),
    ]


def _of_training(
    name: str, kind: Kind, rows: Int[np.ndarray, " _"], other: Int[np.ndarray, " _"], ids: list[str], sources: list[str]
) -> Compared:
    return Compared(
        name=name,
        kind=kind,
        preset="",
        patients=np.array([], object),
        place=np.full(len(rows), -1),
        text=(),
        asked_bpm=np.full(len(rows), np.nan),
        other=other,
        record_ids=tuple(ids[row] for row in rows),
        sources=tuple(sources[row] for row in rows),
    )


def write_tasks(sets: Sequence[Compared], reference: Reference, folder: Path) -> dict[Path, int]:
    """One file a piece of work, <set>-<piece>.parquet, and how many ECGs each holds; one file of ECGs is one piece."""
    found: dict[Path, int] = {}
    for at, one in enumerate(sets):
        for piece, rows in enumerate(_pieces(one)):
            path = folder / f"set{at:02d}-{piece:05d}.parquet"
            found[path] = len(rows)
            if not path.exists():
                write_table(_task(one, rows, reference), path)
    return found


def _pieces(one: Compared) -> Iterator[Int[np.ndarray, " _"]]:
    rows = np.arange(len(one.place))
    if one.sources:
        changes = np.flatnonzero(np.array(one.sources[1:]) != np.array(one.sources[:-1])) + 1
        yield from (part for part in np.split(rows, changes) if len(part))
    else:
        yield from (rows[start : start + TASK_ROWS] for start in range(0, len(rows), TASK_ROWS))


def _task(one: Compared, rows: Int[np.ndarray, " _"], reference: Reference) -> pa.Table:
    known = one.kind == "simulator"
    columns = {
        "kind": [one.kind] * len(rows),
        "number": rows,
        "place": one.place[rows],
        "other": one.other[rows],
        "asked_bpm": one.asked_bpm[rows],
        "term": [reference.terms[row] if known else None for row in rows],
        "record_id": [one.record_ids[row] if one.record_ids else None for row in rows],
        "source": [one.sources[row] if one.sources else None for row in rows],
    }
    return pa.table(columns, schema=_TASK)


def write_reference(config: EvaluateConfig, reference: Reference, path: Path) -> None:
    """The recordings side by side in one file, int16 (record, 12, 5000), so that any of them is read at once."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        for source in parquet_files(table_folder(config.records, "records")):
            for _, counts in stored_ecgs(source, reference.record_ids, batch_size=RECORD_GROUP):
                file.write(counts.tobytes())
    part.replace(path)


def stored_ecgs(
    file: Path, wanted: pa.Array, *, batch_size: int
) -> Iterator[tuple[Int[np.ndarray, " ecg"], Int16[np.ndarray, "ecg lead=12 time=5000"]]]:
    """The ECGs of a file of records that are wanted, in its order, and the row of `wanted` that each is.

    Ids are read first: a row group that holds none of them is left alone.
    """
    with pq.ParquetFile(file, memory_map=True) as opened:
        known = pc.is_in(opened.read(columns=["record_id"])["record_id"], value_set=wanted).to_numpy()
        rows = [opened.metadata.row_group(number).num_rows for number in range(opened.num_row_groups)]
        groups = [number for number, own in enumerate(np.split(known, np.cumsum(rows)[:-1])) if own.any()]
        for batch in opened.iter_batches(batch_size, row_groups=groups, columns=["record_id", "ecg"]):
            place = pc.index_in(batch["record_id"], value_set=wanted)
            if place.null_count < len(place):
                yield place.drop_null().to_numpy(), ecg_counts(batch.filter(place.is_valid())["ecg"])


def open_reference(path: Path) -> Int16[np.ndarray, "record lead=12 time=5000"]:
    """What `write_reference` wrote, without reading it."""
    return np.memmap(path, np.dtype("<i2"), "r").reshape(-1, 12, 5000)
