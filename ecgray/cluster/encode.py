"""Latents on Ray Data: workers that hold the autoencoder read the files of records and write one of latents each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch

from ecgray.cluster.parts import PartWorker, read_signals, rows_of, work_through
from ecgray.cluster.workers import Workers
from ecgray.output import output_folder
from ecgray.parquet import table_folder, write_table
from ecgray.sediff.folder import load_vae
from ecgray.tables import LATENTS, SIGNALS

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
        parts, table = rows_of(records, SIGNALS), folder.path / "latents"
        threads, device = max(1, int(config.cpus_per_worker)), "cuda" if config.gpu else "cpu"
        plan = EncodePlan(config.vae.absolute(), table, config.batch_size, threads, device)
        size = Workers(config.workers, config.cpus_per_worker, config.gpu)
        rate = work_through(parts, Encoder, plan, tables=[table], size=size, name="encode", purpose="encoding")
        figures = {"records": sum(parts.values()), "records_per_s": round(rate, 1)}
        return folder.finish(figures | {"vae": loaded.fingerprint, "latents": str(table)})


class Encoder(PartWorker):
    """One worker: loads the autoencoder once, encodes file after file."""

    def __init__(self, plan: EncodePlan) -> None:
        torch.set_num_threads(plan.threads)
        self.plan = plan
        self.vae = load_vae(plan.vae, device=plan.device).vae

    @torch.inference_mode()
    def write(self, part: Path) -> int:
        """Encode the records of one file."""
        columns = ["record_id", "subject_id", "split"]
        cells: list[bytes] = []
        who: list[pa.Table] = [LATENTS.empty_table().select(columns)]  # a file of which all was refused has no rows
        for rows, signal in read_signals(part, batch_size=self.plan.batch_size, columns=columns):
            latents = self.vae.encode(torch.from_numpy(signal).to(self.plan.device)).float().cpu().numpy()
            cells += [row.astype("<f4").tobytes() for row in latents]
            who.append(rows)
        known = pa.concat_tables(who)
        table = {name: known[name] for name in columns} | {"latent": pa.array(cells, LATENTS.field("latent").type)}
        write_table(pa.table(table, schema=LATENTS), self.plan.table / part.name)
        return known.num_rows
