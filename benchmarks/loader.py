"""What it costs to bring records to the trainer as float32 batches, against plain pyarrow over the same files.

$ python benchmarks/loader.py                  # 4,096 records, 0.5 GB of disk, a minute
$ python benchmarks/loader.py --records 1024   # a look

CPU seconds of the process, for Ray of all its processes; Ray's start is left out. Files are in the page cache.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ecgray.parquet import parquet_files, write_table
from ecgray.supreme.preprocess import PreprocessConfig, preprocess
from ecgray.tables import ECG_BYTES, LABELS, RECORD_GROUP, RECORD_ROWS, RECORDS, ecg_counts
from ecgray.training.order import Order
from ecgray.training.shards import Selection, select, training_shares

BATCH = 64
WINDOW = 8
"""Row groups mixed at a time: few, so that most of the run is steady state, where memory is taken over."""
Convert = Callable[[np.ndarray], torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip-ray", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), options.records)
        selection = select(Path(folder) / "records", Path(folder) / "labels", split="train", terms=["sinus rhythm"])
        as_read: Convert = torch.from_numpy
        rows: dict[str, Callable[[], int]] = {
            "plain pyarrow, int16 views": lambda: plain(selection),
            "trainer, from the files, float32": lambda: trainer(selection, as_read, memory_bytes=0),
            "trainer, kept in memory, float32": lambda: trainer(selection, as_read, memory_bytes=1e12, epochs=4),
            "trainer, from the files, preprocessed": lambda: trainer(selection, millivolt, memory_bytes=0),
        }
        # in turn, so that what else the machine does falls on all alike
        found = [[measure(path) for path in rows.values()] for _ in range(options.repeats)]
        costs = {name: min(row[place] for row in found) for place, name in enumerate(rows)}
        baseline = costs["plain pyarrow, int16 views"][0]
        print("| path | CPU s per 1,000 records | times plain | records/s |\n|---|---|---|---|")
        for name, (cpu, wall) in costs.items():
            show(name, cpu, wall, baseline)
        if not options.skip_ray:
            with ray_rows(Path(folder) / "records") as path:
                cpu, wall = min(measure(path) for _ in range(options.repeats))
            show("ray.data iter_batches, float32", cpu, wall, baseline)


def show(name: str, cpu: float, wall: float, baseline: float) -> None:
    print(f"| {name} | {cpu:.3f} | {cpu / baseline:.1f} | {1000 / wall:,.0f} |", flush=True)


def draw(folder: Path, records: int) -> None:
    """A records table of noise and its labels: the content costs nothing, the bytes do."""
    random = np.random.default_rng(0)
    for start in range(0, records, RECORD_ROWS):
        rows = min(RECORD_ROWS, records - start)
        names = pa.array([f"wfdb:{start + row}" for row in range(rows)])
        ecg = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(ECG_BYTES), rows, [None, pa.py_buffer(random.integers(-2000, 2000, (rows, 60_000), np.int16))]
        )
        split, terms = pa.array(["train"] * rows), pa.array([["sinus rhythm"]] * rows)
        known = {"record_id": names, "subject_id": names, "split": split, "ecg": ecg, "terms": terms}
        for schema, place, group in ((RECORDS, "records", RECORD_GROUP), (LABELS, "labels", RECORD_ROWS)):
            columns = [known.get(field.name, pa.nulls(rows, field.type)) for field in schema]
            path = folder / place / f"part-{start:06d}.parquet"
            write_table(pa.table(columns, schema=schema), path, row_group=group)


def measure(path: Callable[[], int]) -> tuple[float, float]:
    """CPU and wall seconds per 1,000 records, CPU of this process and all that it started."""
    cpu, wall = tree_cpu_s(), time.perf_counter()
    records = path()
    return (tree_cpu_s() - cpu) * 1000 / records, (time.perf_counter() - wall) * 1000 / records


def tree_cpu_s() -> float:
    total = time.process_time()  # to the microsecond; other processes only to 10 ms
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def plain(selection: Selection) -> int:
    """Every ECG as pyarrow gives it, not even looked at."""
    seen = 0
    for path in selection.files:
        file = pq.ParquetFile(path, memory_map=True)
        for group in range(file.num_row_groups):
            seen += len(ecg_counts(file.read_row_group(group, columns=["ecg"], use_threads=False)["ecg"]))
    return seen


def millivolt(counts: np.ndarray) -> torch.Tensor:
    return preprocess(counts, PreprocessConfig(scale="millivolt"))


def trainer(selection: Selection, convert: Convert, *, memory_bytes: float, epochs: int = 1) -> int:
    """What one worker does: shuffled batches with their targets, read ahead by a thread."""
    order = Order(selection.group, batch_size=BATCH, seed=0, window_groups=WINDOW)
    steps = range(epochs * order.steps_per_epoch)
    shares = training_shares(selection, order, steps=steps, rank=0, world=1, memory_bytes=memory_bytes, kind=np.float32)
    return sum(len(convert(share.ecg)) for share in shares)


@contextlib.contextmanager
def ray_rows(records: Path) -> Iterator[Callable[[], int]]:
    """The same by Ray Data, its processes warm."""
    from ecgray.cluster.connect import connected

    with connected(num_cpus=2):
        import ray.data

        dataset = ray.data.read_parquet([str(path) for path in parquet_files(records)]).select_columns(["ecg"])

        def collate(batch: pa.Table) -> torch.Tensor:
            return torch.from_numpy(ecg_counts(batch["ecg"]).astype(np.float32))

        def read() -> int:
            batches = dataset.iter_batches(
                batch_size=BATCH, batch_format="pyarrow", prefetch_batches=2, local_shuffle_buffer_size=64 * BATCH
            )
            return sum(len(collate(batch)) for batch in batches)

        yield read


if __name__ == "__main__":
    main()
