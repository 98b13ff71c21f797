"""How many twelve-lead records of ten seconds the simulator draws in a second of one core, beside NeuroKit2's.

$ OMP_NUM_THREADS=1 python benchmarks/simulator.py
$ OMP_NUM_THREADS=1 python benchmarks/simulator.py --only phases  # `simulate` and NeuroKit2 alone, and a GPU if any
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
from ecgray.waveform.ode import Method  # noqa: E402
from ecgray.waveform.simulator import Waves, simulate, typical  # noqa: E402
from ecgray.waveform.tachogram import draw_tachogram, resting  # noqa: E402

GOAL = 200
GOAL_RATIO = 100
"""How many records `simulate` is to draw in the time of one of NeuroKit2's."""
NEUROKIT = "neurokit2.ecg_simulate(method='multileads')"
ROUNDS = 5


def records_per_s(
    records: int, work: Callable[[], object], *, rounds: int = ROUNDS, clock: Callable[[], float] = time.process_time
) -> tuple[float, float, float]:
    """Median, lowest and highest records per second of processor time, or of another clock's."""
    rates = []
    for _ in range(rounds):
        start = clock()
        work()
        rates.append(records / (clock() - start))
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


def phases(records: int, *, dtype: torch.dtype, device: str = "cpu", method: Method = "euler") -> Callable[[], object]:
    """Eq. 4-10 in phases: records of twelve leads of five waves, each with a morphology and RR intervals of its own."""
    one, generator = typical(), torch.Generator().manual_seed(0)
    amplitude, centre, width = (
        (part * (1 + 0.1 * torch.rand(records, 12, 5, generator=generator, dtype=torch.float64))).to(device, dtype)
        for part in (one.amplitude_mv, one.centre_s, one.width_s)
    )
    leads = Waves(amplitude, centre, width, one.stretches.to(device))
    rr_s = draw_tachogram(resting(records), generator=generator).rr_s

    def work() -> None:
        simulate(leads, rr_s, method=method)
        if device == "cuda":
            torch.cuda.synchronize()

    return work


def in_phases() -> dict[str, tuple[float, float, float]]:
    """`simulate`, whose strips are differentiable in the morphology, in either precision and by either method."""
    measured = {
        "simulate, explicit Euler, float64": records_per_s(256, phases(256, dtype=torch.float64)),
        "simulate, explicit Euler, float32": records_per_s(256, phases(256, dtype=torch.float32)),
        "simulate, RK4, float64": records_per_s(256, phases(256, dtype=torch.float64, method="rk4")),
    }
    if torch.cuda.is_available():
        on_gpu = phases(256, dtype=torch.float32, device="cuda")
        name = f"simulate, explicit Euler, float32, {torch.cuda.get_device_name()}, seconds of the clock"
        measured[name] = records_per_s(256, on_gpu, clock=time.perf_counter)
    return measured


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


def from_events() -> dict[str, tuple[float, float, float]]:
    """The way the archive is drawn: waves in time units, as a train of events."""
    patients = 200
    records = sum(1 for _ in draw_people(patients, seed=0))
    return {
        "simulator, event train (8 leads)": records_per_s(400, event_train(400)),
        "the same, with breath, noise and 12 leads in counts": records_per_s(400, whole_recordings(400)),
        "the whole archive, drawn and written to files": records_per_s(records, written(patients)),
    }


def main() -> None:
    """Measure each and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, help="write the table there, too")
    arguments.add_argument("--only", choices=["phases"], help="leave out the event train and the archive")
    options = arguments.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    measured = {} if options.only else from_events()
    measured |= in_phases()
    measured[NEUROKIT] = records_per_s(4, neurokit(4))
    theirs = measured[NEUROKIT][0]
    lines = ["# Simulator: twelve-lead records of 10 s at 500 Hz, per second of one core", "", machine(), ""]
    lines += ["| what | median | lowest | highest | times neurokit2 |", "|---|---|---|---|---|"]
    lines += [
        f"| {what} | {mid:,.1f} | {low:,.1f} | {high:,.1f} | {mid / theirs:,.0f} |"
        for what, (mid, low, high) in measured.items()
    ]
    lines += ["", f"Goals: {GOAL} records for the event train, {GOAL_RATIO} times neurokit2 for `simulate`."]
    lines[-1] += f" Processor time, {ROUNDS} rounds each; process started once."
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
