"""Bad recordings through the whole path: a reason instead of a number, a count instead of an exception, never a NaN."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import bad_hearts
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from ecgray.cluster.encode import EncodePlan, Encoder, encode
from ecgray.cluster.fit_simulator import fit_simulator
from ecgray.cluster.measure import MeasurePlan, Measurer, measure
from ecgray.cluster.vae import train_vae
from ecgray.parquet import read_table, write_table
from ecgray.recipes.encode import ENCODE
from ecgray.recipes.fit_simulator import FIT_SIMULATOR
from ecgray.recipes.measure import MEASURE
from ecgray.recipes.train_vae import TRAIN_VAE, TrainVaeConfig
from ecgray.sediff.config import SIZES
from ecgray.sediff.folder import save_vae
from ecgray.sediff.vae import LatentStatistics, Vae
from ecgray.tables import INTERVALS, LABELS, LATENTS, RECORDS, ecg_bytes
from ecgray.training.journal import read_journal
from ecgray.waveform.beats import crop_beats
from ecgray.waveform.delineator.reader import EMBEDDED
from ecgray.waveform.intervals import VALUES

BATCH = 8
HELD_OUT = {"val": ("flat", "noise", "one"), "test": ("two-flat", "saturated", "early")}
TERMS = {
    "slow": "sinus bradycardia",
    "fast": "atrial flutter",
    "two-flat": "pacemaker",
    "saturated": "pacemaker",
    "flat": "asystole",
    "noise": "asystole",
}
"""What the bad records are labelled with; the usual ones carry sinus rhythm."""
Drawn = dict[str, tuple[str, str, np.ndarray]]
"""Record: its split, its kind, its counts."""


def draw() -> Drawn:
    """25 usual records and 15 bad ones: 24 train, 8 val, 8 test."""
    found: Drawn = {}
    for split, count in {"train": 15, "val": 5, "test": 5}.items():
        kinds = tuple(bad_hearts.BAD) if split == "train" else HELD_OUT[split]
        for n in range(count):
            found[f"t:{split}-{n}"] = (split, "usual", bad_hearts.usual(60 + 4 * n, first_s=0.3 + 0.05 * n, seed=n))
        found |= {f"t:{split}-{kind}": (split, kind, bad_hearts.BAD[kind]()) for kind in kinds}
    return found


def write(drawn: Drawn, out: Path) -> None:
    """OUT/records in two files, and OUT/labels."""
    rows = [
        {"record_id": name, "subject_id": name, "split": split, "codes": [], "flags": [], "ecg": ecg_bytes(counts)}
        | {"terms": [TERMS.get(kind, "sinus rhythm")], "unmapped": []}
        for name, (split, kind, counts) in drawn.items()
    ]
    half = len(rows) // 2
    for n, piece in enumerate((rows[:half], rows[half:])):
        write_table(_table(piece, RECORDS), out / "records" / f"part-{n:05d}.parquet")
    write_table(_table(rows, LABELS), out / "labels" / "part-00000.parquet")


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return draw()


@pytest.fixture(scope="module")
def measured(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> tuple[Path, dict[str, Any]]:
    place = tmp_path_factory.mktemp("bad")
    write(drawn, place)
    return place, measure(dataclasses.replace(MEASURE["debug"], records=place, out=place / "measured"))


def vae_config(place: Path, out: Path, *, steps: int) -> TrainVaeConfig:
    return dataclasses.replace(
        TRAIN_VAE["debug"],
        records=place / "records",
        intervals=place / "measured",
        out=out,
        batch_size=BATCH,
        steps=steps,
        checkpoint_every=steps,
        workers=1,
    )


@pytest.fixture(scope="module")
def trained(measured: tuple[Path, dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    """Two rounds over the 24 training records."""
    place, _ = measured
    return place / "vae", train_vae(vae_config(place, place / "vae", steps=6))


def rows_of(place: Path) -> dict[str, dict[str, Any]]:
    return {row["record_id"]: row for row in read_table(place / "measured" / "intervals").to_pylist()}


def check_numbers(folder: Path) -> None:
    """Neither JSON nor table nor text below a folder holds NaN or infinity."""

    def refuse(value: str) -> float:
        raise AssertionError(f"{path} holds {value}")

    seen: Counter[str] = Counter()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        seen[path.suffix] += 1
        if path.suffix == ".json":
            json.dumps(json.loads(path.read_text(), parse_constant=refuse), allow_nan=False)
        elif path.suffix == ".jsonl":
            for line in path.read_text().splitlines():
                json.loads(line, parse_constant=refuse)
        elif path.suffix == ".parquet":
            check_table(pq.read_table(path), path)
        elif path.suffix in {".csv", ".svg"}:
            assert not {"nan", "inf"} & set(path.read_text().lower().replace(",", " ").replace('"', " ").split()), path
    assert seen[".json"]


def check_table(table: pa.Table, path: Path) -> None:
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_floating(column.type):
            assert not pc.any(pc.or_(pc.is_nan(column), pc.is_inf(column))).as_py(), (path, name)


def numbers(value: Any) -> Iterator[Any]:
    """Everything at the ends of nested figures."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from numbers(one)
    else:
        yield value


@pytest.mark.ray
def test_every_record_has_a_row_and_every_null_its_reason(drawn: Drawn, measured: tuple[Path, dict[str, Any]]) -> None:
    place, figures = measured
    rows = rows_of(place)
    assert list(rows) == list(drawn)
    assert figures["records"] == len(drawn)
    assert read_table(place / "measured" / "intervals").schema.equals(INTERVALS)
    for row in rows.values():
        reasons = dict(each.split(":") for each in row["missing"])
        assert {name for name in VALUES if row[name] is None} == set(reasons), row["record_id"]
    said = Counter(reason for row in rows.values() for reason in row["missing"])
    assert figures["missing"] == dict(sorted(said.items()))
    check_numbers(place / "measured")


@pytest.mark.ray
def test_a_rate_is_right_or_null(drawn: Drawn, measured: tuple[Path, dict[str, Any]]) -> None:
    rows = rows_of(measured[0])
    for name, (split, kind, _) in drawn.items():
        row, rate = rows[name], rows[name]["heart_rate_bpm"]
        why = dict(each.split(":") for each in row["missing"]).get("heart_rate_bpm")
        if kind == "usual":
            assert rate == pytest.approx(60 + 4 * int(name.removeprefix(f"t:{split}-")), abs=1), name
        elif kind in {"flat", "noise", "one", "one-early"}:
            assert (rate, row["rr_ms"], row["qtcf_ms"]) == (None, None, None)
            assert why == {"flat": "no_lead", "noise": "no_beat"}.get(kind, "one_beat")
        elif kind in {"early", "two-flat", "saturated"}:
            assert rate == pytest.approx(75, abs=1), name
            assert abs(row["st60_mv"]) < 0.2, name  # not the 60 mV of a saturated lead
        else:
            assert why == "beats_uncertain" if rate is None else abs(rate - {"slow": 20, "fast": 300}[kind]) < 2, name


@pytest.mark.ray
def test_a_class_of_three_beats_is_skipped_and_one_of_bad_leads_is_not_in_the_way(
    measured: tuple[Path, dict[str, Any]],
) -> None:
    place, _ = measured
    config = dataclasses.replace(
        FIT_SIMULATOR["debug"],
        records=(place / "records",),
        labels=(place / "labels",),
        intervals=(place / "measured",),
        out=place / "fit",
        classes=("sinus rhythm", *sorted(set(TERMS.values()))),
        fit=dataclasses.replace(FIT_SIMULATOR["debug"].fit, min_beats=10),
    )
    figures = fit_simulator(config)
    assert figures["skipped"]["sinus bradycardia"] == "3 whole beats; 10 are needed"
    assert "asystole" in figures["skipped"]
    fitted = set(config.classes) - set(figures["skipped"])
    assert {"sinus rhythm", "pacemaker"} <= fitted
    assert figures["classes"] == len(fitted)
    eta = json.loads((place / "fit" / "eta.json").read_text())
    assert eta["skipped"] == figures["skipped"]
    assert min(each["correlation"] for each in eta["classes"]["sinus rhythm"]["leads"].values()) > 0.9
    check_numbers(place / "fit")


@pytest.mark.ray
def test_training_counts_what_has_no_beat_and_goes_on(
    drawn: Drawn, measured: tuple[Path, dict[str, Any]], trained: tuple[Path, dict[str, Any]]
) -> None:
    (place, _), (out, figures), journal = measured, trained, read_journal(trained[0])
    rows = rows_of(place)
    beats = {
        kind: len(crop_beats(counts.astype(np.float32), np.array(rows[name]["r_peaks"], np.int64)))
        for name, (split, kind, counts) in drawn.items()
        if split == "train" and kind != "usual"
    }
    assert {kind for kind, count in beats.items() if not count} == {"flat", "noise", "one-early"}
    assert sum(row["without_beat"] for row in journal) == 2 * 3  # two rounds
    assert all(np.isfinite(row["loss"]) for row in journal)
    assert figures["records"] == 24
    results = json.loads((out / "results.json").read_text())
    assert results["records"] == 16
    rate = results["table"]["resampled only"]["heart_rate_bpm"]
    assert rate["records"] == 13  # not flat, noise, one beat
    assert rate["median"] < 1
    assert results["beats"]["decoded"]["mae_mv"]["records"] == 14
    check_numbers(out)


@pytest.mark.ray
def test_every_latent_is_finite(drawn: Drawn, trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, _ = trained
    config = dataclasses.replace(ENCODE["debug"], records=out.parent / "records", vae=out, out=tmp_path / "latents")
    assert encode(config)["records"] == len(drawn)
    table = read_table(tmp_path / "latents" / "latents")
    assert table.schema.equals(LATENTS)
    assert table["record_id"].to_pylist() == list(drawn)
    values = np.frombuffer(b"".join(table["latent"].to_pylist()), "<f4")
    assert values.size == len(drawn) * 4 * 128
    assert np.isfinite(values).all()
    check_numbers(tmp_path / "latents")


@pytest.mark.ray
def test_where_every_held_out_record_is_bad_there_are_nulls_instead_of_figures(
    tmp_path: Path, ray_session: None
) -> None:
    drawn: Drawn = {f"t:{n}": ("train", "usual", bad_hearts.usual(60 + 5 * n, seed=n)) for n in range(8)}
    for n, split in enumerate(("val", "test")):
        drawn[f"t:{split}-flat"] = (split, "flat", bad_hearts.flat())
        drawn[f"t:{split}-noise"] = (split, "noise", bad_hearts.noise(seed=n))
    write(drawn, tmp_path)
    measure(dataclasses.replace(MEASURE["debug"], records=tmp_path, out=tmp_path / "measured"))
    figures = train_vae(vae_config(tmp_path, tmp_path / "vae", steps=2))
    nulls = {"heart_rate_error_bpm", "qt_error_ms", "qrs_error_ms", "beat_mae_mv", "beat_correlation"}
    assert {name for name, value in figures.items() if value is None} == nulls
    assert figures["gate"] is False
    results = json.loads((tmp_path / "vae" / "results.json").read_text())
    for row in results["table"].values():
        assert row["heart_rate_bpm"] == row["qt_ms"] == {"median": None, "low": None, "high": None, "records": 0}
        assert row["power_lost_above_40_hz"]["records"] == 2  # a flat record has no power to lose
    assert set(numbers(results["beats"])) == {None, 0}
    assert (tmp_path / "vae" / "model" / "model.safetensors").is_file()
    assert (tmp_path / "vae" / "reconstruction.svg").read_text().startswith("<svg")
    check_numbers(tmp_path / "vae")


def test_a_file_of_which_every_record_was_refused_is_measured(tmp_path: Path) -> None:
    write_table(RECORDS.empty_table(), tmp_path / "records" / "part-00000.parquet")
    plan = MeasurePlan(EMBEDDED, tmp_path / "intervals", batch_size=3, threads=1, device="cpu")
    assert Measurer(plan).write(tmp_path / "records" / "part-00000.parquet") == 0
    table = read_table(tmp_path / "intervals")
    assert table.num_rows == 0
    assert table.schema.equals(INTERVALS)


def test_a_file_of_which_every_record_was_refused_is_encoded(tmp_path: Path) -> None:
    write_table(RECORDS.empty_table(), tmp_path / "records" / "part-00000.parquet")
    save_vae(tmp_path / "vae", Vae(SIZES["debug"]), card="# A model\n", details={})
    plan = EncodePlan(tmp_path / "vae", tmp_path / "latents", batch_size=3, threads=1, device="cpu")
    assert Encoder(plan).write(tmp_path / "records" / "part-00000.parquet") == 0
    assert read_table(tmp_path / "latents").schema.equals(LATENTS)


def test_latents_that_are_all_alike_stay_finite() -> None:
    vae = Vae(SIZES["debug"]).eval()
    statistics = LatentStatistics()
    statistics.add(torch.ones(2, 4, 128))
    vae.set_latent_scale(statistics)
    assert torch.isfinite(vae.encode(torch.zeros(1, 12, 5000))).all()
