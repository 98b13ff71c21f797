"""What the sender says of an upload, and how much of it is taken."""

from __future__ import annotations

from dataclasses import dataclass

from ecgray.errors import EcgInputError

MAX_UPLOAD_BYTES = 8 << 20
"""Bytes of one upload, all of its files together."""
MAX_FILES = 8
"""Files of one recording: a header and its signal files."""
MAX_SAMPLES = 64 * 60 * 1000
"""Samples of one recording, all leads together: 64 leads, a minute, 1,000 Hz."""


@dataclass(frozen=True, kw_only=True)
class UploadSettings:
    """What the sender says beside the bytes. WFDB and EDF say all but `strict` themselves."""

    fs: float | None = None
    """Samples per second: needed for npy, and for csv without a column of time."""
    unit: str | None = None
    """mV, uV or V: needed for npy, and for csv whose columns do not say it."""
    leads: tuple[str, ...] | None = None
    """The leads in the order of the rows: needed for npy."""
    strict: bool = True
    """Whether a wrong checksum of WFDB is refused; else it is flagged."""


def check_size(size: int) -> None:
    """Refuse more bytes than are taken, before anything is made of them."""
    if size > MAX_UPLOAD_BYTES:
        raise EcgInputError(
            "payload_too_large",
            f"The upload has {size} bytes; at most {MAX_UPLOAD_BYTES} are taken. Send a shorter part.",
            status=413,
        )


def check_samples(samples: int) -> None:
    """Refuse more samples than are taken, before memory is given to them."""
    if samples > MAX_SAMPLES:
        raise EcgInputError(
            "recording_too_large",
            f"The recording has more than {MAX_SAMPLES} samples, all leads together; send a shorter part.",
            status=413,
        )


def missing(parameter: str, kind: str) -> EcgInputError:
    """The refusal of an upload that does not say what it must."""
    return EcgInputError(
        "param_missing", f"The parameter {parameter} is missing; {kind} does not say it by itself, so state it."
    )
