"""The heart's own models on real recordings: the simulator's fits, and the autoencoder with either input.

$ python benchmarks/real_heart.py --data DIR --out runs/real_heart

DIR holds ptbxl/, cpsc2018/ and ludb/. Every step is one job, called as a user calls it; a second run goes on where the
first one stopped. LUDB's diagnoses are sentences: the embedded model reads them, corrected by ludb_readings.csv. The
autoencoders learn from the training patients of all three archives together and reconstruct the others. Prints each
command, then the tables.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ARCHIVES = ("ptbxl", "cpsc2018", "ludb")
READINGS = Path(__file__).with_name("ludb_readings.csv")
MEASURES = ("mae_mv", "correlation", "heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "p_ms", "power_lost_above_40_hz")


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/real_heart"))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--only", choices=("fit", "vae"))
    options = parser.parse_args()
    out = options.out.absolute()
    for name in ARCHIVES:
        _job("ingest", archive=options.data.absolute() / name, out=out / name)
        _job("measure", records=out / name, out=out / f"{name}-intervals")
    if options.only != "vae":
        _fit(out)
    if options.only != "fit":
        _vae(out, options.steps)


def _fit(out: Path) -> None:
    """Label, fit, and print how well each class's beat is met."""
    for name in ARCHIVES:
        if name == "ludb":
            _job("extract", records=out / name, readings=READINGS, out=out / "ludb-entities")
            _job(
                "label",
                "--source",
                "entities",
                records=out / name,
                entities=out / "ludb-entities",
                out=out / "ludb-labels",
            )
        else:
            _job("label", records=out / name, out=out / f"{name}-labels")
    lists = [
        word
        for option, end in (("--records", ""), ("--labels", "-labels"), ("--intervals", "-intervals"))
        for word in (option, *(str(out / f"{name}{end}") for name in ARCHIVES))
    ]
    _job("fit_simulator", *lists, out=out / "fit")
    with (out / "fit" / "fit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    print("| class | beats | bpm | median correlation | lowest | median NRMSE |\n" + "|---" * 6 + "|")
    for name in dict.fromkeys(row["class"] for row in rows):
        mine = [row for row in rows if row["class"] == name]
        met, error = ([float(row[key]) for row in mine] for key in ("correlation", "nrmse"))
        bpm = 60_000 / float(mine[0]["rr_ms"])
        cells = (name, mine[0]["beats"], f"{bpm:.0f}", f"{statistics.median(met):.3f}", f"{min(met):.3f}")
        print(f"| {' | '.join(cells)} | {statistics.median(error):.3f} |")


def _vae(out: Path, steps: int) -> None:
    """Train with either input on the three archives' training patients; print what comes back of the others."""
    together = out / "together" / "records"
    together.mkdir(parents=True, exist_ok=True)
    for name in ARCHIVES:
        for part in sorted((out / name / "records").glob("*.parquet")):
            link = together / f"{name}-{part.name}"
            if not link.exists():
                link.hardlink_to(part)
    _job("measure", records=together, out=out / "together-intervals")
    print("\n| | " + " | ".join(MEASURES) + " |\n" + "|---" * (len(MEASURES) + 1) + "|")
    for kind in ("native", "resampled"):
        words = ("--model.input", kind, "--steps", str(steps))
        folder = out / f"vae-{kind}"
        _job("train_vae", *words, records=together, intervals=out / "together-intervals", out=folder)
        found = json.loads((folder / "results.json").read_text())
        for name, row in found["table"].items():
            if name == "reconstruction" or kind == "resampled":
                print(
                    f"| {kind if name == 'reconstruction' else name} | {' | '.join(_cell(row[m]) for m in MEASURES)} |"
                )
        beats = ", ".join(f"{name} {_cell(row['mae_mv'])} mV" for name, row in found["beats"].items())
        print(f"beats ({kind}): {beats}", file=sys.stderr)


def _cell(value: dict[str, Any]) -> str:
    if value["median"] is None:
        return "none"
    return f"{value['median']:.3g} ({value['low']:.3g} to {value['high']:.3g})"


def _job(job: str, *words: str, **named: Path | str) -> dict[str, Any]:
    """Run `python jobs/JOB.py laptop ...`; returns its last line."""
    flags = [word for name, value in named.items() for word in (f"--{name}", str(value))]
    command = ["jobs/" + job + ".py", "laptop", *flags, *words]
    print("$ python", shlex.join(command), file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()
