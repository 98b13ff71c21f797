"""An output folder: settings, code version and inputs in config.json, the answer in figures.json, one writer at a time.

The same settings on the same inputs into the same folder: nothing is computed again. Settings that differ are refused,
so that a folder never mixes two runs. A killed job leaves no figures.json; the same command goes on where it stopped.
A job that is refused leaves nothing behind that was not there before.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ecgray import __version__
from ecgray.errors import ClusterError, ConfigError, EcgrayError
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
def output_folder(path: Path, settings: Any, *, inputs: Mapping[str, Path | str]) -> Iterator[OutputFolder]:
    """Open `path` for a job with these settings (a dataclass) and inputs: files, folders, or a hash known already.

    Settings that the dataclass names in `PLACEMENT` say where and how fast, not what: a run may go on with others.
    Raises `ConfigError` where the folder holds a run of other settings or cannot be one, or a setting is no number;
    `ClusterError` where another job writes it now.
    """
    if path == Path():
        raise ConfigError(
            "out is empty, or the current folder; name a folder that is the run's own, as --out runs/one."
        )
    path = path.absolute()
    _refuse_nan(to_json(settings))
    if _finished(path):  # nothing is written, not even a lock
        yield _open(path, settings, inputs)
        return
    with _lock(path):
        folder = _open(path, settings, inputs)
        try:
            yield folder
        except EcgrayError:
            if {entry.name for entry in path.iterdir()} <= {"config.json", ".lock"}:
                (path / "config.json").unlink(missing_ok=True)  # nothing was done: free for the corrected command
            raise


def _finished(path: Path) -> bool:
    try:
        return (path / "figures.json").exists()
    except OSError as error:  # a name that is too long, or below a folder that is somebody else's
        raise _unwritable(path, error) from None


def _refuse_nan(values: Any, name: str = "") -> None:
    """Raise `ConfigError` for a setting that JSON cannot hold."""
    if isinstance(values, float) and not math.isfinite(values):
        raise ConfigError(f"{name}={values} is not finite; give a number.")
    if isinstance(values, (dict, list)):
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            _refuse_nan(value, f"{name}.{key}" if name else str(key))


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{folder} cannot be written ({error.strerror}); give an --out that is a folder of yours, or none yet."
    )


def _open(path: Path, settings: Any, inputs: Mapping[str, Path | str]) -> OutputFolder:
    plain = to_json(settings)
    hashes = {
        name: source if isinstance(source, str) else input_hash(source) for name, source in sorted(inputs.items())
    }
    apart = {"out", *inputs, *getattr(settings, "PLACEMENT", ())}
    compared = {name: value for name, value in plain.items() if name not in apart}
    mark = fingerprint(compared, hashes)
    config_file = path / "config.json"
    if config_file.exists():
        before = _read_json(config_file)
        if "fingerprint" not in before:
            raise ConfigError(f"{config_file} was written by no job of ecgray, or is damaged; give another --out.")
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
    return OutputFolder(path, mark, _read_json(figures) or None)


def input_hash(source: Path) -> str:
    """What a stage read, in twelve digits.

    A folder that a job wrote is known by its config.json and figures.json; any other by the names and sizes of what
    lies directly in it; a file by its size and its first mebibyte. Raises `ConfigError` where there is nothing, or a
    job that is not finished.
    """
    if not source.exists():
        raise ConfigError(f"{source} does not exist; give the path of a file or folder that does.")
    if source.is_file():
        with source.open("rb") as file:
            return fingerprint(source.stat().st_size, file.read(1 << 20).hex())
    for folder in (source, source.parent):
        if _is_output(folder):
            figures = folder / "figures.json"
            if not figures.exists():
                raise ConfigError(
                    f"{folder} was written by a job that has not finished; run its command again, and then this one."
                )
            return fingerprint(source.name, (folder / "config.json").read_text(), figures.read_text())
    return fingerprint([(entry.name, entry.stat().st_size if entry.is_file() else 0) for entry in _sorted(source)])


def _is_output(folder: Path) -> bool:
    """Whether a job of ours writes or wrote this folder."""
    return "fingerprint" in _read_json(folder / "config.json")


def _read_json(path: Path) -> dict[str, Any]:
    """The object that a file holds; an empty one where there is no such file, or no object in it."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _sorted(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


_HELD: set[Path] = set()
_ATTEMPTS = 100


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One writer at a time. The kernel holds the lock, so that it goes with its process, however that ended.

    Where the folder holds no run in the end, the lock's file goes, and so do folders that were made for it.
    """
    if folder in _HELD:  # a stage inside a stage of the same process
        yield
        return
    made = [each for each in (folder, *folder.parents) if not each.exists()]  # the deepest first
    try:
        with _locked(folder / ".lock") as file:
            file.truncate(0)
            file.write(f"{socket.gethostname()} {os.getpid()}")
            file.flush()
            _HELD.add(folder)
            try:
                yield
            finally:
                _HELD.discard(folder)
                if not _is_output(folder):
                    (folder / ".lock").unlink(missing_ok=True)  # while we hold it: see _locked
    finally:
        with contextlib.suppress(OSError):  # not empty: there is a run, or another job came in between
            for each in made:
                each.rmdir()


def _locked(lock: Path) -> TextIO:
    """The lock's file, made where it is missing, open and locked.

    Its holder may remove it after we opened it and before we lock it. Then ours is a lock on a file that nobody else
    will find, and does not count: we try again.
    """
    folder = lock.parent
    try:
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as opened:
                folder.mkdir(parents=True, exist_ok=True)
                file = opened.enter_context(lock.open("a+"))
                _flock(file, folder)
                if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                    opened.pop_all()
                    return file
    except OSError as error:
        raise _unwritable(folder, error) from None
    raise ConfigError(f"{folder} cannot be made, or does not stay; give an --out that is a folder of yours.")


def _flock(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise ClusterError(
            f"{folder} is being written by another job (host and process {file.read()}); wait for it, or give "
            "another --out."
        ) from None
    except OSError as error:
        if not _is_output(folder):
            Path(file.name).unlink(missing_ok=True)
        raise ClusterError(
            f"{folder} lies on a disk that gives no locks ({error.strerror}); give an --out on another one."
        ) from error


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
