"""An output folder: settings, code version and inputs in config.json, the answer in figures.json, one writer at a time.

The same settings on the same inputs into the same folder: nothing is computed again. Settings that differ are refused,
so that a folder never mixes two runs. A killed job leaves no figures.json; the same command goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgray import __version__
from ecgray.errors import ClusterError, ConfigError
from ecgray.settings import fingerprint, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class OutputFolder:
    """A folder that one job writes. `done` holds the figures of an earlier, finished run of the same settings."""

    path: Path
    fingerprint: str
    done: dict[str, Any] | None

    def finish(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Mark the run as finished; returns `figures`."""
        write_json(self.path / "figures.json", figures)
        return figures


@contextlib.contextmanager
def output_folder(path: Path, settings: Any, *, inputs: Mapping[str, Path]) -> Iterator[OutputFolder]:
    """Open `path` for a job with these settings (a dataclass) and inputs (files or folders).

    Raises `ConfigError` where the folder holds a run of other settings, `ClusterError` where another job writes it now.
    """
    path = path.absolute()
    path.mkdir(parents=True, exist_ok=True)
    with _lock(path):
        yield _open(path, settings, inputs)


def _open(path: Path, settings: Any, inputs: Mapping[str, Path]) -> OutputFolder:
    plain = to_json(settings)
    hashes = {name: input_hash(source) for name, source in sorted(inputs.items())}
    compared = {name: value for name, value in plain.items() if name not in {"out", *inputs}}
    mark = fingerprint(compared, hashes)
    config_file = path / "config.json"
    if config_file.exists():
        before = json.loads(config_file.read_text())
        if before.get("fingerprint") != mark:
            was = before.get("settings", {})
            changed = sorted(name for name in compared if was.get(name) != compared[name]) or ["the input"]
            raise ConfigError(
                f"{path} holds a run that differs in {', '.join(changed)}; an output folder holds one run. "
                "Give another --out, or delete the folder."
            )
    else:
        write_json(
            config_file,
            {"settings": plain, "version": __version__, "inputs": hashes, "fingerprint": mark},
        )
    figures = path / "figures.json"
    return OutputFolder(path, mark, json.loads(figures.read_text()) if figures.exists() else None)


def input_hash(source: Path) -> str:
    """What a stage read, in twelve digits.

    A folder that a job wrote is known by its config.json and figures.json; any other by the names and sizes of what
    lies directly in it; a file by its size and its first mebibyte.
    """
    if not source.exists():
        raise ConfigError(f"{source} does not exist; give the path of a file or folder that does.")
    if source.is_file():
        with source.open("rb") as file:
            return fingerprint(source.stat().st_size, file.read(1 << 20).hex())
    marks = [source / "config.json", source / "figures.json"]
    parents = [source.parent / "config.json", source.parent / "figures.json"]
    for pair in (marks, parents):
        if all(path.exists() for path in pair):
            return fingerprint(source.name, *[path.read_text() for path in pair])
    return fingerprint([(entry.name, entry.stat().st_size if entry.is_file() else 0) for entry in _sorted(source)])


def _sorted(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One writer at a time. A lock that a dead process of this host left behind is taken over."""
    lock = folder / ".lock"
    mine = f"{socket.gethostname()} {os.getpid()}"
    while True:
        try:
            with lock.open("x") as file:
                file.write(mine)
            break
        except FileExistsError:
            if lock.read_text() == mine:  # a stage inside a stage of the same process
                yield
                return
            if _alive(lock):
                raise ClusterError(
                    f"{folder} is being written by another job ({lock.read_text()}); wait for it, give another --out, "
                    f"or delete {lock} if that job is gone."
                ) from None
            lock.unlink(missing_ok=True)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _alive(lock: Path) -> bool:
    try:
        host, process = lock.read_text().split()
    except (FileNotFoundError, ValueError):
        return False
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all; NaN is refused."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
