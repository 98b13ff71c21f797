"""Checkpoints of a training run: a folder each, written whole or not at all, every file held against its SHA-256.

A checkpoint holds plain JSON and named sets of tensors in safetensors; reading one executes nothing. Where the newest
is damaged, the one before it is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

STATE, SUMS = "state.json", "SHA256SUMS"


@dataclass(frozen=True)
class Checkpoint:
    """What a run was after `step` steps."""

    step: int
    state: dict[str, Any]
    """Plain JSON values."""
    tensors: dict[str, dict[str, Tensor]]
    """Named sets of tensors."""


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int = 2) -> None:
    """Write `folder`/step-<n>; then it and the `keep` - 1 before it remain."""
    from safetensors.torch import save

    contents = {STATE: (json.dumps(checkpoint.state, allow_nan=False) + "\n").encode()}
    for name, tensors in checkpoint.tensors.items():
        plain = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
        contents[f"{name}.safetensors"] = save(plain)
    contents[SUMS] = "".join(f"{_sum(content)}  {name}\n" for name, content in contents.items()).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, checkpoint.step)
    _commit(path, contents)
    newest = _newest_first(folder)
    place = newest.index(path)
    for other in newest[:place] + newest[place + keep :]:  # newer ones were passed over as damaged
        shutil.rmtree(other)


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None; warns of each newer one that is damaged."""
    for path in _newest_first(folder):
        try:
            return read_checkpoint(folder, int(path.name.removeprefix("step-")))
        except (OSError, ValueError) as error:
            warnings.warn(f"checkpoint {path} is passed over: {error}", stacklevel=2)
    return None


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:09d}"


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def read_checkpoint(folder: Path, step: int) -> Checkpoint:
    """The checkpoint of this step; `OSError` or `ValueError` where it is not whole."""
    from safetensors.torch import load

    path = _path(folder, step)
    lines = (path / SUMS).read_text().splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if STATE not in listed:
        raise ValueError(f"{SUMS} does not name {STATE}")
    contents = {name: (path / name).read_bytes() for name in listed}
    for name, content in contents.items():
        if _sum(content) != listed[name]:
            raise ValueError(f"{name} is not the file that was written (SHA-256 differs)")
    state = json.loads(contents.pop(STATE))
    tensors = {name.removesuffix(".safetensors"): load(content) for name, content in contents.items()}
    return Checkpoint(step, state, tensors)


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _commit(path: Path, contents: Mapping[str, bytes]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    for left_over in path.parent.glob(".step-*"):  # of a process that was killed here
        shutil.rmtree(left_over, ignore_errors=True)
    try:
        part.mkdir()
        for name, content in contents.items():
            with (part / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        shutil.rmtree(path, ignore_errors=True)  # a damaged one of the same step
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """An optimiser's state as named tensors and plain values."""
    packed = optimizer.state_dict()
    tensors = {f"{n}.{name}": value for n, values in packed["state"].items() for name, value in values.items()}
    return tensors, packed["param_groups"]


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """Give an optimiser the state that `pack_optimizer` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": groups})
