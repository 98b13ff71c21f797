"""What the service answers, as frozen dataclasses; fields that a newer service adds stay in `raw`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgray.client.failures import ServiceError
from ecgray.client.record import write_record
from ecgray.leads import LEADS

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, Int16

_FS = 500


@dataclass(frozen=True)
class ModelInfo:
    """Which model answered."""

    name: str
    kind: str
    version: str
    sha256: str
    """Twelve digits of the model folder's checksums: changes when any of its files does."""
    preset: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ModelInfo:
        """From the service's JSON."""
        return cls(*(str(values.get(name) or "") for name in ("name", "kind", "version", "sha256", "preset")))


@dataclass(frozen=True)
class Input:
    """What came, and what was done to it."""

    fs_hz: float
    """Samples per second as sent."""
    duration_s: float
    """Seconds as sent."""
    unit: str | None
    leads_found: tuple[str, ...]
    leads_derived: tuple[str, ...]
    """III, aVR, aVL or aVF, computed from I and II."""
    leads_missing: tuple[str, ...]
    """Zeros stand in their place; only with `allow_missing_leads`."""
    window_s: tuple[float, float]
    """Which seconds of the recording were looked at."""
    resampled: bool
    """To 500 Hz."""
    padded: bool
    """With zeros to 10 s."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Input:
        """From the service's JSON."""
        begin, end = values["window_s"]
        return cls(
            float(values["fs_hz"]),
            float(values["duration_s"]),
            None if values["unit"] is None else str(values["unit"]),
            tuple(values["leads_found"]),
            tuple(values["leads_derived"]),
            tuple(values["leads_missing"]),
            (float(begin), float(end)),
            bool(values["resampled"]),
            bool(values["padded"]),
        )


@dataclass(frozen=True)
class Quality:
    """Whether the recording can be trusted; look here before any probability."""

    ok: bool
    """No flag that makes an answer doubtful."""
    flags: tuple[str, ...]
    """What was seen or done: `noise_high:V1`, `leads_derived`, ... (docs/data.md)."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Quality:
        """From the service's JSON."""
        return cls(bool(values["ok"]), tuple(values["flags"]))


@dataclass(frozen=True)
class Answer:
    """What the classifier says to one question."""

    query: str
    probability: float
    """In (0, 1), uncalibrated: it ranks."""
    logit: float
    flags: tuple[str, ...] = ()
    """Why not to trust it whatever the recording is: negation, no_known_term, term_not_learnt."""


@dataclass(frozen=True)
class Classified:
    """Answers about one ECG, in the order in which they were asked."""

    results: tuple[Answer, ...]
    input: Input
    quality: Quality
    model: ModelInfo
    request_id: str
    notice: str
    raw: dict[str, Any] = field(repr=False)
    """The service's whole answer."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Classified:
        """From the service's JSON."""
        results = tuple(
            Answer(one["query"], float(one["probability"]), float(one["logit"]), tuple(one.get("flags", ())))
            for one in values["results"]
        )
        return cls(results, *_about(values), _model(values), _id(values), _notice(values), dict(values))

    def probability(self, query: str) -> float:
        """The answer to one of the questions; `KeyError` where it was not asked."""
        return {one.query: one.probability for one in self.results}[query]


@dataclass(frozen=True)
class Embedded:
    """One ECG as a vector."""

    embedding: Float32[np.ndarray, " width"]
    input: Input
    quality: Quality
    model: ModelInfo
    request_id: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Embedded:
        """From the service's JSON."""
        return cls(np.array(values["embedding"], np.float32), *_about(values), _model(values), _id(values))


@dataclass(frozen=True)
class Measured:
    """Intervals of one ECG, as a cardiologist would measure them."""

    intervals: dict[str, float | None]
    """heart_rate_bpm, rr_ms, pr_ms, qrs_ms, qt_ms, qtcf_ms, st60_mv, p_ms, t_ms, qrs_global_ms, qt_global_ms."""
    reasons: dict[str, str]
    """Why a value is None: a stable word each (docs/data.md)."""
    r_peaks_s: Float64[np.ndarray, " beat"]
    """Seconds from the beginning of the window."""
    input: Input
    quality: Quality
    request_id: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Measured:
        """From the service's JSON."""
        peaks = np.array(values["r_peaks_s"], np.float64)
        return cls(dict(values["intervals"]), dict(values["reasons"]), peaks, *_about(values), _id(values))


@dataclass(frozen=True)
class Explained:
    """Where in the ECG the answer to one question comes from: the parts add up to `logit` - `baseline_logit`."""

    query: str
    probability: float
    logit: float
    baseline_logit: float
    """Of the ECG that the method starts from."""
    leads: tuple[str, ...]
    step_s: float
    """Seconds a part."""
    contributions: Float64[np.ndarray, "lead part"]
    flags: tuple[str, ...]
    """Why not to trust the answer: as in `Result`."""
    input: Input
    quality: Quality
    model: ModelInfo
    request_id: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Explained:
        """From the service's JSON."""
        return cls(
            str(values["query"]),
            float(values["probability"]),
            float(values["logit"]),
            float(values["baseline_logit"]),
            tuple(values["leads"]),
            float(values["step_s"]),
            np.array(values["contributions"], np.float64),
            tuple(values.get("flags", ())),
            *_about(values),
            _model(values),
            _id(values),
        )


@dataclass(frozen=True)
class Read:
    """One ECG as the models see it."""

    counts: Int16[np.ndarray, "lead=12 time=5000"]
    """1/1000 mV at 500 Hz, leads in the order of `ecgray.leads.LEADS`."""
    input: Input
    quality: Quality
    request_id: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Read:
        """From the service's JSON."""
        return cls(counts_of(values["ecg"]), *_about(values), _id(values))


@dataclass(frozen=True)
class Generated:
    """ECGs drawn from a text. They are synthetic: no recording of a person."""

    counts: Int16[np.ndarray, "ecg lead=12 time=5000"]
    """1/1000 mV at 500 Hz, leads in the order of `ecgray.leads.LEADS`."""
    seed: int
    steps: int
    sampler: str
    guidance_scale: float
    flags: tuple[str, ...]
    """What is odd about the prompt (docs/generation.md)."""
    asked: dict[str, Any]
    """age, sex and heart_rate_bpm, as the fields or the text said them; None where nothing did."""
    measured: tuple[dict[str, float | None], ...]
    """For each ECG what was measured in it: heart_rate_bpm, pr_ms, qrs_ms, qt_ms, qtcf_ms; None where nobody could."""
    model: ModelInfo
    request_id: str
    notice: str
    raw: dict[str, Any] = field(repr=False)
    """The service's whole answer."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Generated:
        """From the service's JSON."""
        ecgs = [counts_of(one["ecg"]) for one in values["ecgs"]]
        return cls(
            np.stack(ecgs) if ecgs else np.zeros((0, len(LEADS), 5000), np.int16),
            int(values["seed"]),
            int(values["steps"]),
            str(values["sampler"]),
            float(values["guidance_scale"]),
            tuple(values["flags"]),
            dict(values["asked"]),
            tuple(dict(one["measured"]) for one in values["ecgs"]),
            _model(values),
            _id(values),
            _notice(values),
            dict(values),
        )

    def save_wfdb(self, folder: str | Path, *, name: str = "synthetic") -> list[Path]:
        """Write each ECG as a WFDB record `name`-seed-index that says that it is synthetic; returns the headers' paths.

        The text of the prompt is not written: it may speak of a patient.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        comments = [
            "synthetic",
            "drawn by a generator; no recording of a person; research use only",
            f"model {self.model.name} {self.model.version} {self.model.sha256}",
            f"sampler {self.sampler} steps {self.steps} guidance {self.guidance_scale:g}",
            *([f"flags {' '.join(self.flags)}"] if self.flags else []),
        ]
        return [
            write_record(
                place,
                f"{name}-{self.seed}-{index}",
                ecg,
                fs=_FS,
                leads=LEADS,
                comments=[*comments, f"seed {self.seed} index {index}"],
            )
            for index, ecg in enumerate(self.counts)
        ]


def counts_of(ecg: Mapping[str, Any]) -> Int16[np.ndarray, "lead=12 time=5000"]:
    """An ECG of the service's JSON as counts of 1/1000 mV, its leads brought to our order by their names."""
    rows = np.frombuffer(base64.b64decode(ecg["data"], validate=True), "<i2").reshape(ecg["shape"])
    if (ecg["dtype"], ecg["unit"], ecg["fs"]) != ("int16", "uV", _FS) or set(ecg["leads"]) != set(LEADS):
        raise ServiceError(
            "answer_invalid", 200, "The service sent something else than twelve leads of int16 uV at 500 Hz."
        )
    return rows[[list(ecg["leads"]).index(lead) for lead in LEADS]].astype(np.int16)


def _about(values: Mapping[str, Any]) -> tuple[Input, Quality]:
    return Input.of(values["input"]), Quality.of(values["quality"])


def _model(values: Mapping[str, Any]) -> ModelInfo:
    return ModelInfo.of(values.get("model") or {})


def _id(values: Mapping[str, Any]) -> str:
    return str(values.get("request_id") or "")


def _notice(values: Mapping[str, Any]) -> str:
    return str(values.get("notice") or "")
