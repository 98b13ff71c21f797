"""Kill -9 in the middle of an extraction: nothing is lost, and nothing that was committed is asked again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from fake_engines import asked
from processes import kill_tree, kill_worker
from reports_table import stand_in_model, write_reports

from ecgray.parquet import read_table

pytestmark = pytest.mark.ray

TESTS = Path(__file__).parents[1]
JOB = TESTS.parent / "jobs" / "extract.py"
RECORDS, PART = 200, 10


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_reports(tmp_path / "records", [f"Sinus rhythm. Rate {number} bpm" for number in range(RECORDS)])
    stand_in_model(tmp_path / "model")
    return tmp_path


def start(place: Path) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    fields = {"records": "records", "out": "out", "model": "model"}
    named = [word for name, value in fields.items() for word in (f"--{name}", str(place / value))]
    return subprocess.Popen(
        [
            sys.executable,
            JOB,
            "debug",
            *named,
            "--engine",
            f"{TESTS / 'fake_engines.py'}:Slow",
            "--part-rows",
            str(PART),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment | {"OMP_NUM_THREADS": "1"},
    )


def committed(place: Path) -> list[Path]:
    return list((place / "out" / "cache").glob("[!.]*.parquet"))


def wait_for_parts(place: Path, process: subprocess.Popen[bytes], number: int) -> None:
    deadline = time.monotonic() + 120
    while len(committed(place)) < number:
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_whole_tree_and_an_actor_killed(place: Path) -> None:
    process = start(place)
    wait_for_parts(place, process, 3)
    kill_tree(process)
    before = {text for path in committed(place) for text in texts_in(path)}
    assert 3 * PART <= len(before) < RECORDS
    process = start(place)
    wait_for_parts(place, process, len(before) // PART + 2)
    assert kill_worker(psutil.Process(process.pid), "MapWorker")
    stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    figures = json.loads(stdout.decode().splitlines()[-1])
    assert (figures["answered"], figures["refused"], figures["entities"]) == (RECORDS + 1, 0, 2 * RECORDS)
    assert figures["cached"] == len(before)
    found = Counter(read_table(place / "out" / "entities", ["record_id"])["record_id"].to_pylist())
    assert set(found.values()) == {2}
    assert len(found) == RECORDS
    times = Counter(asked(place / "model"))
    assert {times[text] for text in before} == {1}, "what was committed is never asked again"
    assert sum(times.values()) <= RECORDS + 1 + 3 * PART, "a kill costs a part"
    assert not (place / "out" / ".asking").exists()


def texts_in(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=["text"])["text"].to_pylist()
