"""The generator's path as jobs: train, generate; a killed run ends the same; bad requests are refused first."""

from __future__ import annotations

import copy
import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from cut_runs import cut_run
from drawn_tables import draw_tables

from ecgray.cluster import generator_job
from ecgray.cluster.ablate import ablate
from ecgray.cluster.diffusion import refuse_other_start, train_diffusion
from ecgray.cluster.encode import encode
from ecgray.cluster.generate import generate
from ecgray.cluster.measure import measure
from ecgray.cluster.scorer import train_scorer
from ecgray.cluster.tune_steps import QUALITY, cheapest, tune_steps
from ecgray.cluster.vae import train_vae
from ecgray.errors import ArtifactError, ConfigError
from ecgray.models.generator import EMBEDDED, Generator
from ecgray.parquet import read_table
from ecgray.recipes.ablate import ABLATE
from ecgray.recipes.encode import EncodeConfig
from ecgray.recipes.generate import GENERATE, GenerateConfig
from ecgray.recipes.measure import MeasureConfig
from ecgray.recipes.train_diffusion import TRAIN_DIFFUSION, TrainDiffusionConfig
from ecgray.recipes.train_scorer import TRAIN_SCORER
from ecgray.recipes.train_vae import TRAIN_VAE
from ecgray.recipes.tune_steps import TUNE_STEPS
from ecgray.sediff.diffusion_config import SIZES
from ecgray.sediff.folder import load_vae
from ecgray.tables import GENERATED, RECORDS, ecg_counts
from ecgray.text.lexical import LexicalEncoder

STEPS = 6


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Path:
    """Forty records, their intervals, an autoencoder and their latents."""
    place = tmp_path_factory.mktemp("diffusion")
    draw_tables(place, records=40)
    measure(MeasureConfig(records=place, out=place / "intervals", workers=1))
    vae = dataclasses.replace(
        TRAIN_VAE["debug"],
        records=place / "records",
        intervals=place / "intervals",
        out=place / "vae",
        steps=2,
        score_records=2,
        workers=1,
    )
    train_vae(vae)
    encode(EncodeConfig(records=place / "records", vae=place / "vae", out=place / "latents", workers=1))
    return place


def config_of(place: Path, out: Path) -> TrainDiffusionConfig:
    """With dropout, so that a run that was cut shows whether its masks are those of a whole one."""
    size = SIZES["debug"]
    return dataclasses.replace(
        TRAIN_DIFFUSION["debug"],
        model=dataclasses.replace(size, denoiser=dataclasses.replace(size.denoiser, dropout=0.2)),
        records=place / "records",
        latents=place / "latents",
        labels=place / "labels",
        intervals=place / "intervals",
        vae=place / "vae",
        wordings="terms",
        out=out,
        steps=STEPS,
        checkpoint_every=3,
        score_records=2,
        workers=1,
    )


@pytest.fixture(scope="module")
def trained(encoded: Path) -> Path:
    """OUT of a train_diffusion job."""
    figures = train_diffusion(config_of(encoded, encoded / "generator"))
    assert figures["steps"] == STEPS
    assert {"ddpm", "euler", "inter_lead", "gate", "latent_std_ratio", "noise_error_at_998"} <= set(figures)
    return encoded / "generator"


@pytest.mark.ray
def test_a_run_that_was_cut_ends_with_the_same_weights(encoded: Path, trained: Path) -> None:
    """The checkpoint of step 3 is all that is left: it does steps 4 to 6 again."""
    cut = config_of(encoded, encoded / "cut")
    cut_run(trained, cut.out, last=STEPS)
    train_diffusion(cut)
    weights = [(one / "model" / "model.safetensors").read_bytes() for one in (trained, cut.out)]
    assert weights[0] == weights[1]


@pytest.mark.ray
def test_ecgs_are_written_as_records_and_as_wfdb(trained: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(
        GENERATE["debug"],
        model=trained,
        prompt="sinus bradycardia, 150 bpm",
        n=5,
        steps=3,
        paper=True,
        out=tmp_path / "o",
    )
    figures = generate(config)
    assert (figures["records"], figures["flagged"]) == (5, {"rate_against_text": 1})
    assert generate(config) == figures
    records, asked = read_table(tmp_path / "o" / "records"), read_table(tmp_path / "o" / "generated")
    assert records.schema.equals(RECORDS)
    assert asked.schema.equals(GENERATED)
    assert asked["heart_rate_bpm"].to_pylist() == [150.0] * 5
    counts = ecg_counts(records["ecg"])
    for row, record_id in enumerate(records["record_id"].to_pylist()):
        path = tmp_path / "o" / "wfdb" / records["path"][row].as_py()
        read = wfdb.rdrecord(str(path), physical=False)
        assert np.array_equal(read.d_signal.T, counts[row])
        assert read.adc_gain == [1000.0] * 12
        assert read.comments[0] == "synthetic"
        assert not any("bradycardia" in comment for comment in read.comments)
        assert path.name in record_id
    drawn = list((tmp_path / "o" / "paper").rglob("*.svg"))
    assert len(drawn) == 5
    assert "SYNTHETIC" in drawn[0].read_text().upper()


@pytest.mark.ray
def test_the_number_of_workers_changes_nothing(trained: Path, encoded: Path, tmp_path: Path) -> None:
    one = dataclasses.replace(
        GENERATE["debug"],
        model=trained,
        like=encoded,
        labels=encoded,
        splits=("val",),
        steps=2,
        wfdb=False,
        out=tmp_path / "one",
    )
    two = dataclasses.replace(one, workers=2, out=tmp_path / "two")
    other = dataclasses.replace(two, batch_size=3, out=tmp_path / "other")
    assert generate(one)["records"] == generate(two)["records"] == generate(other)["records"] > 4
    assert len(list((two.out / "generated").iterdir())) > 1  # else there is nothing to share
    first, second, third = (ecg_counts(read_table(c.out / "records")["ecg"]).astype(int) for c in (one, two, other))
    assert (first == second).all()
    assert np.abs(first - third).max() <= 2
    asked = read_table(one.out / "generated")
    assert set(asked["like"].to_pylist()) <= set(
        read_table(encoded / "records", ["record_id"])["record_id"].to_pylist()
    )


@pytest.mark.ray
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "give one of"),
        ({"prompt": "sinus rhythm", "prompts": Path("x")}, "give one of"),
        ({"prompt": ""}, "empty"),
        ({"prompt": "sinus rhythm", "heart_rate": 0.0}, "heart_rate=0"),
        ({"prompt": "sinus rhythm", "heart_rate": 900.0}, "heart_rate=900"),
        ({"prompt": "sinus rhythm", "age": -1.0}, "age=-1"),
        ({"prompt": "sinus rhythm", "steps": 0}, "steps=0"),
        ({"prompt": "sinus rhythm", "guidance_scale": float("nan")}, "guidance_scale=nan"),
        ({"prompts": Path("nothing.txt")}, "there is no file"),
    ],
)
def test_a_bad_request_leaves_nothing_behind(trained: Path, tmp_path: Path, fields: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        generate(dataclasses.replace(GENERATE["debug"], model=trained, out=tmp_path / "o", **fields))
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("n", [0, 1_000_000])
def test_the_number_of_ecgs_has_limits(n: int) -> None:
    with pytest.raises(ConfigError, match=r"between 1 and 10,000"):
        GenerateConfig(model=Path("m"), prompt="x", n=n, out=Path("o"))


@pytest.mark.ray
def test_latents_of_another_autoencoder_are_refused(encoded: Path, tmp_path: Path) -> None:
    shutil.copytree(encoded / "latents", tmp_path / "latents")
    figures = json.loads((tmp_path / "latents" / "figures.json").read_text())
    (tmp_path / "latents" / "figures.json").write_text(json.dumps(figures | {"vae": "0" * 12}))
    with pytest.raises(ConfigError, match="encode the records again"):
        train_diffusion(dataclasses.replace(config_of(encoded, tmp_path / "o"), latents=tmp_path / "latents"))


@pytest.mark.ray
def test_a_start_that_does_not_fit_is_refused_first(encoded: Path, trained: Path, tmp_path: Path) -> None:
    """In all but its habits: how often it is told nothing, for one."""
    config = dataclasses.replace(config_of(encoded, tmp_path / "o"), start=trained)
    start, vae, size = Generator.load(trained), load_vae(config.vae).vae, config.model

    def changed(part: str, **fields: Any) -> TrainDiffusionConfig:
        model = dataclasses.replace(size, **{part: dataclasses.replace(getattr(size, part), **fields)})
        return dataclasses.replace(config, model=model)

    for each in (config, changed("condition", drop_all=0.5), changed("denoiser", dropout=0.0)):
        refuse_other_start(start, each, vae)
    refuse_other_start(start, config, copy.deepcopy(vae).half().float())  # as a start that was stored by halves
    for part, fields, named in (
        ("schedule", {"prediction": "epsilon"}, "schedule.prediction=v and this run epsilon"),
        ("schedule", {"path": "cosine"}, "schedule.path=linear"),
        ("denoiser", {"width": 32}, "denoiser.width=16"),
        ("condition", {"experience": False}, "condition.experience=True"),
    ):
        with pytest.raises(ConfigError, match=named):
            train_diffusion(changed(part, **fields))
    with pytest.raises(ConfigError, match="latents of another autoencoder"):
        refuse_other_start(start, config, load_vae(EMBEDDED).vae)
    assert not config.out.exists()


@pytest.mark.ray
def test_a_start_told_by_another_text_encoder_is_refused(
    encoded: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = LexicalEncoder()
    other.fingerprint = "0" * 12
    monkeypatch.setattr(generator_job, "load_text_encoder", lambda *_, **__: other)
    with pytest.raises(ArtifactError, match="was trained with text encoder"):
        train_diffusion(dataclasses.replace(config_of(encoded, tmp_path / "o"), start=trained))
    assert not (tmp_path / "o").exists()


@pytest.fixture(scope="module")
def scorer(encoded: Path) -> Path:
    """OUT of a scorer that has hardly learnt."""
    config = dataclasses.replace(
        TRAIN_SCORER["debug"],
        records=encoded / "records",
        labels=encoded / "labels",
        out=encoded / "scorer",
        steps=2,
        workers=1,
    )
    train_scorer(config)
    return config.out


@pytest.mark.ray
def test_every_variant_is_trained_and_scored_in_one_table(encoded: Path, scorer: Path) -> None:
    config = dataclasses.replace(
        ABLATE["debug"],
        records=encoded / "records",
        latents=encoded / "latents",
        labels=encoded / "labels",
        intervals=encoded / "intervals",
        vae=encoded / "vae",
        wordings="terms",
        score_records=2,
        variants=("full", "w/o Sim", "w/o Beat"),
        steps=4,
        checkpoint_every=4,
        scorer=scorer,
        splits=("val",),
        out=encoded / "ablation",
    )
    figures = ablate(config)
    assert figures["left_out"] == ["w/o Beat"]
    assert {"full", "w/o Sim", "flat line", "shuffled real"} <= set(figures["sets"])
    said = [json.loads((config.train(one).out / "config.json").read_text())["settings"] for one in config.runnable]
    lambdas = [one["model"]["simulator"]["lambda_euler"] for one in said]
    assert lambdas == [3e-3, 0.0]
    differ = {name for name in said[0] if said[0][name] != said[1][name]}
    assert differ == {"model", "out"}
    assert ablate(config) == figures


@pytest.mark.ray
def test_settings_of_the_sampler_are_held_against_their_time(trained: Path, encoded: Path, scorer: Path) -> None:
    config = dataclasses.replace(
        TUNE_STEPS["debug"],
        model=trained,
        records=encoded / "records",
        labels=encoded / "labels",
        scorer=scorer,
        splits=("val",),
        out=encoded / "steps",
    )
    figures = tune_steps(config)
    assert (figures["settings"], figures["yardstick"]) == (2, "ddpm-2-1")
    with (config.out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["setting"] for row in rows] == ["ddpm-2-1", "dpm++-2-1"]
    assert all(float(row["seconds_each"]) > 0 for row in rows)
    assert all(float(row["mae_mv_low"]) <= float(row["mae_mv"]) <= float(row["mae_mv_high"]) for row in rows)
    assert "ddpm" in (config.out / "steps.svg").read_text()
    before = {path: path.stat().st_mtime_ns for path in (config.out / "trials").rglob("*.parquet")}
    (config.out / "figures.json").unlink()
    assert tune_steps(config) == figures
    assert {path: path.stat().st_mtime_ns for path in (config.out / "trials").rglob("*.parquet")} == before


def test_the_cheapest_setting_that_is_no_worse_is_chosen() -> None:
    """Worse is: beyond the yardstick's interval, on the side that is worse for the measure."""

    def row(name: str, cost: float, **values: float) -> dict[str, object]:
        known = dict.fromkeys(QUALITY, 1.0) | values
        bounds = {
            f"{key}_{end}": value + by for key, value in known.items() for end, by in (("low", -0.2), ("high", 0.2))
        }
        return {"setting": name, "seconds_each": cost} | known | bounds

    truth = row("ddpm-1000-1", 10.0)
    fine, slow = row("a", 1.0, frechet=1.15, rclip_ratio_of_means=0.85), row("b", 2.0)
    worse, lower = row("c", 0.5, frechet=1.3), row("d", 0.4, rclip_ratio_of_means=0.7)
    assert cheapest([truth, slow, worse, lower, fine], "ddpm-1000-1") is fine
    better = row("e", 0.3, frechet=0.1, mae_mv=0.2, rclip_ratio_of_means=1.9)
    assert cheapest([truth, better], "ddpm-1000-1") is better
