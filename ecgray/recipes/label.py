"""Label: records to standard terms. The recipes are the same; they exist so that every job is called alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from ecgray.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """Say which standard terms hold for each record."""

    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table."""
    out: Path = tyro.MISSING
    """The folder to write: labels, and terms.json with how often each term holds."""
    source: Literal["codes"] = "codes"
    """What speaks of the record: codes (the archive's own)."""
    with_parents: bool = True
    """Whether a term brings the wider ones that it implies: left bundle branch block, conduction disturbance."""
    min_likelihood_percent: float = 0.0
    """PTB-XL statements less likely than this are passed over; 0 keeps all, as the public benchmarks do."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_likelihood_percent <= 100:
            raise ConfigError(f"min_likelihood_percent={self.min_likelihood_percent}; a likelihood lies in 0 to 100.")


LABEL = {"debug": LabelConfig(), "laptop": LabelConfig(), "paper": LabelConfig()}
