"""Ingest on Ray Data: one task a file of the manifest, which writes its file of records itself.

No ECG passes through the object store, so a task needs 20 MB, and what a killed job leaves is whole files.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray.data
from tqdm import tqdm

from ecgray.archives import LAYOUTS, Shares, detect, manifest_notes, read_manifest
from ecgray.archives.account import settle
from ecgray.archives.convert import DIARIES, Conversion, convert_part
from ecgray.cluster.connect import connected
from ecgray.cluster.preflight import check_room
from ecgray.errors import ClusterError, ConfigError, EcgrayError
from ecgray.output import OutputFolder, output_folder
from ecgray.parquet import parquet_files, write_tables
from ecgray.recipes.ingest import IngestConfig
from ecgray.tables import ECG_BYTES, RECORD_ROWS


def ingest(config: IngestConfig) -> dict[str, Any]:
    """Convert every recording of the archive; returns the figures.

    Raises `ConfigError` or `ArchiveError` before anything is written where the archive cannot be read, `ClusterError`
    where the disk is full or the account does not come out even.
    """
    archive, out = config.archive.absolute(), config.out.absolute()
    if not archive.is_dir():
        raise ConfigError(f"{archive} is no folder; give the folder that holds the archive.")
    shares = Shares(val_percent=config.val_percent, test_percent=config.test_percent)
    layout = detect(archive) if config.layout == "auto" else config.layout
    manifest = None if (out / "manifest").is_dir() else read_manifest(archive, layout, shares=shares)
    with output_folder(out, config, inputs={"archive": archive}) as folder:
        if folder.done is not None:
            return folder.done
        if manifest is not None:
            _write_manifest(manifest, out)
        conversion = Conversion(
            archive=archive,
            digital=LAYOUTS[layout].digital,
            allow_missing_leads=config.allow_missing_leads,
            readers=config.readers,
        )
        return folder.finish(_convert(folder, conversion, layout))


def _write_manifest(manifest: pa.Table, out: Path) -> None:
    """All files of the manifest, or none: a folder of another name until it is complete."""
    draft = out / ".manifest"
    shutil.rmtree(draft, ignore_errors=True)
    write_tables(manifest, draft, rows=RECORD_ROWS)
    draft.replace(out / "manifest")


def _convert(folder: OutputFolder, conversion: Conversion, layout: str) -> dict[str, Any]:
    out = folder.path
    _sweep(out)
    parts = parquet_files(out / "manifest")
    rows = {part: pq.read_metadata(part).num_rows for part in parts}
    missing = [part for part in parts if not (out / "records" / part.name).exists()]
    _check_space(out, sum(rows[part] for part in missing))
    done = sum(rows.values()) - sum(rows[part] for part in missing)
    rate = 0.0
    if missing:
        with connected():
            check_room(workers=1, cpus=1, gpus=0, spare_cpus=0, purpose="ingest")
            rate = _stream(missing, conversion, out, total=sum(rows.values()), done=done)
        _sweep(out)  # a worker that died on the way was replaced; its half-written file was not
    with contextlib.suppress(OSError):
        (out / DIARIES).rmdir()
    counted = settle(out)
    notes = manifest_notes(pq.read_schema(parts[0]))
    return counted | {"records_per_s": round(rate, 1), "layout": layout, "notes": notes, "out": str(out)}


def _sweep(out: Path) -> None:
    """Remove what killed processes left half written."""
    for table in ("records", "quarantine"):
        for part in (out / table).glob(".*.parquet.*"):
            part.unlink(missing_ok=True)


def _check_space(out: Path, rows: int) -> None:
    needed, free = rows * (ECG_BYTES + 1000), shutil.disk_usage(out).free
    if needed > free:
        raise ClusterError(
            f"{out} has {free / 1e9:.1f} GB free and {rows} recordings take {needed / 1e9:.1f} GB; "
            "make room, or give another --out."
        )


def _stream(parts: Sequence[Path], conversion: Conversion, out: Path, *, total: int, done: int) -> float:
    """Convert the parts; returns recordings a second."""
    start = time.perf_counter()
    converted = quarantined = 0
    with tqdm(total=total, initial=done, unit="record", desc="ingest", smoothing=0.1) as bar:
        for figures in _figures(parts, conversion, out):
            if figures["failed"]:
                raise ClusterError(figures["failed"])
            converted += figures["rows"]
            quarantined += figures["quarantined"]
            bar.set_postfix(quarantined=quarantined, refresh=False)
            bar.update(figures["rows"])
    return converted / max(time.perf_counter() - start, 1e-9)


def _figures(parts: Sequence[Path], conversion: Conversion, out: Path) -> Iterator[dict[str, Any]]:
    """The figures of each part as it is committed, in no order."""
    named = ray.data.from_items([{"part": str(part)} for part in parts], override_num_blocks=len(parts))
    task = partial(_task, conversion=conversion, out=out)
    yield from named.map_batches(task, batch_size=None, num_cpus=1).iter_rows()


def _task(batch: dict[str, Any], *, conversion: Conversion, out: Path) -> dict[str, list[Any]]:
    """Convert the parts of a block (one as a rule), on a worker."""
    figures = [_part(Path(part), conversion, out) for part in batch["part"]]
    return {name: [one[name] for one in figures] for name in figures[0]}


def _part(manifest: Path, conversion: Conversion, out: Path) -> dict[str, Any]:
    try:
        return convert_part(manifest, out, conversion) | {"failed": ""}
    except EcgrayError as error:  # a sentence for the user; anything else is a fault of ours, and Ray's to report
        return {"rows": 0, "records": 0, "quarantined": 0, "failed": str(error)}
