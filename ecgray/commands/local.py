"""What the service does, done here on a model folder: the same reading, the same answers, no server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgray.client import ServiceError
from ecgray.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ecgray.service.inputs import Taken


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a recording is to be read."""

    fs: float | None = None
    """Samples a second: for npy, and for csv without a column of time."""
    unit: str | None = None
    """mV, uV or V: for npy, and for csv whose columns do not say it."""
    leads: str | None = None
    """For npy: the names of the rows, as I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6."""
    allow_missing_leads: bool = False
    """Take a recording that lacks I, II or a chest lead; zeros stand in its place."""
    ignore_checksums: bool = False
    """Take a WFDB record whose checksums are wrong; a flag says so."""
    start_s: float = 0.0
    """Where the ten seconds that are looked at begin, in seconds."""

    @property
    def lead_names(self) -> list[str] | None:
        """The names, one by one."""
        return None if self.leads is None else [name.strip() for name in self.leads.split(",")]


def take(file: Path, reading: Reading) -> Taken:
    """Read a recording as the service would; a WFDB record by its path, with or without .hea.

    Raises `EcgrayError`.
    """
    from ecgray.service import inputs
    from ecgray.service.problems import Problem
    from ecgray.service.schema import Options
    from ecgray.uploads.settings import UploadSettings
    from ecgray.waveform.record import read_recording

    strict, names = not reading.ignore_checksums, reading.lead_names
    if not 0 <= reading.start_s <= 86_400:
        raise ConfigError(f"start_s={reading.start_s:g} must lie between 0 and 86400 s.")
    options = Options(allow_missing_leads=reading.allow_missing_leads, strict=strict, start_s=reading.start_s)
    settings = UploadSettings(fs=reading.fs, unit=reading.unit, leads=tuple(names) if names else None, strict=strict)
    record = record_path(file)
    try:
        if record is not None:
            return inputs.window(read_recording(record, strict=strict), options)
        return inputs.take_file(_content(file), settings, options)
    except Problem as problem:
        raise ServiceError(problem.code, problem.status, problem.detail) from None


def record_path(file: Path) -> Path | None:
    """The path of a WFDB record without its ending; None for any other file."""
    if file.suffix.lower() == ".hea":
        return file.with_suffix("")
    return file if not file.exists() and file.with_name(f"{file.name}.hea").is_file() else None


def _content(file: Path) -> bytes:
    from ecgray.uploads.settings import MAX_UPLOAD_BYTES

    try:
        with file.open("rb") as opened:
            return opened.read(MAX_UPLOAD_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read ({error.strerror}); give a WFDB header (.hea), a zip of one, an npy, csv or edf."
        ) from None


def model_folder(folder: Path) -> Path:
    """The model folder in OUT of a job, or the folder itself; raises `ConfigError` where there is none."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; give the model folder that a job wrote, or its OUT.")
    return folder / "model" if (folder / "model").is_dir() else folder


def classified(folder: Path | None, taken: Sequence[Taken], queries: Sequence[str]) -> list[dict[str, Any]]:
    """The service's answer about each recording, by the model in a folder or by the one that ships."""
    import numpy as np

    from ecgray.models.classifier import EMBEDDED
    from ecgray.service.backends import Asked
    from ecgray.service.core import stamped
    from ecgray.service.engines import ClassifierEngine
    from ecgray.service.reading import results
    from ecgray.service.settings import UNCALIBRATED

    engine = ClassifierEngine(EMBEDDED if folder is None else model_folder(folder))
    asked = Asked(np.stack([each.counts for each in taken]), (tuple(queries),) * len(taken))
    (answered,) = engine.answer([asked])
    about = {"model": stamped(answered.stamp), "notice": UNCALIBRATED}
    return [
        {"results": results(asked.queries[0], logits, answered.flags), **each.described(), **about}
        for each, logits in zip(taken, answered.values, strict=True)
    ]
