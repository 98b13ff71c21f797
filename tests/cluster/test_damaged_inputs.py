"""Damaged inputs of the generator's jobs are refused in a sentence, before anything is trained, and leave no OUT."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from drawn_tables import draw_tables

from ecgray.alignment.config import SIZES as SCORER_SIZES
from ecgray.alignment.folder import load_scorer, save_scorer
from ecgray.alignment.model import Scorer
from ecgray.artifact import load_model, save_model
from ecgray.cluster import ablate as ablate_module
from ecgray.cluster import tune_steps as tune_module
from ecgray.cluster.ablate import ablate
from ecgray.cluster.encode import encode
from ecgray.cluster.parts import read_signals, rows_of
from ecgray.cluster.tune_steps import tune_steps
from ecgray.errors import ArtifactError, ConfigError
from ecgray.models.generator import EMBEDDED, Generator
from ecgray.recipes.ablate import ABLATE
from ecgray.recipes.encode import EncodeConfig
from ecgray.recipes.tune_steps import TUNE_STEPS
from ecgray.sediff.folder import load_vae
from ecgray.text.encoders import load_text_encoder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Records, labels and a scorer."""
    draw_tables(tmp_path, records=40)
    encoder = load_text_encoder("lexical")
    config = dataclasses.replace(SCORER_SIZES["debug"], text_width=encoder.width)
    save_scorer(tmp_path / "scorer", Scorer(config), encoder, card="# A scorer\n", details={})
    return tmp_path


def altered(folder: Path, to: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a model folder whose config.json says something else, its sums put right."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    change(config)
    (to / "config.json").write_text(json.dumps(config))
    names = [line.split("  ")[1] for line in (to / "SHA256SUMS").read_text().splitlines()]
    sums = [f"{hashlib.sha256((to / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (to / "SHA256SUMS").write_text("".join(sums))
    return to


@pytest.mark.parametrize("name", ["vae", "diffusion", "text_encoder", "text_pooler", "text_fingerprint", "details"])
def test_a_field_that_a_model_folder_lacks_or_that_is_a_number_is_named(tmp_path: Path, name: str) -> None:
    without = altered(EMBEDDED, tmp_path / "without", lambda config: config.pop(name))
    number = altered(EMBEDDED, tmp_path / "number", lambda config: config.update({name: 7}))
    for folder, says in ((without, "no"), (number, "another kind of")):
        for load in (Generator.load, load_vae) if name in ("vae", "details") else (Generator.load,):
            with pytest.raises(ArtifactError, match=rf"config\.json holds {says} '{name}', which must be"):
                load(folder)


def test_a_setting_of_another_type_is_named_with_its_folder(tmp_path: Path, place: Path) -> None:
    folder = altered(EMBEDDED, tmp_path / "odd", lambda config: config["diffusion"].update(denoiser="deep"))
    with pytest.raises(ArtifactError, match=r"odd.config\.json cannot be used: .* is 'deep' and must be an object"):
        Generator.load(folder)
    folder = altered(place / "scorer", tmp_path / "odd-scorer", lambda config: config.pop("network"))
    with pytest.raises(ArtifactError, match="holds no 'network'"):
        load_scorer(folder)


def zeroed(file: Path) -> None:
    """Put zeros in place of a Parquet file's footer, and leave its ends as they are."""
    whole = file.read_bytes()
    size = int.from_bytes(whole[-8:-4], "little")
    file.write_bytes(whole[: -8 - size] + bytes(size) + whole[-8:])


def test_records_that_are_none_are_refused_by_encode(place: Path) -> None:
    config = EncodeConfig(records=place / "labels", vae=EMBEDDED, out=place / "out", workers=1)
    with pytest.raises(ConfigError, match="column 'ecg' is missing"):
        encode(config)
    zeroed(next((place / "records").glob("*.parquet")))
    with pytest.raises(ConfigError, match=r"cannot be read as Parquet .*; copy it again"):
        encode(dataclasses.replace(config, records=place / "records"))
    assert not config.out.exists()


def test_recordings_that_cannot_be_read_are_said_with_their_file(place: Path) -> None:
    (part,) = rows_of(place / "records")
    footer, whole = pq.read_metadata(part), bytearray(part.read_bytes())
    at = footer.row_group(0).column(footer.schema.names.index("ecg")).data_page_offset
    whole[at : at + 64] = b"\xff" * 64
    part.write_bytes(whole)
    assert rows_of(place / "records") == {part: 40}
    with pytest.raises(ConfigError, match=r"part-00000\.parquet cannot be read as Parquet"):
        list(read_signals(part, batch_size=8, columns=["record_id"]))


def torn(folder: Path, to: Path) -> Path:
    """A copy of a model folder of which one weight is no number."""
    whole = load_model(folder)
    name = next(name for name, tensor in whole.tensors.items() if tensor.is_floating_point())
    tensors = whole.tensors | {name: torch.full_like(whole.tensors[name], float("nan"))}
    save_model(to, config=whole.config, preprocessor=whole.preprocessor, tensors=tensors, card="# Torn\n")
    return to


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Ray nor a training starts."""

    def begins(*_args: object, **_settings: object) -> None:
        raise AssertionError("work began")

    monkeypatch.setattr(tune_module, "connected", begins)
    for name in ("train_diffusion", "encode"):
        monkeypatch.setattr(ablate_module, name, begins)


def ablation(place: Path, **changes: Any) -> None:
    inputs = {name: place / name for name in ("records", "labels", "scorer", "out")}
    inputs |= {"latents": place / "labels", "vae": EMBEDDED}
    ablate(dataclasses.replace(ABLATE["debug"], **(inputs | {"wordings": "terms", "texts": "terms"} | changes)))


def sweep(place: Path, **changes: Any) -> None:
    inputs = {name: place / name for name in ("records", "labels", "scorer", "out")} | {"model": EMBEDDED}
    tune_steps(dataclasses.replace(TUNE_STEPS["debug"], **(inputs | {"texts": "terms"} | changes)))


@pytest.mark.parametrize("job", [ablation, sweep])
def test_what_the_last_step_needs_is_opened_before_the_first(
    place: Path, no_work: None, job: Callable[..., None]
) -> None:
    scorer = torn(place / "scorer", place / "torn-scorer")
    with pytest.raises(ArtifactError, match="is not finite"):
        job(place, scorer=scorer)
    with pytest.raises(ConfigError, match="has 0 records of split test"):
        job(place, splits=("test",))
    whole = (place / "labels" / "part-00000.parquet").read_bytes()
    zeroed(place / "labels" / "part-00000.parquet")
    with pytest.raises(ConfigError, match="cannot be read as Parquet"):
        job(place, splits=("val",))
    assert not (place / "out").exists()
    (place / "labels" / "part-00000.parquet").write_bytes(whole)
    if job is ablation:  # nothing else is wrong
        with pytest.raises(AssertionError, match="work began"):
            job(place, splits=("val",))


def test_each_autoencoder_of_an_ablation_is_opened_before(place: Path, no_work: None) -> None:
    with pytest.raises(ArtifactError, match="holds no autoencoder"):
        ablation(place, variants=("full", "w/o Beat"), vae_without_beat=place / "scorer")
    assert not (place / "out").exists()


def test_a_torn_generator_is_refused_before_the_sweep(place: Path, no_work: None) -> None:
    with pytest.raises(ArtifactError, match="is not finite"):
        sweep(place, model=torn(EMBEDDED, place / "torn"))
    assert not (place / "out").exists()


def test_the_variants_of_an_ablation_begin_from_nothing() -> None:
    given = dict.fromkeys(("records", "latents", "vae", "labels", "scorer", "out", "start"), Path("x"))
    with pytest.raises(ConfigError, match="variants begin from nothing"):
        dataclasses.replace(ABLATE["debug"], **given)
