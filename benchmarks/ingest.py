"""Ingest against its yardstick: CPU and memory of the whole process tree, and a plain wfdb loop over the same files.

$ python benchmarks/ingest.py                      # 20,000 records, 5 GB of disk, some minutes
$ python benchmarks/ingest.py --records 2000       # a look

Writes its own MIMIC-shaped archive into a temporary folder. Steady state is what all processes of one run take from the
moment a quarter of the files is committed to the moment all are; what they took before that, Ray's start with it, is
reported apart. A second run over a quarter of the recordings gives the other peak of memory.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from ecgray.waveform.write import write_recording

LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")  # MIMIC has aVF before aVL
KINDS = ("driver", "workers", "ray", "system")
"""Whose CPU seconds; `system` is the part of all three that the kernel took."""
JOB = Path(__file__).parents[1] / "jobs" / "ingest.py"


def draw(root: Path, records: int) -> None:
    """A MIMIC-shaped archive: 16 drawn hearts, each recording one of them in files of its own."""
    hearts = drawn_hearts(np.random.default_rng(0))
    rows = []
    for number in range(records):
        subject, study = 10_000_000 + number // 5, 40_000_000 + number
        path = f"files/p{subject // 10_000}/p{subject}/s{study}/{study}"
        (root / path).parent.mkdir(parents=True)
        write_recording((root / path).parent, str(study), hearts[number % 16], leads=LEADS)
        rows.append((subject, study, str(study), "2180-07-23 08:44:00", path))
    list_records(root, rows)


def drawn_hearts(rng: np.random.Generator) -> np.ndarray:
    """16 times twelve leads in MIMIC's order, int16 counts of 1/1000 mV, the frontal leads of one heart."""
    beat = np.exp(-0.5 * ((np.arange(5000) % 400 - 200) / 8.0) ** 2)
    free = (1000 * rng.uniform(0.3, 1.5, (8, 16, 1)) * beat + rng.normal(0, 5, (8, 16, 5000))).astype(np.int32)
    one, two = free[:2]
    frontal = [one, two, two - one, -((one + two) // 2), (2 * two - one) // 2, (2 * one - two) // 2]
    return np.stack([*frontal, *free[2:]], axis=1).astype(np.int16)


def list_records(root: Path, rows: list[tuple[int, int, str, str, str]]) -> None:
    with (root / "record_list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("subject_id", "study_id", "file_name", "ecg_time", "path"), *rows])
    statements = [f"report_{position}" for position in range(18)]
    with (root / "machine_measurements.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["subject_id", "study_id", *statements, "rr_interval", "p_onset"])
        spoken = ["Sinus rhythm", "Possible right atrial abnormality", "", "Borderline ECG", *[""] * 14]
        writer.writerows([row[0], row[1], *spoken, 659, 29999] for row in rows)


def part_of(root: Path, records: int) -> Path:
    """The same archive, naming its first `records` recordings only."""
    part = root.parent / f"first_{records}"
    part.mkdir()
    (part / "files").symlink_to(root / "files")
    with (root / "record_list.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1 : records + 1]
    list_records(part, [(int(row[0]), int(row[1]), row[2], row[3], row[4]) for row in rows])
    return part


@dataclass
class Cost:
    """What a process and all that it started took."""

    wall_s: float = 0.0
    peak_bytes: int = 0
    timeline: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    """Files committed; CPU seconds taken by the driver, the workers, and Ray's own processes."""
    figures: dict[str, object] = field(default_factory=dict)

    def steady_cpu_s(self, files: int) -> tuple[float, dict[str, float]]:
        """CPU seconds until a quarter of the files was there, and from then until all were."""
        quarter = next(cpu for done, cpu in self.timeline if done >= files // 4)
        end = next(cpu for done, cpu in self.timeline if done >= files)
        return sum(quarter[kind] for kind in KINDS[:3]), {kind: end[kind] - quarter[kind] for kind in KINDS}


def run(archive: Path, out: Path, recipe: str) -> Cost:
    """One ingest in processes of its own, watched from outside."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(JOB), recipe, "--archive", str(archive), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    cost = Cost()
    watcher = threading.Thread(target=watch, args=(process, out, cost), daemon=True)
    watcher.start()
    stdout, stderr = process.communicate()
    watcher.join()
    cost.wall_s = time.perf_counter() - started
    if process.returncode != 0:
        raise SystemExit(f"ingest failed with exit status {process.returncode}\n{stderr.decode()[-2000:]}")
    cost.figures = json.loads(stdout.decode().strip().splitlines()[-1])
    return cost


def watch(process: subprocess.Popen[bytes], out: Path, cost: Cost) -> None:
    """Every 50 ms: the tree's resident memory, the CPU time of all that ever belonged to it, the committed files."""
    root = psutil.Process(process.pid)
    seen: dict[tuple[int, float], tuple[str, float, float]] = {}
    while process.poll() is None:
        memory = 0
        try:
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            break
        done = len(list((out / "records").glob("part-*.parquet")))
        for one in tree:
            try:
                with one.oneshot():
                    memory += one.memory_info().rss
                    times = one.cpu_times()
                    seen[one.pid, one.create_time()] = kind_of(one, root), times.user, times.system
            except psutil.NoSuchProcess:
                continue
        cost.peak_bytes = max(cost.peak_bytes, memory)
        taken = {kind: sum(user + system for its, user, system in seen.values() if its == kind) for kind in KINDS}
        taken["system"] = sum(system for _, _, system in seen.values())
        cost.timeline.append((done, taken))
        time.sleep(0.05)


def kind_of(process: psutil.Process, driver: psutil.Process) -> str:
    if process == driver:
        return "driver"
    title = " ".join(process.cmdline()[:1])
    return "workers" if title.startswith(("ray::IDLE", "ray::MapBatches")) else "ray"


def wfdb_cost(archive: Path, records: int) -> float:
    """CPU seconds of a plain wfdb loop over `records` of the recordings, one process, physical units."""
    import wfdb

    paths = spread(archive, records)
    start = time.process_time()
    for path in paths:
        wfdb.rdrecord(str(path))
    return time.process_time() - start


def spread(archive: Path, records: int) -> list[Path]:
    """Recordings from all over the archive: its first ones alone would stay in the processor's cache."""
    with (archive / "record_list.csv").open(newline="") as file:
        paths = [archive / row["path"] for row in csv.DictReader(file)]
    return paths[:: len(paths) // records][:records]


def own_cost(archive: Path, records: int) -> dict[str, float]:
    """CPU seconds of our own reader without Ray: files, decoding and checksum; the same with flags and transpose."""
    from ecgray.waveform.record import read_recording
    from ecgray.waveform.standard import standardise

    paths = spread(archive, records)
    start = time.process_time()
    for path in paths:
        read_recording(path)
    read = time.process_time() - start
    start = time.process_time()
    for path in paths:
        standardise(read_recording(path))
    return {"read": read, "read_and_standardise": time.process_time() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--recipe", default="laptop")
    parser.add_argument("--folder", type=Path, default=None, help="where the temporary archive goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        print(json.dumps(measure(Path(folder), options.records, options.recipe), indent=1))


def measure(folder: Path, records: int, recipe: str) -> dict[str, object]:
    root = folder / "archive"
    root.mkdir()
    draw(root, records)
    few = records // 4
    small = run(part_of(root, few), folder / "out_few", recipe)
    shutil.rmtree(folder / "out_few")
    large = run(root, folder / "out_all", recipe)
    files = len(list((folder / "out_all" / "records").iterdir()))
    shutil.rmtree(folder / "out_all")
    start_cpu_s, steady = large.steady_cpu_s(files)
    counted = records - files // 4 * 512
    per_1000 = 1000 * sum(steady[kind] for kind in KINDS[:3]) / counted
    yardstick = min(2000, records)
    wfdb_per_1000 = 1000 * wfdb_cost(root, yardstick) / yardstick
    own = own_cost(root, yardstick)
    return {
        "records": records,
        "recipe": recipe,
        "cpus": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "steady_cpu_s_per_1000": round(per_1000, 3),
        "of_which": {kind: round(1000 * cpu_s / counted, 3) for kind, cpu_s in steady.items()},
        "cpu_s_before_steady": round(start_cpu_s, 1),
        "wfdb_cpu_s_per_1000": round(wfdb_per_1000, 3),
        "times_less_cpu_than_wfdb": round(wfdb_per_1000 / per_1000, 2),
        "own_reader_cpu_s_per_1000": {name: round(1000 * cpu_s / yardstick, 3) for name, cpu_s in own.items()},
        "peak_mb": [round(small.peak_bytes / 1e6), round(large.peak_bytes / 1e6)],
        "peak_ratio": round(large.peak_bytes / small.peak_bytes, 3),
        "wall_s": [round(small.wall_s, 1), round(large.wall_s, 1)],
        "records_per_s": [small.figures["records_per_s"], large.figures["records_per_s"]],
    }


if __name__ == "__main__":
    main()
