"""Ingest: an archive of recordings to the records table. The recipes differ in how they read, never in what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from ecgray.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class IngestConfig:
    """Bring an archive's recordings to 12 leads x 10 s at 500 Hz, split by patient."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("readers",)

    archive: Path = tyro.MISSING
    """The folder that holds the archive."""
    out: Path = tyro.MISSING
    """The folder to write: manifest, records and quarantine."""
    layout: str = "auto"
    """auto (by what lies there), mimic-iv-ecg, ptb-xl, cpsc2018, csn, georgia, ludb or wfdb (any WFDB files)."""
    allow_missing_leads: bool = False
    """Take recordings that lack I, II or a chest lead, with zeros and a flag in their place; else they are refused."""
    val_percent: int = 10
    """How many of a hundred patients validate, where the archive has no official split."""
    test_percent: int = 10
    """How many of a hundred patients test, where the archive has no official split."""
    readers: int = 2
    """Threads of one task that open files ahead; more for storage with a long latency."""

    def __post_init__(self) -> None:
        if not 1 <= self.readers <= 64:
            raise ConfigError(f"readers={self.readers}; a task opens files with 1 to 64 threads.")


INGEST = {
    "debug": IngestConfig(readers=1),
    "laptop": IngestConfig(),
    "paper": IngestConfig(readers=16),
}
"""debug: one thread; laptop: a local disk; paper: shared storage of a cluster."""
