"""jobs/extract.py on a drawn archive: LLM calls per 1,000 reports, time cold and warm, memory.

$ python benchmarks/extract_archive.py                       # 100,000 reports, the embedded model
$ python benchmarks/extract_archive.py --records 20000

The reports are the embedded archive's, drawn without their ECGs (a records table with null in their place: extract
reads the reports only). Each run of the job is a process of its own; its memory is the sum over all its processes (each
page once: USS), sampled five times a second. The warm run has a new OUT and the first one's cache. As a yardstick of
flatness the same is done on a tenth of the records. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from ecgray.demo.people import draw_people
from ecgray.parquet import write_table
from ecgray.tables import RECORD_ROWS, RECORDS
from ecgray.text.reports import join_statements

ROOT = Path(__file__).parents[1]


def draw_reports(out: Path, records: int) -> None:
    """A records table of this many drawn reports."""
    rows: list[dict[str, Any]] = []
    part = 0
    for number, recording in enumerate(draw_people(2 * records, seed=7)):
        rows.append(
            {
                "record_id": f"mimic-iv-ecg:{recording.study_id}",
                "subject_id": f"mimic-iv-ecg:{recording.subject_id}",
                "split": "train",
                "report": join_statements(recording.statements),
            }
        )
        if len(rows) == RECORD_ROWS or number + 1 == records:
            columns = {
                name: pa.array([row.get(name) for row in rows], RECORDS.field(name).type) for name in RECORDS.names
            }
            write_table(pa.table(columns, schema=RECORDS), out / f"part-{part:05d}.parquet")
            rows, part = [], part + 1
        if number + 1 == records:
            return


def run(records: Path, out: Path, cache: Path) -> dict[str, Any]:
    """One run of the job: its figures, its seconds and CPU seconds, its largest memory."""
    command = [sys.executable, str(ROOT / "jobs" / "extract.py"), "laptop"]
    command += ["--records", str(records), "--out", str(out), "--cache", str(cache)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        most, cpu = watch(process.pid, process)
        said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"jobs/extract.py ended with {process.returncode}")
    figures: dict[str, Any] = json.loads(said.splitlines()[-1])
    return figures | {"wall_s": round(time.perf_counter() - start, 1), "cpu_s": round(cpu, 1), "most_mb": round(most)}


def watch(pid: int, process: subprocess.Popen[str]) -> tuple[float, float]:
    """Largest memory in MB and CPU seconds of a process and all it starts."""
    most, cpu = 0.0, {}
    root = psutil.Process(pid)
    while process.poll() is None:
        memory = 0
        for one in [root, *_children(root)]:
            try:
                memory += one.memory_full_info().uss
                times = one.cpu_times()
                cpu[one.pid] = times.user + times.system
            except psutil.Error:
                continue
        most = max(most, memory / 1e6)
        time.sleep(0.2)
    return most, sum(cpu.values())


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=100_000)
    records = parser.parse_args().records
    shown: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, number in (("tenth", records // 10), ("whole", records)):
            folder = Path(scratch) / name
            draw_reports(folder / "records", number)
            for state in ("cold", "warm"):
                said = run(folder / "records", folder / state, folder / "cache")
                keys = ("records", "statements", "distinct", "asked", "calls_per_1000_reports", "entities", "seconds")
                keys += ("wall_s", "cpu_s", "most_mb", "unknown", "rows_per_s")
                shown[f"{name}_{state}"] = {key: said[key] for key in keys if key in said}
                print(f"{name} {state}: {shown[f'{name}_{state}']}")
    print(json.dumps(shown))


if __name__ == "__main__":
    main()
