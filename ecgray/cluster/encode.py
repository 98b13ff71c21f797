"""Latents on Ray Data: workers that hold the autoencoder read the files of records and write one of latents each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ecgray.cluster.parts import PartWorker, work_through
from ecgray.cluster.workers import Workers
from ecgray.output import output_folder
from ecgray.sediff.folder import load_vae
from ecgray.tables import COUNTS_PER_MV, LATENTS, ecg_counts, parquet_files, table_folder, write_table

if TYPE_CHECKING:
    from ecgray.recipes.encode import EncodeConfig


@dataclass(frozen=True)
class EncodePlan:
    """What each worker is told; paths are absolute."""

    vae: Path
    table: Path
    batch_size: int
    threads: int
    device: str


def encode(config: EncodeConfig) -> dict[str, Any]:
    """Encode every record; returns the figures. Writes OUT/latents, a file for each of the records'."""
    records = table_folder(config.records, "records").absolute()
    loaded = load_vae(config.vae)  # a folder that no worker could load is refused here
    inputs: dict[str, Path | str] = {"records": config.records, "vae": loaded.fingerprint}
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        parts = {part: pq.read_metadata(part).num_rows for part in parquet_files(records)}
        table = folder.path / "latents"
        threads, device = max(1, int(config.cpus_per_worker)), "cuda" if config.gpu else "cpu"
        plan = EncodePlan(config.vae.absolute(), table, config.batch_size, threads, device)
        size = Workers(config.workers, config.cpus_per_worker, config.gpu)
        start = time.perf_counter()
        work_through(parts, Encoder, plan, tables=[table], size=size, name="encode", purpose="encoding")
        rows = sum(parts.values())
        rate = rows / (time.perf_counter() - start)
        return folder.finish(
            {"records": rows, "records_per_s": round(rate, 1), "vae": loaded.fingerprint, "latents": str(table)}
        )


class Encoder(PartWorker):
    """One worker: loads the autoencoder once, encodes file after file."""

    def __init__(self, plan: EncodePlan) -> None:
        torch.set_num_threads(plan.threads)
        self.plan = plan
        self.vae = load_vae(plan.vae, device=plan.device).vae

    @torch.inference_mode()
    def write(self, part: Path) -> int:
        """Encode the records of one file."""
        latents: list[np.ndarray] = []
        who: list[pa.Table] = []
        columns = ["record_id", "subject_id", "split", "ecg"]
        with pq.ParquetFile(part, memory_map=True) as file:
            for rows in file.iter_batches(self.plan.batch_size, columns=columns):
                signal = torch.from_numpy(ecg_counts(rows["ecg"]).astype(np.float32) / COUNTS_PER_MV)
                latents.append(self.vae.encode(signal.to(self.plan.device)).float().cpu().numpy())
                who.append(pa.table(rows).drop_columns(["ecg"]))
        known = pa.concat_tables(who)
        cells = [row.astype("<f4").tobytes() for row in np.concatenate(latents)]
        table = {name: known[name] for name in columns[:-1]} | {"latent": pa.array(cells, LATENTS.field("latent").type)}
        write_table(pa.table(table, schema=LATENTS), self.plan.table / part.name)
        return known.num_rows
