"""From what a request brings to a recording that can be answered: 12 leads, 500 Hz, 10 s, and what was done to it."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int16

from ecgray.errors import EcgInputError
from ecgray.leads import LEADS, find_leads
from ecgray.service.problems import Problem, of_recording
from ecgray.service.schema import Options, Recorded
from ecgray.tables import FS, SAMPLES
from ecgray.uploads.arrays import units_per_mv
from ecgray.uploads.read import read_files, read_upload
from ecgray.uploads.settings import UploadSettings
from ecgray.uploads.values import read_values
from ecgray.waveform.record import Recording
from ecgray.waveform.standard import SHORTEST_S, StandardEcg, standardise

WINDOW_S = SAMPLES / FS
_HARMLESS = frozenset({"leads_derived", "resampled", "first_10_s", "date_ignored", "trailing_data"})
"""Flags that say what was done and leave an answer as good as it was."""


@dataclass(frozen=True, eq=False)
class Taken:
    """A recording that was read."""

    counts: Int16[np.ndarray, "lead=12 time=5000"]
    """1/1000 mV at 500 Hz."""
    input: dict[str, Any]
    quality: dict[str, Any]

    def described(self) -> dict[str, Any]:
        """What every answer says of it."""
        return {"input": self.input, "quality": self.quality}


def take(asked: Recorded) -> Taken:
    """The recording of a JSON body. Raises `Problem`."""
    if (asked.ecg is None) == (asked.files is None):
        code = "param_missing" if asked.ecg is None else "param_invalid"
        raise Problem(422, code, "Give the recording either as ecg or as files.", field="ecg")
    try:
        if asked.ecg is not None:
            return window(read_values(asked.ecg), asked.options, unit=asked.ecg.get("unit"))
        files = {file.name: _decoded(file.data) for file in asked.files or ()}
        if len(files) < len(asked.files or ()):
            raise Problem(422, "param_invalid", "Two files have the same name.", field="files")
        return window(read_files(files, UploadSettings(strict=asked.options.strict)), asked.options)
    except EcgInputError as error:
        raise of_recording(error) from None


def take_file(content: bytes, settings: UploadSettings, options: Options) -> Taken:
    """The recording of a raw body. Raises `Problem`."""
    says_its_unit = content.startswith((b"PK", b"0       "))  # a WFDB record, EDF: whatever a parameter says
    try:
        return window(read_upload(content, settings), options, unit=None if says_its_unit else settings.unit)
    except EcgInputError as error:
        raise of_recording(error) from None


def _decoded(data: str) -> bytes:
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except (ValueError, binascii.Error):
        raise Problem(400, "base64_invalid", "A file is not base64.", field="files") from None


def window(recording: Recording, options: Options, *, unit: str | None = None) -> Taken:
    """Ten seconds of it, made alike."""
    first = round(options.start_s * recording.fs)
    duration_s = recording.duration_s
    if first and first >= recording.counts.shape[1]:
        raise Problem(
            422, "param_out_of_range", "The window begins behind the recording's end.", field="options.start_s"
        )
    if first:
        recording = dataclasses.replace(recording, counts=recording.counts[:, first:])
    if first and recording.duration_s < SHORTEST_S:
        detail = f"Less than {SHORTEST_S:g} s of the recording are left after start_s; begin earlier."
        raise Problem(422, "too_short", detail, field="options.start_s")
    ecg = standardise(recording, allow_missing_leads=options.allow_missing_leads)
    end = min(options.start_s + WINDOW_S, duration_s)
    return Taken(ecg.counts, _input(recording, ecg, unit, duration_s, (options.start_s, end)), _quality(ecg.flags))


def _input(
    recording: Recording, ecg: StandardEcg, unit: str | None, duration_s: float, window_s: tuple[float, float]
) -> dict[str, Any]:
    found = find_leads(recording.names)
    leads = [lead for lead in LEADS if lead in found]
    missing = [flag.partition(":")[2] for flag in ecg.flags if flag.startswith("lead_missing:")]
    return {
        "fs_hz": ecg.source_fs,
        "duration_s": round(duration_s, 4),
        "unit": unit,
        "leads_found": leads,
        "leads_derived": [lead for lead in LEADS if lead not in leads and lead not in missing],
        "leads_missing": missing,
        "window_s": [round(edge, 4) for edge in window_s],
        "resampled": "resampled" in ecg.flags,
        "padded": "padded" in ecg.flags,
    }


def _quality(flags: Sequence[str]) -> dict[str, Any]:
    return {"ok": _HARMLESS.issuperset(flags), "flags": list(flags)}


def as_values(counts: Int16[np.ndarray, "lead=12 time=5000"]) -> dict[str, Any]:
    """An ECG as JSON has it, ready to be sent back."""
    return {
        "encoding": "base64",
        "dtype": "int16",
        "shape": list(counts.shape),
        "fs": FS,
        "unit": "uV",
        "leads": list(LEADS),
        "data": base64.b64encode(np.ascontiguousarray(counts, "<i2").tobytes()).decode(),
    }


def upload_settings(query: Mapping[str, str]) -> UploadSettings:
    """What a raw file's query parameters say of it. Raises `Problem`."""
    leads, unit = query.get("leads"), query.get("unit")
    try:
        if unit is not None:
            units_per_mv(unit)  # also where it is not needed: an answer says it again
    except EcgInputError as error:
        raise of_recording(error) from None
    return UploadSettings(
        fs=_number(query, "fs"),
        unit=unit,
        leads=tuple(name.strip() for name in leads.split(",")) if leads else None,
        strict=_yes(query, "strict", default=True),
    )


def options_of(query: Mapping[str, str]) -> Options:
    """The options among a raw file's query parameters. Raises `Problem`."""
    start_s = _number(query, "start_s") or 0.0
    if not 0 <= start_s <= 86_400:
        raise Problem(422, "param_out_of_range", "start_s must lie between 0 and 86400 s.", field="start_s")
    allow = _yes(query, "allow_missing_leads", default=False)
    return Options(allow_missing_leads=allow, strict=_yes(query, "strict", default=True), start_s=start_s)


def _number(query: Mapping[str, str], name: str) -> float | None:
    if name not in query:
        return None
    try:
        value = float(query[name])
    except ValueError:
        raise Problem(422, "param_invalid", f"{name} is no number.", field=name) from None
    if not np.isfinite(value):
        raise Problem(422, "param_out_of_range", f"{name} is not finite.", field=name)
    return value


def _yes(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    word = query.get(name, str(default)).lower()
    if word not in ("true", "false", "1", "0"):
        raise Problem(422, "param_invalid", f"{name} must be true or false.", field=name)
    return word in ("true", "1")
