"""What a model is known by: the content of its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from reports_table import stand_in_model

from ecgray.text import model_folder
from ecgray.text.model_folder import model_hash


def test_the_hash_of_a_model_follows_its_files(tmp_path: Path) -> None:
    folder = stand_in_model(tmp_path / "m")
    first = model_hash(folder)
    (folder / "README.md").write_text("a card")
    (folder / ".asked").write_text("hidden")
    assert model_hash(folder) == first
    (folder / "model.safetensors").write_bytes(b"1")
    second = model_hash(folder)
    (folder / "model.safetensors").write_bytes(b"2")
    assert len({first, second, model_hash(folder)}) == 3


def test_of_a_large_file_pieces_all_over_it_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_folder, "_WHOLE_BYTES", 1 << 20)
    folder = stand_in_model(tmp_path / "m")
    weights = bytearray(40 << 20)
    hashes = set()
    for place in (None, 0, 20 << 20, (40 << 20) - 1):
        if place is not None:
            weights[place : place + (1 << 20)] = b"1" * len(weights[place : place + (1 << 20)])
        (folder / "model.safetensors").write_bytes(weights)
        hashes.add(model_hash(folder))
    assert len(hashes) == 4
