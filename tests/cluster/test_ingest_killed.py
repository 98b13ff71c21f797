"""Kill -9 in the middle of an ingest: nothing is lost, nothing doubled, nothing committed is done again."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from mimic_shaped import mimic_archive
from processes import kill_tree, kill_worker

from ecgray.parquet import read_table

pytestmark = pytest.mark.ray

JOB = Path(__file__).parents[2] / "jobs" / "ingest.py"
RECORDS = 6 * 512


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    root = tmp_path_factory.mktemp("archive")
    rows = mimic_archive(root, RECORDS)
    for number in (5, 700, 1400):
        (root / rows[number]["path"]).with_suffix(".hea").unlink()
    return root


def start(archive, out):
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.Popen(
        [sys.executable, JOB, "debug", "--archive", archive, "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment | {"OMP_NUM_THREADS": "1"},
    )


def committed(out):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (out / "records").glob("part-*")}


def wait_for_parts(out, process, number):
    deadline = time.monotonic() + 180
    while len(committed(out)) < number:
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def check(archive, out, process):
    stdout, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    figures = json.loads(stdout.decode().splitlines()[-1])
    assert (figures["records"], figures["quarantined"]) == (RECORDS - 3, 3)
    found = [
        *read_table(out / "records", ["record_id"])["record_id"].to_pylist(),
        *read_table(out / "quarantine")["record_id"].to_pylist(),
    ]
    assert len(found) == len(set(found)) == RECORDS
    assert not list(out.glob("records/.*"))
    assert not (out / ".reading").exists()


def test_the_whole_tree_killed_twice(archive, tmp_path):
    out = tmp_path / "out"
    for parts in (1, 3):
        process = start(archive, out)
        wait_for_parts(out, process, parts)
        kill_tree(process)
    before = committed(out)
    assert 3 <= len(before) < 6
    check(archive, out, start(archive, out))
    assert {name: committed(out)[name] for name in before} == before


def test_a_worker_killed_four_times(archive, tmp_path):
    out = tmp_path / "out"
    process = start(archive, out)
    wait_for_parts(out, process, 1)
    killed = 0
    while killed < 4 and process.poll() is None:
        killed += kill_worker(psutil.Process(process.pid), "MapBatches")
        time.sleep(0.2)
    assert killed
    check(archive, out, process)
