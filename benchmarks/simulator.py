"""How many twelve-lead records of ten seconds the simulator draws in a second of one core, beside NeuroKit2's.

$ OMP_NUM_THREADS=1 python benchmarks/simulator.py
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import date
from itertools import islice
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: a figure for one core

import neurokit2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from ecgray.demo.archive import draw_archive  # noqa: E402
from ecgray.demo.people import draw_people  # noqa: E402
from ecgray.demo.strip import LEAD_IN_S, draw_ecgs  # noqa: E402
from ecgray.waveform.events import WaveTrain, draw_strips  # noqa: E402
from ecgray.waveform.simulator import Waves, simulate, typical  # noqa: E402

GOAL = 200
ROUNDS = 5


def records_per_s(records: int, work: Callable[[], object], *, rounds: int = ROUNDS) -> tuple[float, float, float]:
    """Median, lowest and highest records per second of processor time."""
    rates = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        rates.append(records / (time.process_time() - start))
    return statistics.median(rates), min(rates), max(rates)


def event_train(records: int) -> Callable[[], object]:
    """The waves of drawn hearts, through the simulator alone (eight leads)."""
    placed = [one.drawing.strip.placed for one in islice(draw_people(records, seed=0), records)]
    centre, width, voltage = (np.concatenate(part) for part in zip(*placed, strict=True))
    train = WaveTrain(np.repeat(np.arange(records), [len(part[0]) for part in placed]), centre, width, voltage)
    baseline = np.zeros((records, round((10 + LEAD_IN_S) * 500), 8), np.float32)
    return lambda: draw_strips(train, baseline, fs=500.0, lead_in_s=LEAD_IN_S)


def whole_recordings(records: int) -> Callable[[], object]:
    """From a drawn heart's waves, breath and noise to twelve leads in counts."""
    drawings = [one.drawing for one in islice(draw_people(records, seed=0), records)]
    return lambda: draw_ecgs(drawings)


def written(patients: int) -> Callable[[], object]:
    """Everything: who it is, heart, rhythm, waves, noise, report, hospital tables, files."""

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            draw_archive(Path(folder), patients=patients, seed=0)

    return work


def euler(records: int) -> Callable[[], object]:
    """Explicit Euler of Eq. 8-10 in phases: twelve leads of five waves."""
    one = typical()
    leads = Waves(
        *(part.expand(12, -1).clone() for part in (one.amplitude_mv, one.centre_s, one.width_s)), one.stretches
    )
    rr_s = 0.8 + 0.1 * torch.rand(records, 14, dtype=torch.float64)
    return lambda: simulate(leads, rr_s)


def neurokit(records: int) -> Callable[[], object]:
    """NeuroKit2's simulator of twelve leads, one record after the other, at our sampling rate."""

    def work() -> None:
        for seed in range(records):
            neurokit2.ecg_simulate(
                duration=10, sampling_rate=500, method="multileads", random_state=seed, random_state_distort=seed
            )

    return work


def machine() -> str:
    """What it ran on."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores seen, one used; {date.today()}"


def main() -> None:
    """Measure each and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, help="write the table there, too")
    out = arguments.parse_args().out
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    patients = 200
    records = sum(1 for _ in draw_people(patients, seed=0))
    measured = {
        "simulator, event train (8 leads)": records_per_s(400, event_train(400)),
        "the same, with breath, noise and 12 leads in counts": records_per_s(400, whole_recordings(400)),
        "the whole archive, drawn and written to files": records_per_s(records, written(patients)),
        "explicit Euler in phases (12 leads, 5 waves)": records_per_s(8, euler(8)),
        "neurokit2.ecg_simulate(method='multileads')": records_per_s(8, neurokit(8)),
    }
    lines = ["# Simulator: twelve-lead records of 10 s at 500 Hz, per second of one core", "", machine(), ""]
    lines += ["| what | median | lowest | highest |", "|---|---|---|---|"]
    lines += [f"| {what} | {mid:,.0f} | {low:,.0f} | {high:,.0f} |" for what, (mid, low, high) in measured.items()]
    rates = [rate for rate, _, _ in measured.values()]
    lines += ["", f"Goal: {GOAL}. The simulator draws {rates[0] / GOAL:.1f} times as many, and as many as "]
    lines[-1] += f"{rates[0] / rates[-1]:.0f} of neurokit2. Processor time, {ROUNDS} rounds each; process started once."
    print("\n".join(lines))
    if out:
        out.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
