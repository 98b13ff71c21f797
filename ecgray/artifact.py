"""A model folder: config.json, preprocessor.json, model.safetensors, README.md (the model card), SHA256SUMS.

It exists whole or not at all: written beside its place and renamed. Reading it checks every sum first, and nothing in
it is ever executed: JSON and safetensors only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgray.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, PREPROCESSOR, TENSORS, CARD, SUMS = (
    "config.json",
    "preprocessor.json",
    "model.safetensors",
    "README.md",
    "SHA256SUMS",
)
_REQUIRED = (CONFIG, PREPROCESSOR, TENSORS, CARD)


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder holds, its sums verified."""

    path: Path
    config: dict[str, Any]
    preprocessor: dict[str, Any]
    tensors: dict[str, Tensor]
    fingerprint: str
    """Twelve digits of SHA256SUMS: changes when any file does."""


def save_model(
    folder: Path,
    *,
    config: Mapping[str, Any],
    preprocessor: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    card: str,
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Write a model folder; an older one in its place is replaced. `files` are further files by name."""
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    contents = {
        CONFIG: _json(config),
        PREPROCESSOR: _json(preprocessor),
        TENSORS: save(plain, metadata={"format": "pt"}),
        CARD: card.encode(),
        **(files or {}),
    }
    contents[SUMS] = "".join(f"{_sum(content)}  {name}\n" for name, content in sorted(contents.items())).encode()
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.{os.getpid()}")
    for left_over in folder.parent.glob(f".{folder.name}.[0-9]*"):  # of a process that was killed here
        shutil.rmtree(left_over, ignore_errors=True)
    try:
        _write(part, contents)
        _replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load_model(folder: Path) -> ModelFolder:
    """Read a model folder.

    Raises `ArtifactError` where a file is missing or is not the one that was written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    contents, fingerprint = _verified(folder)
    try:
        config, preprocessor = json.loads(contents[CONFIG]), json.loads(contents[PREPROCESSOR])
        tensors = load(contents[TENSORS])
    except (ValueError, SafetensorError) as error:
        raise ArtifactError(f"{folder} holds a file that cannot be read ({error}); export the model again.") from None
    return ModelFolder(folder, config, preprocessor, tensors, fingerprint)


def check_sums(folder: Path) -> None:
    """Hold every file that SHA256SUMS names against its sum; a folder without sums is taken as it is.

    Raises `ArtifactError` where a file is missing or is not the one that was written.
    """
    sums = folder / SUMS
    for line in sums.read_text(errors="replace").splitlines() if sums.is_file() else ():
        digest, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"{folder} lacks {name}, which {SUMS} names; copy the whole folder again.")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise ArtifactError(
                    f"{path} is not the file that was written (SHA-256 differs); copy the folder again."
                )


def _verified(folder: Path) -> tuple[dict[str, bytes], str]:
    sums = folder / SUMS
    if not sums.is_file():
        raise ArtifactError(f"{folder} holds no {SUMS}; give a folder that a training job wrote (OUT/model).")
    listed = sums.read_bytes()
    expected = _parse(folder, listed)
    contents = {}
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"{folder} lacks {name}, which {SUMS} names; copy the whole folder again.")
        contents[name] = path.read_bytes()
        if _sum(contents[name]) != digest:
            raise ArtifactError(
                f"{folder / name} is not the file that was written (SHA-256 differs); copy the folder again."
            )
    return contents, _sum(listed)[:12]


def _parse(folder: Path, listed: bytes) -> dict[str, str]:
    expected = {}
    for line in listed.decode(errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name or Path(name).name != name:
            raise ArtifactError(f"{folder / SUMS} has a line that is no '<sha256>  <file>'; copy the folder again.")
        expected[name] = digest
    for name in _REQUIRED:
        if name not in expected:
            raise ArtifactError(f"{folder / SUMS} does not name {name}; a model folder needs {', '.join(_REQUIRED)}.")
    return expected


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(part: Path, contents: Mapping[str, bytes]) -> None:
    part.mkdir()
    for name, content in contents.items():
        with (part / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _replace(part: Path, folder: Path) -> None:
    if folder.exists():
        old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old)
    else:
        part.rename(folder)
