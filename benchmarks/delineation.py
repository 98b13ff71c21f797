"""R peaks and wave ends on real recordings: our delineator beside NeuroKit2's methods, on patients it never saw.

$ pip install ts2vg    # NeuroKit2's emrich2023 needs it; nothing of ours does
$ pip install openecg  # another yardstick; without it its rows are left out
$ python benchmarks/delineation.py --data DIR --out benchmarks/results/FILE

DIR holds ludb and cpsc2019_rpeaks. LUDB: the patients outside the training split. CPSC 2019: single leads of another
source, never trained on. openecg is read by its newest model (codec_v6, one lead at 500 Hz), through its own `encode`;
its R peaks are those of its `detect_qrs`, and beside them the extremes of the QRS that its model finds. Speed is in CPU
seconds of one core, all in the same run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: a figure for one core

import neurokit2  # noqa: E402
import numpy as np  # noqa: E402
import scipy.io  # noqa: E402
import torch  # noqa: E402

from ecgray.cluster.delineator import _patients, load_marked  # noqa: E402
from ecgray.recipes.train_delineator import TRAIN_DELINEATOR  # noqa: E402
from ecgray.waveform.delineator.config import OUTPUT_FS  # noqa: E402
from ecgray.waveform.delineator.reader import EMBEDDED, Reading, WaveReader  # noqa: E402
from ecgray.waveform.delineator.score import CSE_MS, SCORED, match, score_ends, score_intervals  # noqa: E402
from ecgray.waveform.delineator.segments import MIN_STEPS, Segments  # noqa: E402

FS = 500
R_WINDOW = 37
"""Samples (75 ms) within which an R peak counts as found."""
EDGE = 250
"""Samples at both ends of a strip of CPSC 2019 that do not count: its rule."""
SHORTEST = MIN_STEPS * FS // OUTPUT_FS
"""Samples (20 ms) that a run of openecg's must have to count as a wave, as ours must."""
PEAKS = ("neurokit", "emrich2023", "pantompkins1985")
DELINEATIONS = ("dwt", "cwt", "prominence")
# fmt: off
OPENECG_VALIDATION = frozenset({
    10, 11, 14, 20, 21, 22, 28, 33, 34, 35, 39, 47, 48, 53, 55, 56, 66, 67, 70, 72, 73, 74, 78, 91, 92, 93, 95, 101,
    115, 119, 120, 133, 135, 154, 174, 178, 179, 189, 191, 194, 196,
})
# fmt: on
"""The 41 patients of LUDB that openecg's versions were chosen by (its data/splits/ludb_v1.json); it was trained on the
other 159."""
GIVES_UP = (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError)
"""What NeuroKit2 raises where it finds too little."""

Waves = dict[str, list[tuple[float, float]]]
"""Onset and offset, in samples, of each P, QRS and T of one lead."""
Finder = Callable[[np.ndarray], np.ndarray]
"""From one lead to its R peaks."""


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


def neurokit_waves(signal: np.ndarray, method: str) -> Waves:
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


@dataclass(frozen=True)
class OpenEcg:
    """openecg with its newest model."""

    package: Any
    codec: Any

    def waves(self, signal: np.ndarray) -> Waves:
        """P, QRS and T of one lead: the runs of its classes 1, 2 and 3, without those too short for ours."""
        found: Waves = {"P": [], "QRS": [], "T": []}
        for first, end, kind in self.package.encode(signal, fs=FS, model=self.codec).events("frame", drop_class=0):
            if end - first >= SHORTEST:
                found[("P", "QRS", "T")[kind - 1]].append((float(first), float(end - 1)))
        return found

    def peaks(self, signal: np.ndarray) -> np.ndarray:
        """Its documented R peaks: a rule on slopes, not the model."""
        return np.asarray(self.package.detect_qrs(signal, FS))

    def peaks_of_waves(self, signal: np.ndarray) -> np.ndarray:
        """The sample farthest from the lead's median in each QRS that its model finds."""
        height = np.abs(signal - np.median(signal))
        spans = [(int(first), int(last) + 1) for first, last in self.waves(signal)["QRS"]]
        return np.array([first + int(height[first:end].argmax()) for first, end in spans], np.int64)


def load_openecg() -> OpenEcg | None:
    """None where it is not installed."""
    try:
        package = importlib.import_module("openecg")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return OpenEcg(package, package.load_codec())
    except ImportError:
        return None


def lead_by_lead(ecgs: np.ndarray, waves: Callable[[np.ndarray], Waves], peaks: Finder) -> Reading:
    """All leads of all records, one by one; R peaks from lead II."""
    rows: dict[str, list[tuple[float, ...]]] = {"P": [], "QRS": [], "T": []}
    for record, ecg in enumerate(ecgs):
        for lead, signal in enumerate(ecg):
            for name, found in waves(signal).items():
                rows[name] += [(record, lead, *wave) for wave in found]
    seen = np.ones(ecgs.shape[:2], bool)
    beats = [peaks(ecg[1]).astype(np.int64) for ecg in ecgs]
    return Reading(_segments(rows["P"]), _segments(rows["QRS"]), _segments(rows["T"]), seen, beats)


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
    names = _patients(data / "ludb", TRAIN_DELINEATOR["laptop"])[1]
    ecgs, marks = load_marked(data / "ludb", names)
    reader, openecg = WaveReader.load(model), load_openecg()
    finders: dict[str, Finder] = {f"NeuroKit2 {method}": partial(neurokit_peaks, method=method) for method in PEAKS}
    others: dict[str, tuple[Callable[[np.ndarray], Waves], Finder]] = {
        f"NeuroKit2 {method}": (partial(neurokit_waves, method=method), finders["NeuroKit2 emrich2023"])
        for method in DELINEATIONS
    }
    if openecg:
        finders |= {"openecg detect_qrs": openecg.peaks, "openecg codec_v6": openecg.peaks_of_waves}
        others["openecg codec_v6"] = (openecg.waves, openecg.peaks)
    lines = [f"LUDB: {len(ecgs)} patients outside the training split; model {reader.fingerprint}.", ""]
    lines += _r_peaks(reader, finders, ecgs, marks, cpsc2019(data / "cpsc2019_rpeaks"))
    readings = {"ours": reader.read_all(ecgs)} | {name: lead_by_lead(ecgs, *how) for name, how in others.items()}
    lines += _tables(readings, marks, ecgs)
    if openecg is None:
        lines += ["", "openecg is not installed: its rows are left out."]
    else:
        unseen = [place for place, name in enumerate(names) if int(Path(name).name) in OPENECG_VALIDATION]
        few, known = ecgs[unseen], [marks[place] for place in unseen]
        lines += ["", f"The {len(unseen)} of them that openecg was not trained on either:"]
        both = {"ours": reader.read_all(few), "openecg codec_v6": lead_by_lead(few, *others["openecg codec_v6"])}
        lines += _tables(both, known, few)
    return [*lines, "", *_speed(reader, openecg, ecgs)]


def _tables(readings: dict[str, Reading], marks: list, ecgs: np.ndarray) -> list[str]:
    """Wave ends over all leads, then intervals per record."""
    header = "| method | end | sensitivity % | positive predictivity % | mean error ms | SD ms | CSE tolerance ms |"
    lines = ["", header, "|---|---|---|---|---|---|---|"]
    lines += [row for name, reading in readings.items() for row in end_rows(name, marks, reading)]
    lines += ["", "Mean absolute error per record, ms (missed, invented):", ""]
    lines += [f"| method | {' | '.join(SCORED)} |", "|---" * 8 + "|"]
    return lines + [interval_row(name, marks, reading, ecgs) for name, reading in readings.items()]


def _r_peaks(
    reader: WaveReader,
    finders: dict[str, Finder],
    ecgs: np.ndarray,
    marks: list,
    strips: list[tuple[np.ndarray, np.ndarray]],
) -> list[str]:
    lines = ["| R peaks | data | sensitivity % | positive predictivity % | F1 % | beats |", "|---|---|---|---|---|---|"]
    ends = [(record[1][0].onset - 5, record[1][-1].offset + 5) for record in marks]
    true = [np.array([wave.peak for wave in record[1] if wave.kind == 2]) for record in marks]

    def ludb(found: list[np.ndarray]) -> str:
        return r_score([(t, within(f, *end)) for t, f, end in zip(true, found, ends, strict=True)])

    lines.append(f"| ours, 12 leads | LUDB | {ludb(reader.read_all(ecgs).r_peaks)} |")
    lines.append(f"| ours, lead II alone | LUDB | {ludb(reader.read_all(ecgs[:, 1:2]).r_peaks)} |")
    for name, find in finders.items():
        lines.append(f"| {name}, lead II | LUDB | {ludb([find(ecg[1]) for ecg in ecgs])} |")

    def cpsc(find: Finder) -> str:
        limits = [(EDGE, len(signal) - EDGE) for signal, _ in strips]
        found = [find(signal) for signal, _ in strips]
        return r_score([(within(t, *e), within(f, *e)) for (_, t), f, e in zip(strips, found, limits, strict=True)])

    lines.append(f"| ours | CPSC 2019 | {cpsc(lambda signal: reader.read(signal[None, None]).r_peaks[0])} |")
    return lines + [f"| {name} | CPSC 2019 | {cpsc(find)} |" for name, find in finders.items()]


def _speed(reader: WaveReader, openecg: OpenEcg | None, ecgs: np.ndarray) -> list[str]:
    batch = np.concatenate([ecgs] * 3)[:64]
    reader.measure(batch[:16])
    ours = (
        min(cpu_seconds(lambda: [reader.measure(batch[k : k + 16]) for k in range(0, 64, 16)]) for _ in range(3)) / 64
    )

    def neurokit() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for signal in ecgs[0]:
                neurokit2.ecg_process(signal, sampling_rate=FS)

    others: dict[str, Callable[[], object]] = {"NeuroKit2's ecg_process": neurokit}
    if openecg:
        others["openecg's encode"] = lambda: [openecg.waves(signal) for signal in ecgs[0]]
    lines = [f"Measuring one record of 12 leads: ours {1e3 * ours:.1f} CPU ms ({1 / ours:.0f} records/s/core)."]
    for name, work in others.items():
        other = min(cpu_seconds(work) for _ in range(3))
        lines.append(f"{name}, lead by lead: {1e3 * other:.0f} CPU ms ({1 / other:.2f}); ratio {other / ours:.1f}.")
    return lines


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
