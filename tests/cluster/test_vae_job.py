"""The autoencoder's path as jobs: measure, train, encode; a killed run ends with the same weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from cut_runs import cut_run
from drawn_tables import draw_tables

from ecgray.cluster.encode import encode
from ecgray.cluster.measure import measure
from ecgray.cluster.vae import train_vae
from ecgray.errors import ArtifactError, ConfigError
from ecgray.parquet import read_table
from ecgray.recipes.encode import EncodeConfig
from ecgray.recipes.measure import MeasureConfig
from ecgray.recipes.train_vae import TRAIN_VAE
from ecgray.sediff.beats import PeakTable, batch_beats
from ecgray.sediff.folder import load_vae
from ecgray.tables import LATENTS

STEPS = 8


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Path:
    """Forty records and where their R peaks are."""
    place = tmp_path_factory.mktemp("vae")
    draw_tables(place, records=40)
    measure(MeasureConfig(records=place, out=place / "measured", workers=1))
    return place


def config_of(place: Path, out: Path):
    return dataclasses.replace(
        TRAIN_VAE["debug"],
        records=place / "records",
        intervals=place / "measured",
        out=out,
        steps=STEPS,
        checkpoint_every=4,
        score_records=4,
        workers=1,
    )


@pytest.fixture(scope="module")
def trained(measured: Path) -> Path:
    """OUT of a train_vae job."""
    config = config_of(measured, measured / "vae")
    figures = train_vae(config)
    assert figures["steps"] == STEPS
    assert train_vae(config) == figures
    return config.out


@pytest.mark.ray
def test_from_records_to_latents(measured: Path, trained: Path, tmp_path: Path) -> None:
    latents = encode(EncodeConfig(records=measured / "records", vae=trained, out=tmp_path / "latents"))
    assert latents["records"] == 40
    table = read_table(tmp_path / "latents" / "latents")
    assert table.schema.equals(LATENTS)
    values = np.frombuffer(b"".join(table["latent"].to_pylist()), "<f4").reshape(-1, 4, 128)
    train = values[np.array(table["split"].to_pylist()) == "train"]
    assert np.isfinite(values).all()
    assert train.std() == pytest.approx(1, abs=0.05)
    assert np.abs(train.mean((0, 2))).max() < 0.05


@pytest.mark.ray
def test_a_run_that_was_cut_ends_with_the_same_weights(measured: Path, trained: Path, tmp_path: Path) -> None:
    """The checkpoint of step 4 is all that is left: it does steps 5 to 8 again."""
    cut = config_of(measured, tmp_path / "cut")
    cut_run(trained, cut.out, last=STEPS)
    train_vae(cut)
    weights = [(one / "model" / "model.safetensors").read_bytes() for one in (trained, cut.out)]
    assert weights[0] == weights[1]


@pytest.mark.ray
def test_records_without_intervals_are_refused(measured: Path, tmp_path: Path) -> None:
    draw_tables(tmp_path, records=20, first=1000)
    config = dataclasses.replace(config_of(measured, tmp_path / "vae"), records=tmp_path / "records")
    with pytest.raises(ConfigError, match="have no row of intervals"):
        train_vae(config)


def test_a_folder_of_another_kind_is_refused() -> None:
    from ecgray.waveform.delineator.reader import EMBEDDED

    with pytest.raises(ArtifactError, match="no autoencoder"):
        load_vae(EMBEDDED)


def test_beats_are_the_first_and_others_spread_evenly(tmp_path: Path) -> None:
    ecg = np.zeros((2, 12, 5000), np.float32)
    ecg[0] += np.arange(5000, dtype=np.float32)
    beats = batch_beats(ecg, [np.arange(50, 5000, 400), np.array([10])], most=3)
    assert beats.real.tolist() == [[True, True, True], [False, False, False]]
    assert beats.crops[0, :, 0, 0].tolist() == [350, 2350, 4350]


def test_peaks_follow_the_records_asked_for() -> None:
    import pyarrow as pa

    table = PeakTable(pa.array(["a", "b", "c"]), pa.array([[1, 2], [], [3]], pa.list_(pa.int32())))
    assert [one.tolist() for one in table.of(pa.array(["c", "b", "a"]))] == [[3], [], [1, 2]]
    table.check(pa.array(["a"]))
    with pytest.raises(ConfigError, match="1 of 2 training records"):
        table.check(pa.array(["a", "z"]))
