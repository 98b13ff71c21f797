"""Checkpoints: whole or not at all, damage seen, the one before taken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from ecgray.training.checkpoints import (
    Checkpoint,
    newest_checkpoint,
    pack_optimizer,
    read_checkpoint,
    save_checkpoint,
    unpack_optimizer,
)


def _checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"score": step / 10, "best": None}, {"model": {"weight": torch.full((3, 2), float(step))}})


def test_what_was_saved_is_read_back_to_the_bit(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _checkpoint(7))
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.state) == (7, {"score": 0.7, "best": None})
    assert torch.equal(found.tensors["model"]["weight"], torch.full((3, 2), 7.0))


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "nothing") is None


def test_the_newest_two_remain(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20):
        save_checkpoint(tmp_path, _checkpoint(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000015", "step-000000020"]


def test_what_a_killed_process_left_half_written_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / ".step-000000004.4711").mkdir()
    save_checkpoint(tmp_path, _checkpoint(5))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000005"]


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: _flip_a_bit(path / "model.safetensors"),
        lambda path: _flip_a_bit(path / "state.json"),
        lambda path: (path / "model.safetensors").write_bytes(b""),
        lambda path: (path / "model.safetensors").unlink(),
        lambda path: (path / "SHA256SUMS").unlink(),
        lambda path: (path / "SHA256SUMS").write_bytes(b""),
    ],
    ids=["bit", "state", "truncated", "deleted", "sums_deleted", "sums_empty"],
)
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path: Path, damage) -> None:
    for step in (5, 10):
        save_checkpoint(tmp_path, _checkpoint(step))
    damage(tmp_path / "step-000000010")
    with pytest.warns(UserWarning, match="step-000000010 is passed over"):
        found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5


def test_a_damaged_checkpoint_gives_way_to_the_next_that_is_saved(tmp_path: Path) -> None:
    for step in (5, 10):
        save_checkpoint(tmp_path, _checkpoint(step))
    _flip_a_bit(tmp_path / "step-000000010" / "model.safetensors")
    save_checkpoint(tmp_path, _checkpoint(8))
    found = newest_checkpoint(tmp_path)  # a warning would be an error here
    assert found is not None
    assert found.step == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000005", "step-000000008"]


def test_a_checkpoint_half_written_is_not_seen(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _checkpoint(5))
    shutil.copytree(tmp_path / "step-000000005", tmp_path / ".step-000000010.123")
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5


def test_an_optimizer_goes_on_from_its_checkpoint_to_the_bit(tmp_path: Path) -> None:
    def run(weight: torch.Tensor, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            optimizer.zero_grad()
            ((weight - step) ** 2).sum().backward()
            optimizer.step()

    whole = torch.ones(3, requires_grad=True)
    run(whole, torch.optim.AdamW([whole], lr=0.1), range(6))

    half = torch.ones(3, requires_grad=True)
    first = torch.optim.AdamW([half], lr=0.1)
    run(half, first, range(3))
    tensors, groups = pack_optimizer(first)
    save_checkpoint(tmp_path, Checkpoint(3, {"groups": groups}, {"optimizer": tensors, "model": {"weight": half}}))

    found = read_checkpoint(tmp_path, 3)
    resumed = found.tensors["model"]["weight"].requires_grad_()
    second = torch.optim.AdamW([resumed], lr=99.0)
    unpack_optimizer(second, found.tensors["optimizer"], found.state["groups"])
    run(resumed, second, range(3, 6))
    assert torch.equal(resumed, whole)
