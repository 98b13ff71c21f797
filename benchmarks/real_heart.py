"""The heart's own models on real recordings: the simulator's fits, and the autoencoder with either input.

$ python benchmarks/real_heart.py --data DIR --out runs/real_heart

DIR holds ptbxl/, cpsc2018/ and ludb/. Every step is one job, called as a user calls it; a second run goes on where the
first one stopped. LUDB's diagnoses are sentences: the embedded model reads them, corrected by ludb_readings.csv. The
autoencoders learn from the training patients of all three archives together and reconstruct the others. With
`--drawn OUT`, an ingest job of drawn patients, they learn from its training records too, and are scored on the same
real ones. Prints each command, then the tables.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from one_job import run_job

from ecgray.parquet import parquet_files, write_table
from ecgray.tables import RECORD_GROUP

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
    parser.add_argument("--drawn", type=Path, help="OUT of an ingest job whose training records are learnt from too")
    parser.add_argument("--inputs", nargs="+", default=["native", "resampled"])
    options = parser.parse_args()
    out = options.out.absolute()
    for name in ARCHIVES:
        run_job("ingest", archive=options.data.absolute() / name, out=out / name)
        run_job("measure", records=out / name, out=out / f"{name}-intervals")
    if options.only != "vae":
        _fit(out)
    if options.only != "fit":
        _vae(out, options)


def _fit(out: Path) -> None:
    """Label, fit, and print how well each class's beat is met."""
    for name in ARCHIVES:
        if name == "ludb":
            run_job("extract", records=out / name, readings=READINGS, out=out / "ludb-entities")
            run_job(
                "label",
                "--source",
                "entities",
                records=out / name,
                entities=out / "ludb-entities",
                out=out / "ludb-labels",
            )
        else:
            run_job("label", records=out / name, out=out / f"{name}-labels")
    lists = [
        word
        for option, end in (("--records", ""), ("--labels", "-labels"), ("--intervals", "-intervals"))
        for word in (option, *(str(out / f"{name}{end}") for name in ARCHIVES))
    ]
    run_job("fit_simulator", *lists, out=out / "fit")
    with (out / "fit" / "fit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    print("| class | beats | bpm | median correlation | lowest | median NRMSE |\n" + "|---" * 6 + "|")
    for name in dict.fromkeys(row["class"] for row in rows):
        mine = [row for row in rows if row["class"] == name]
        met, error = ([float(row[key]) for row in mine] for key in ("correlation", "nrmse"))
        bpm = 60_000 / float(mine[0]["rr_ms"])
        cells = (name, mine[0]["beats"], f"{bpm:.0f}", f"{statistics.median(met):.3f}", f"{min(met):.3f}")
        print(f"| {' | '.join(cells)} | {statistics.median(error):.3f} |")


def _vae(out: Path, options: argparse.Namespace) -> None:
    """Train with either input on the three archives' training patients; print what comes back of the others."""
    end = "-drawn" if options.drawn else ""
    together = out / f"together{end}" / "records"
    together.mkdir(parents=True, exist_ok=True)
    for name in ARCHIVES:
        for part in sorted((out / name / "records").glob("*.parquet")):
            link = together / f"{name}-{part.name}"
            if not link.exists():
                link.hardlink_to(part)
    for part in parquet_files(options.drawn / "records") if options.drawn else ():
        if not (copy := together / f"drawn-{part.name}").exists():
            drawn = pq.read_table(part)
            write_table(drawn.filter(pc.equal(drawn["split"], "train")), copy, row_group=RECORD_GROUP)
    run_job("measure", records=together, out=out / f"together{end}-intervals")
    print("\n| | " + " | ".join(MEASURES) + " |\n" + "|---" * (len(MEASURES) + 1) + "|")
    for kind in options.inputs:
        words = ("--model.input", kind, "--steps", str(options.steps))
        folder = out / f"vae-{kind}{end}"
        run_job("train_vae", *words, records=together, intervals=out / f"together{end}-intervals", out=folder)
        found = json.loads((folder / "results.json").read_text())
        for name, row in found["table"].items():
            if name == "reconstruction" or kind == options.inputs[-1]:
                print(
                    f"| {kind if name == 'reconstruction' else name} | {' | '.join(_cell(row[m]) for m in MEASURES)} |"
                )
        beats = ", ".join(
            f"{name} {_cell(row['mae_mv'])} mV, {_cell(row['correlation'])}" for name, row in found["beats"].items()
        )
        print(f"beats ({kind}): {beats}", file=sys.stderr)


def _cell(value: dict[str, Any]) -> str:
    if value["median"] is None:
        return "none"
    return f"{value['median']:.3g} ({value['low']:.3g} to {value['high']:.3g})"


if __name__ == "__main__":
    main()
