"""Where a language model lies, and the hash of what decides its answers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from ecgray.artifact import SUMS
from ecgray.errors import ConfigError

EMBEDDED = "embedded"
"""The small model that comes with the package."""
_WHOLE_BYTES = 1 << 30
_PIECES, _PIECE_BYTES = 64, 1 << 18
"""A larger file counts by its name, its size and so many pieces spread over it: training changes every tensor."""


def model_folder(name: str) -> Path:
    """The Hugging Face folder of `embedded`, of a path, or of a model's public name that this machine has a copy of.

    Raises `ConfigError` where there is none; nothing is ever downloaded.
    """
    folder = Path(__file__).parents[1] / "ner" / EMBEDDED if name == EMBEDDED else Path(name).absolute()
    if (folder / "config.json").is_file():
        return folder
    if not folder.is_dir() and name.count("/") == 1:
        copy = _downloaded(name)
        if copy is not None:
            return copy
    raise ConfigError(
        f"model {name!r} is no folder with a config.json, nor the name of a model that this machine has downloaded; "
        "give a Hugging Face folder, or fetch one with `hf download`."
    )


def _downloaded(name: str) -> Path | None:
    import huggingface_hub  # a quarter of a second, and only who names a public model needs it

    try:
        return Path(huggingface_hub.snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):  # LocalEntryNotFoundError is both
        return None


def model_hash(folder: Path) -> str:
    """Twelve digits of the model's files, by name and content; its card, the sums and hidden files do not count.

    Of a file of more than a gibibyte 64 pieces count, the first and the last among them.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if (
            path.is_file()
            and path.suffix != ".md"
            and path.name != SUMS
            and not any(each.startswith(".") for each in name.parts)
        ):
            digest.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(_content(path))
    return digest.hexdigest()[:12]


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        if path.stat().st_size > _WHOLE_BYTES:
            return _pieces_hash(file, path.stat().st_size)
        return hashlib.file_digest(file, "sha256").digest()


def _pieces_hash(file: BinaryIO, size: int) -> bytes:
    digest = hashlib.sha256()
    for piece in range(_PIECES):
        file.seek(piece * (size - _PIECE_BYTES) // (_PIECES - 1))
        digest.update(file.read(_PIECE_BYTES))
    return digest.digest()
