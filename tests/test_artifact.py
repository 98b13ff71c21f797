"""Model folders: written whole, read only when nothing was altered."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgray import artifact
from ecgray.artifact import load_model, save_model
from ecgray.errors import ArtifactError

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor([3])}


def write(folder: Path, **changes: object) -> Path:
    parts = {"config": {"kind": "test"}, "preprocessor": {"fs": 500}, "tensors": TENSORS, "card": "# A model\n"}
    save_model(folder, **(parts | changes))  # type: ignore[arg-type]
    return folder


def test_what_was_saved_is_loaded(tmp_path):
    model = load_model(write(tmp_path / "model"))
    assert (model.config, model.preprocessor) == ({"kind": "test"}, {"fs": 500})
    assert all(torch.equal(model.tensors[name], tensor) for name, tensor in TENSORS.items())
    assert {path.name for path in model.path.iterdir()} == {
        "config.json",
        "preprocessor.json",
        "model.safetensors",
        "README.md",
        "SHA256SUMS",
    }


def test_what_a_killed_process_left_goes_with_the_next(tmp_path):
    for name in (".model.4711", ".model.4711.old", ".models"):
        (tmp_path / name).mkdir()
    write(tmp_path / "model")
    assert {path.name for path in tmp_path.iterdir()} == {"model", ".models"}


def test_sha256sum_agrees(tmp_path):
    folder = write(tmp_path / "model", files={"terms.json": b"[]"})
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=True)
    assert checked.stdout.count(": OK") == 5


def test_tensors_that_share_memory_or_are_cut_from_others_are_stored_in_full(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    model = load_model(write(tmp_path / "model", tensors={"a": whole, "b": whole, "c": whole.T[1:]}))
    assert torch.equal(model.tensors["b"], whole)
    assert torch.equal(model.tensors["c"], whole.T[1:])


def test_the_same_model_gives_the_same_bytes(tmp_path):
    first, second = write(tmp_path / "first"), write(tmp_path / "second")
    assert load_model(first).fingerprint == load_model(second).fingerprint
    assert load_model(write(tmp_path / "third", card="# Other\n")).fingerprint != load_model(first).fingerprint


@pytest.mark.parametrize("name", ["config.json", "preprocessor.json", "model.safetensors", "README.md"])
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(tmp_path, name, position, bit):
    folder = tmp_path / "model"
    write(folder)
    content = bytearray((folder / name).read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name} is not the file that was written"):
        load_model(folder)


@pytest.mark.parametrize("name", ["config.json", "preprocessor.json", "model.safetensors", "README.md", "SHA256SUMS"])
def test_a_missing_file_is_found(tmp_path, name):
    folder = write(tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        load_model(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_the_sums_do_not_name_is_not_trusted(tmp_path, name):
    folder = write(tmp_path / "model")
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(line for line in lines if name not in line))
    with pytest.raises(ArtifactError, match=f"does not name {name}"):
        load_model(folder)


@pytest.mark.parametrize("line", ["../secret", "/etc/passwd", ""])
def test_sums_name_files_of_the_folder_only(tmp_path, line):
    folder = write(tmp_path / "model")
    with (folder / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  {line}\n")
    with pytest.raises(ArtifactError, match="has a line that is no"):
        load_model(folder)


def test_a_rightly_summed_file_that_is_no_safetensors_is_refused(tmp_path):
    folder = write(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"\x80\x04pickled")
    _sign(folder)
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_model(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_weight_that_is_no_number_is_named(tmp_path, value, dtype):
    """It would draw flat lines without a word."""
    tensors = {"whole": torch.ones(3), "torn": torch.tensor([1.0, value], dtype=dtype)}
    with pytest.raises(ArtifactError, match=r"tensor 'torn' is not finite, and nothing .*; train again"):
        load_model(write(tmp_path / "model", tensors=tensors))


@pytest.mark.parametrize("name", ["config.json", "preprocessor.json"])
@pytest.mark.parametrize("content", ["[]", "3", "null"])
def test_a_rightly_summed_file_that_is_no_object_is_refused(tmp_path, name, content):
    folder = write(tmp_path / "model")
    (folder / name).write_text(content)
    _sign(folder)
    with pytest.raises(ArtifactError, match=f"{name} holds no JSON object; export"):
        load_model(folder)


def _sign(folder: Path) -> None:
    names = ["README.md", "config.json", "model.safetensors", "preprocessor.json"]
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(sums))


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="holds no SHA256SUMS"):
        load_model(tmp_path)


def test_a_writer_that_dies_leaves_nothing_or_the_model_before(tmp_path, monkeypatch):
    folder = write(tmp_path / "model", card="# Before\n")

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(artifact, "_replace", dies)
    with pytest.raises(KeyboardInterrupt):
        write(folder, card="# After\n")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "new")
    assert (load_model(folder).path / "README.md").read_text() == "# Before\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_newer_model_replaces_the_older(tmp_path):
    write(tmp_path / "model", files={"only_before.json": b"{}"})
    write(tmp_path / "model", config={"kind": "newer"})
    assert load_model(tmp_path / "model").config == {"kind": "newer"}
    assert not (tmp_path / "model" / "only_before.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_nan_in_the_settings_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(tmp_path / "model", config={"loss": float("nan")})
    assert json.dumps({}) == "{}"
    assert not (tmp_path / "model").exists()
