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
from typing import TYPE_CHECKING, Any, TypeVar

from ecgray.errors import ArtifactError, ConfigError
from ecgray.settings import from_json

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
_CALLED: dict[type, str] = {str: "a text", dict: "an object"}

Value = TypeVar("Value")
Settings = TypeVar("Settings")


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder holds, its sums verified."""

    path: Path
    config: dict[str, Any]
    preprocessor: dict[str, Any]
    tensors: dict[str, Tensor]
    fingerprint: str
    """Twelve digits of SHA256SUMS: changes when any file does."""

    def field(self, name: str, kind: type[Value]) -> Value:
        """A field of config.json; raises `ArtifactError` where it is missing, or of another kind."""
        value = self.config.get(name)
        if not isinstance(value, kind):
            found = "holds no" if name not in self.config else "holds another kind of"
            raise ArtifactError(
                f"{self.path / CONFIG} {found} {name!r}, which must be {_CALLED[kind]}; export the model again."
            )
        return value

    def settings(self, name: str, kind: type[Settings]) -> Settings:
        """The settings that stand in a field of config.json.

        Raises `ArtifactError` where they are missing, or not such as this version reads.
        """
        return self._read(CONFIG, self.field(name, dict), kind)

    def detail(self, name: str, kind: type[Settings]) -> Settings:
        """The settings among config.json's details; the defaults where it names none. Raises `ArtifactError`."""
        values = self.field("details", dict).get(name, {})
        if not isinstance(values, dict):
            raise ArtifactError(f"{self.path / CONFIG}: details.{name} must be an object; export the model again.")
        return self._read(CONFIG, values, kind)

    def preprocessing(self, kind: type[Settings]) -> Settings:
        """What preprocessor.json holds, as `settings`."""
        return self._read(PREPROCESSOR, self.preprocessor, kind)

    def _read(self, file: str, values: dict[str, Any], kind: type[Settings]) -> Settings:
        try:
            return from_json(kind, values)
        except ConfigError as error:
            raise ArtifactError(f"{self.path / file} cannot be used: {error}") from None


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

    Raises `ArtifactError` where a file is missing or is not the one that was written, or a weight is no number.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    contents, fingerprint = _verified(folder)
    try:
        config, preprocessor = json.loads(contents[CONFIG]), json.loads(contents[PREPROCESSOR])
        tensors = load(contents[TENSORS])
    except (ValueError, SafetensorError) as error:
        raise ArtifactError(f"{folder} holds a file that cannot be read ({error}); export the model again.") from None
    for name, value in ((CONFIG, config), (PREPROCESSOR, preprocessor)):
        if not isinstance(value, dict):
            raise ArtifactError(f"{folder / name} holds no JSON object; export the model again.")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ArtifactError(
                f"{folder / TENSORS}: tensor {name!r} is not finite, and nothing can be computed with it; train again "
                "with a lower learning rate, or take another model."
            )
    return ModelFolder(folder, config, preprocessor, tensors, fingerprint)


def check_sums(folder: Path) -> None:
    """Hold every file that SHA256SUMS names against its sum; a folder without sums is taken as it is.

    Raises `ArtifactError` where a file is missing or is not the one that was written.
    """
    if (folder / SUMS).is_file():
        for name, digest in _listed(folder, (folder / SUMS).read_bytes()).items():
            with _present(folder, name).open("rb") as file:
                _hold(folder / name, hashlib.file_digest(file, "sha256").hexdigest(), digest)


def _verified(folder: Path) -> tuple[dict[str, bytes], str]:
    if not (folder / SUMS).is_file():
        raise ArtifactError(f"{folder} holds no {SUMS}; give a folder that a training job wrote (OUT/model).")
    sums = (folder / SUMS).read_bytes()
    expected = _listed(folder, sums)
    for name in _REQUIRED:
        if name not in expected:
            raise ArtifactError(f"{folder / SUMS} does not name {name}; a model folder needs {', '.join(_REQUIRED)}.")
    contents = {name: _present(folder, name).read_bytes() for name in expected}
    for name, content in contents.items():
        _hold(folder / name, _sum(content), expected[name])
    return contents, _sum(sums)[:12]


def _listed(folder: Path, sums: bytes) -> dict[str, str]:
    """The files that SHA256SUMS names, and their sums."""
    expected = {}
    for line in sums.decode(errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name or Path(name).name != name:
            raise ArtifactError(f"{folder / SUMS} has a line that is no '<sha256>  <file>'; copy the folder again.")
        expected[name] = digest
    return expected


def _present(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise ArtifactError(f"{folder} lacks {name}, which {SUMS} names; copy the whole folder again.")
    return folder / name


def _hold(path: Path, digest: str, expected: str) -> None:
    if digest != expected:
        raise ArtifactError(f"{path} is not the file that was written (SHA-256 differs); copy the folder again.")


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
