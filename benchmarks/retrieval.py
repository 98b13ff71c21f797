"""CPU time of a retrieval, exact top-3: the index, scipy's A.A^T row by row, and Python sets, on the same admissions.

$ python benchmarks/retrieval.py                          # 50,000 to 500,000 drawn admissions, 10,000 queries each
$ python benchmarks/retrieval.py 20000 --queries 500      # one pool
$ python benchmarks/retrieval.py --reading 10000000       # reading a hospital of so many prescriptions

Sizes and frequencies of codes are fitted to the demo of MIMIC-IV (275 admissions): at rank r a code has the frequency
min(c / (r + b)^s, 0.75). Codes are drawn apart from each other; real ones come together, so that real neighbours are
more alike. The queries are admissions of the pool, their own patients left out. The slow ways answer a sample of the
queries, and all three answers must be equal to the last bit. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from scipy.sparse import csr_matrix

from ecgray.ehr.hospital import read_hospital
from ecgray.ehr.profiles import Profiles, View, distinct
from ecgray.ehr.similar import Searcher, Weights, build_pool

K = 3
SHAPES = {  # codes, mean size, deviation of its logarithm, part without any, b, s
    "diagnoses": (9000, 16.4, 0.59, 0.0, 40, 1.4),
    "medications": (1500, 22.8, 0.49, 0.09, 40, 2.0),
    "procedures": (4000, 2.43, 0.77, 0.32, 8, 1.2),
}
OFTEN = 0.02
"""Codes more frequent than this are drawn one by one, the others all at once."""


def frequencies(codes: int, mean: float, b: float, s: float) -> np.ndarray:
    """Frequency by rank, with this many codes an admission."""
    shape = 1 / (np.arange(1, codes + 1) + b) ** s
    low, high = 0.0, 1e7
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(middle * shape, 0.75).sum() < mean else (low, middle)
    return np.minimum(low * shape, 0.75)


def draw_view(rows: int, shape: tuple[Any, ...], random: np.random.Generator) -> View:
    codes, mean, deviation, none, b, s = shape
    frequency = frequencies(codes, mean, b, s)
    size = np.exp(random.normal(-(deviation**2) / 2, deviation, rows)) * (random.random(rows) >= none) / (1 - none)
    found = []
    often = int((frequency > OFTEN).sum())
    for code in range(often):
        holds = np.flatnonzero(random.random(rows) < np.minimum(frequency[code] * size, 0.97))
        found.append(holds * codes + code)
    rare = random.poisson(frequency[often:].sum() * size.sum())
    who = np.searchsorted(np.cumsum(size) / size.sum(), random.random(rare))
    share = np.cumsum(frequency[often:]) / frequency[often:].sum()
    found.append(np.minimum(who, rows - 1) * codes + often + np.searchsorted(share, random.random(rare)))
    pairs = distinct(np.concatenate(found))
    names = random.permutation(codes).astype(np.int32)
    return View(np.searchsorted(pairs, np.arange(rows + 1) * codes), names[pairs % codes], codes)


def draw_profiles(rows: int, seed: int) -> Profiles:
    random = np.random.default_rng(seed)
    one, two, three = (draw_view(rows, shape, random) for shape in SHAPES.values())
    return Profiles((one, two, three))


def best(tau: np.ndarray) -> tuple[list[int], list[float]]:
    least = max(np.partition(tau, -K)[-K], 1e-300)
    rows = np.flatnonzero(tau >= least)
    rows = rows[np.lexsort((rows, -tau[rows]))][:K]
    return rows.tolist(), tau[rows].tolist()


def by_scipy(profiles: Profiles, owner: np.ndarray) -> Callable[[int], tuple[list[int], list[float]]]:
    rows, sizes = len(profiles), profiles.sizes()
    views = [
        csr_matrix((np.ones(len(view.codes), np.float32), view.codes, view.starts), shape=(rows, view.names))
        for view in profiles.views
    ]
    turned = [view.T.tocsr() for view in views]

    def ask(query: int) -> tuple[list[int], list[float]]:
        tau = np.zeros(rows)
        for view, other, size in zip(views, turned, sizes, strict=True):
            shared = view[query] @ other
            union = size[shared.indices] + size[query] - shared.data.astype(np.int64)
            tau[shared.indices] += shared.data.astype(np.int64) / union
        tau[owner == owner[query]] = 0
        return best(tau)

    return ask


def by_sets(profiles: Profiles, owner: np.ndarray) -> Callable[[int], tuple[list[int], list[float]]]:
    sets = [[frozenset(view.row(row).tolist()) for row in range(len(view))] for view in profiles.views]

    def ask(query: int) -> tuple[list[int], list[float]]:
        tau = np.zeros(len(profiles))
        for view in sets:
            mine = view[query]
            for row, other in enumerate(view):
                shared = len(mine & other)
                if shared:
                    tau[row] += shared / (len(mine) + len(other) - shared)
        tau[owner == owner[query]] = 0
        return best(tau)

    return ask


def cpu_ms(ask: Callable[[int], Any], queries: list[int]) -> tuple[float, list[Any]]:
    start = time.process_time()
    found = [ask(query) for query in queries]
    return (time.process_time() - start) / len(queries) * 1000, found


def measure(rows: int, queries: int) -> dict[str, Any]:
    profiles, owner = draw_profiles(rows, seed=0), np.arange(rows) // 2
    asked = np.sort(np.random.default_rng(1).choice(rows, min(queries, rows), replace=False))
    start = time.process_time()
    pool = build_pool(profiles, owner)
    built = time.process_time() - start
    searcher = Searcher(pool, weights=Weights(), k=K)
    few = asked[:: max(len(asked) // 60, 1)].tolist()
    slow = by_scipy(profiles, owner)

    def ask(query: int) -> tuple[list[int], list[float]]:
        row = np.array([query])
        found, tau = searcher.search(profiles.take(row), owner[row])
        return found[0].tolist(), tau[0].tolist()

    rounds = [(cpu_ms(ask, few[part::3]), cpu_ms(slow, few[part::3])) for part in range(3)]  # by turns: a busy machine
    assert all(ours[1] == theirs[1] for ours, theirs in rounds), "the answers differ"
    ours_few, scipy_ms = (float(np.mean([each[way][0] for each in rounds])) for way in (0, 1))
    start = time.process_time()
    _, tau = searcher.search(profiles.take(asked), owner[asked])
    ours_ms = (time.process_time() - start) / len(asked) * 1000
    one = few[:2]
    sets_ms, by_hand = cpu_ms(by_sets(profiles, owner), one)
    assert by_hand == [ask(query) for query in one], "the answers differ"
    return {
        "admissions": rows,
        "queries": len(asked),
        "columns": [len(view.columns) for view in pool.views],
        "build_cpu_s": round(built, 2),
        "index_mb": round(sum(array.nbytes for view in pool.views for array in vars(view).values()) / 1e6),
        "ours_cpu_ms": round(ours_ms, 2),
        "ours_cpu_ms_beside_scipy": round(ours_few, 2),
        "scipy_cpu_ms": round(scipy_ms, 2),
        "scipy_by_ours": round(scipy_ms / ours_few, 1),
        "sets_cpu_ms": round(sets_ms),
        "tau_of_first_and_third": [round(float(each), 3) for each in tau[:, [0, 2]].mean(axis=0)],
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def measure_reading(prescriptions: int) -> dict[str, Any]:
    """Reading half a million admissions with so many prescriptions, plain CSV."""
    random, rows = np.random.default_rng(0), 500_000
    drugs = pa.array([f"Drug{number} Sodium {number % 9}0 mg Tablet" for number in range(1500)])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ids = np.arange(rows) + 20_000_000
        fixed = {"admittime": ["2180-01-01 08:00:00"] * rows, "dischtime": ["2180-01-03 08:00:00"] * rows}
        tables = {
            "admissions": {"subject_id": ids // 2, "hadm_id": ids, **fixed},
            "diagnoses_icd": _coded(random, ids, 7_000_000, 9000),
            "procedures_icd": _coded(random, ids, 1_000_000, 4000),
            "prescriptions": {
                "hadm_id": random.choice(ids, prescriptions),
                "drug": drugs.take(pa.array((1500 * random.random(prescriptions) ** 3).astype(int))),
            },
        }
        for table, columns in tables.items():
            pa_csv.write_csv(pa.table(columns), folder / f"{table}.csv")
        size = sum(path.stat().st_size for path in folder.iterdir())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        del tables, columns
        start, wall = time.process_time(), time.perf_counter()
        found = read_hospital(folder)
        return {
            "admissions": found.admissions.num_rows,
            "prescriptions": prescriptions,
            "mb": round(size / 1e6),
            "cpu_s": round(time.process_time() - start, 1),
            "wall_s": round(time.perf_counter() - wall, 1),
            "rss_before_mb": round(before / 1024),
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }


def _coded(random: np.random.Generator, ids: np.ndarray, rows: int, codes: int) -> dict[str, Any]:
    names = pa.array([f"I{number:04d}" for number in range(codes)])
    drawn = (codes * random.random(rows) ** 3).astype(int)
    return {
        "hadm_id": random.choice(ids, rows),
        "icd_code": names.take(pa.array(drawn)),
        "icd_version": np.full(rows, 10),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", type=int, default=[50_000, 100_000, 250_000, 500_000])
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--reading", type=int, help="prescriptions to read, instead of searching")
    given = parser.parse_args()
    if given.reading:
        print(json.dumps(measure_reading(given.reading)))
        return
    figures = []
    for rows in given.rows:
        figures.append(measure(rows, given.queries))
        print(json.dumps(figures[-1]), file=sys.stderr, flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
