"""The downstream task as a job: on drawn tables, by latents in which the class shows."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_tables import draw_tables
from generated_tables import write_generated

from ecgray.cluster.downstream import downstream
from ecgray.downstream.config import REGIMES, ClassifierConfig
from ecgray.errors import ConfigError
from ecgray.parquet import parquet_files, write_table
from ecgray.recipes.downstream import DOWNSTREAM
from ecgray.tables import LATENTS

RNG = np.random.default_rng(0)


def write_latents(out: Path, ids: list[str], classes: list[int]) -> Path:
    values = RNG.standard_normal((len(ids), 4, 128)) + 0.5 * np.array(classes)[:, None, None]
    cells = [one.astype("<f4").tobytes() for one in values]
    rows = [
        {"record_id": name, "subject_id": name, "split": "", "latent": cell}
        for name, cell in zip(ids, cells, strict=True)
    ]
    write_table(pa.Table.from_pylist(rows, schema=LATENTS), out / "latents" / "part-00000.parquet")
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty patients' records, every other one of a man; thirty generated ECGs of men; latents of both."""
    out = tmp_path_factory.mktemp("downstream")
    draw_tables(out, records=160)
    ids: list[str] = []
    for file in parquet_files(out / "records"):
        table = pq.read_table(file)
        own = table["record_id"].to_pylist()
        sex = pa.array(["FM"[int(name.split(":")[1]) % 2] for name in own])
        write_table(table.set_column(table.schema.get_field_index("sex"), "sex", sex).cast(table.schema), file)
        ids += own
    write_latents(out / "encoded", ids, [int(name.split(":")[1]) % 2 for name in ids])
    train = [name for name in ids if int(name.split(":")[1]) // 2 % 5 != 4 and int(name.split(":")[1]) % 2]
    ecgs = np.zeros((30, 12, 5000), np.int16)
    write_generated(out / "made", ecgs, like=train[:30], prompts=[""] * 30, rates=[None] * 30)
    made = pq.read_table(out / "made" / "generated")["record_id"].to_pylist()
    write_latents(out / "made-encoded", made, [1] * 30)
    return out


def config_of(place: Path, out: Path, **changes: object):
    settings = {
        "records": place / "records",
        "generated": place / "made",
        "latents": place / "encoded",
        "generated_latents": place / "made-encoded",
        "out": out,
        "model": ClassifierConfig(epochs=20),
    }
    return dataclasses.replace(DOWNSTREAM["debug"], **(settings | changes))


@pytest.mark.ray
def test_every_regime_is_scored_over_draws(place: Path, tmp_path: Path, ray_session: None) -> None:
    config = config_of(place, tmp_path / "out")
    figures = downstream(config)
    assert downstream(config) == figures
    assert figures["balanced"]["auc"] > 0.8
    assert set(figures["synthetic"]) == {"f1", "f1_minority", "accuracy", "auc"}
    assert figures["generated"] == 16
    held = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(held["table"]) == list(REGIMES)
    assert len(held["draws"]) == 2
    page = (tmp_path / "out" / "results.md").read_text()
    assert "20 + 4 + 16 generated" in page


def test_what_is_missing_or_was_made_like_test_patients_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the MLP reads latents"):
        downstream(config_of(place, tmp_path / "a", latents=None))
    with pytest.raises(ConfigError, match="give --labels"):
        downstream(config_of(place, tmp_path / "a", task="svt"))
    held = ["wfdb:8", "wfdb:9"]
    write_generated(tmp_path / "made", np.zeros((2, 12, 5000), np.int16), like=held, prompts=["", ""], rates=[None] * 2)
    with pytest.raises(ConfigError, match="2 generated ECGs were made like recordings of split val or test"):
        downstream(config_of(place, tmp_path / "a", generated=tmp_path / "made"))
    assert not (tmp_path / "a").exists()
