"""R peaks and wave ends on real recordings: our delineator beside NeuroKit2's methods, on patients it never saw.

$ pip install ts2vg    # NeuroKit2's emrich2023 needs it; nothing of ours does
$ python benchmarks/delineation.py --data DIR --out benchmarks/results/FILE

DIR holds ludb and cpsc2019_rpeaks. LUDB: the patients outside the training split. CPSC 2019: single leads of another
source, never trained on. Speed is in CPU seconds of one core, both in the same run.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: a figure for one core

import neurokit2  # noqa: E402
import numpy as np  # noqa: E402
import scipy.io  # noqa: E402
import torch  # noqa: E402

from ecgray.cluster.delineator import _patients, load_marked  # noqa: E402
from ecgray.recipes.train_delineator import TRAIN_DELINEATOR  # noqa: E402
from ecgray.waveform.delineator.reader import EMBEDDED, Reading, WaveReader  # noqa: E402
from ecgray.waveform.delineator.score import CSE_MS, match, score_ends, score_intervals  # noqa: E402
from ecgray.waveform.delineator.segments import Segments  # noqa: E402

FS = 500
R_WINDOW = 37
"""Samples (75 ms) within which an R peak counts as found."""
EDGE = 250
"""Samples at both ends of a strip of CPSC 2019 that do not count: its rule."""
PEAKS = ("neurokit", "emrich2023", "pantompkins1985")
DELINEATIONS = ("dwt", "cwt", "prominence")
GIVES_UP = (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError)
"""What NeuroKit2 raises where it finds too little."""


def r_score(pairs: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """Sensitivity, precision and F1 of R peaks over all strips."""
    hits = sum(len(match(true, np.asarray(found, float), window=R_WINDOW)) for true, found in pairs)
    true, found = sum(len(one) for one, _ in pairs), sum(len(one) for _, one in pairs)
    return f"{100 * hits / true:.2f} | {100 * hits / max(found, 1):.2f} | {200 * hits / (true + found):.2f} | {true}"


def within(peaks: np.ndarray, low: float, high: float) -> np.ndarray:
    """The peaks between two samples."""
    return peaks[(peaks >= low) & (peaks <= high)]


def neurokit_peaks(signal: np.ndarray, method: str) -> np.ndarray:
    """NeuroKit2's R peaks of one lead; none where it gives up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            cleaned = neurokit2.ecg_clean(signal, sampling_rate=FS, method=method)
            return np.asarray(neurokit2.ecg_peaks(cleaned, sampling_rate=FS, method=method)[1]["ECG_R_Peaks"])
        except GIVES_UP:
            return np.array([])


def neurokit_waves(signal: np.ndarray, method: str) -> dict[str, list[tuple[float, float]]]:
    """P, QRS and T of one lead as NeuroKit2 has them, R peaks by emrich2023."""
    peaks = neurokit_peaks(signal, "emrich2023")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            cleaned = neurokit2.ecg_clean(signal, sampling_rate=FS)
            found = neurokit2.ecg_delineate(cleaned, peaks, sampling_rate=FS, method=method)[1]
        except GIVES_UP:
            return {"P": [], "QRS": [], "T": []}
    waves = {}
    for name, letter in (("P", "P"), ("QRS", "R"), ("T", "T")):
        ends = zip(found.get(f"ECG_{letter}_Onsets", []), found.get(f"ECG_{letter}_Offsets", []), strict=False)
        waves[name] = sorted((a, b) for a, b in ends if np.isfinite(a) and np.isfinite(b) and b > a)
    return waves


def neurokit_reading(ecgs: np.ndarray, method: str) -> Reading:
    """All leads of all records, one by one."""
    rows: dict[str, list[tuple[float, ...]]] = {"P": [], "QRS": [], "T": []}
    for record, ecg in enumerate(ecgs):
        for lead, signal in enumerate(ecg):
            for name, waves in neurokit_waves(signal, method).items():
                rows[name] += [(record, lead, *wave) for wave in waves]
    seen = np.ones(ecgs.shape[:2], bool)
    peaks = [neurokit_peaks(ecg[1], "emrich2023").astype(np.int64) for ecg in ecgs]
    return Reading(*(_segments(rows[name]) for name in ("P", "QRS", "T")), seen, peaks)


def _segments(rows: list[tuple[float, ...]]) -> Segments:
    record, lead, onset, offset = np.array(rows, np.float64).reshape(-1, 4).T
    return Segments(record.astype(np.int64), lead.astype(np.int64), onset, offset, np.ones(len(rows), bool))


def end_rows(name: str, marks: list, reading: Reading) -> list[str]:
    rows = []
    for one in score_ends(marks, reading):
        cse = CSE_MS.get((one.wave, one.end))
        rows.append(
            f"| {name} | {one.wave} {one.end} | {100 * one.sensitivity:.2f} | {100 * one.precision:.2f} | "
            f"{one.mean_ms:+.1f} | {one.sd_ms:.1f} | {cse or ''} |"
        )
    return rows


def interval_row(name: str, marks: list, reading: Reading, ecgs: np.ndarray) -> str:
    scores = score_intervals(marks, reading, ecgs)
    cells = [f"{one.mean_absolute_error:.1f} ({one.missed}, {one.invented})" for one in scores.values()]
    return f"| {name} | " + " | ".join(cells) + " |"


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def cpsc2019(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each strip of one lead in mV, and its R peaks."""
    found = []
    for file in sorted((folder / "data").glob("data_*.mat")):
        reference = scipy.io.loadmat(folder / "ref" / file.name.replace("data_", "R_"))["R_peak"].ravel()
        found.append((scipy.io.loadmat(file)["ecg"].ravel().astype(np.float32), reference.astype(float)))
    return found


def report(data: Path, model: Path) -> list[str]:
    """The whole page."""
    config = TRAIN_DELINEATOR["laptop"]
    ecgs, marks = load_marked(data / "ludb", _patients(data / "ludb", config)[1])
    reader = WaveReader.load(model)
    ours = reader.read_all(ecgs)
    lines = [f"LUDB: {len(ecgs)} patients outside the training split; model {reader.fingerprint}.", ""]
    lines += _r_peaks(reader, ecgs, marks, cpsc2019(data / "cpsc2019_rpeaks"))
    header = "| method | end | sensitivity % | positive predictivity % | mean error ms | SD ms | CSE tolerance ms |"
    lines += ["", header, "|---|---|---|---|---|---|---|", *end_rows("ours", marks, ours)]
    rows = [interval_row("ours", marks, ours, ecgs)]
    for method in DELINEATIONS:
        theirs = neurokit_reading(ecgs, method)
        lines += end_rows(f"NeuroKit2 {method}", marks, theirs)
        rows.append(interval_row(f"NeuroKit2 {method}", marks, theirs, ecgs))
    names = " | ".join(score_intervals(marks, ours, ecgs))
    lines += [
        "",
        "Mean absolute error per record, ms (missed, invented):",
        "",
        f"| method | {names} |",
        "|---" * 8 + "|",
    ]
    return [*lines, *rows, "", *_speed(reader, ecgs)]


def _r_peaks(reader: WaveReader, ecgs: np.ndarray, marks: list, strips: list) -> list[str]:
    lines = ["| R peaks | data | sensitivity % | positive predictivity % | F1 % | beats |", "|---|---|---|---|---|---|"]
    qrs = [[[w.peak for w in lead if w.kind == 2] for lead in record] for record in marks]
    ends = [(record[1][0].onset - 5, record[1][-1].offset + 5) for record in marks]
    true = [np.array(record[1]) for record in qrs]

    def ludb(found: list[np.ndarray]) -> str:
        return r_score([(t, within(f, *end)) for t, f, end in zip(true, found, ends, strict=True)])

    lines.append(f"| ours, 12 leads | LUDB | {ludb(reader.read_all(ecgs).r_peaks)} |")
    lines.append(f"| ours, lead II alone | LUDB | {ludb(reader.read_all(ecgs[:, 1:2]).r_peaks)} |")
    for method in PEAKS:
        lines.append(f"| NeuroKit2 {method}, lead II | LUDB | {ludb([neurokit_peaks(e[1], method) for e in ecgs])} |")

    def cpsc(find: Callable[[np.ndarray], np.ndarray]) -> str:
        limits = [(EDGE, len(signal) - EDGE) for signal, _ in strips]
        found = [find(signal) for signal, _ in strips]
        return r_score([(within(t, *e), within(f, *e)) for (_, t), f, e in zip(strips, found, limits, strict=True)])

    lines.append(f"| ours | CPSC 2019 | {cpsc(lambda signal: reader.read(signal[None, None]).r_peaks[0])} |")
    for method in PEAKS:
        lines.append(f"| NeuroKit2 {method} | CPSC 2019 | {cpsc(lambda signal, m=method: neurokit_peaks(signal, m))} |")
    return lines


def _speed(reader: WaveReader, ecgs: np.ndarray) -> list[str]:
    batch = np.concatenate([ecgs] * 3)[:64]
    reader.measure(batch[:16])
    ours = (
        min(cpu_seconds(lambda: [reader.measure(batch[k : k + 16]) for k in range(0, 64, 16)]) for _ in range(3)) / 64
    )

    def theirs() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for signal in ecgs[0]:
                neurokit2.ecg_process(signal, sampling_rate=FS)

    other = min(cpu_seconds(theirs) for _ in range(2))
    return [
        f"Measuring one record of 12 leads: ours {1e3 * ours:.1f} CPU ms ({1 / ours:.0f} records/s/core), NeuroKit2's "
        f"ecg_process on each lead {1e3 * other:.0f} CPU ms ({1 / other:.2f}); ratio {other / ours:.0f}."
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=EMBEDDED)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = "\n".join(report(options.data, options.model)) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
