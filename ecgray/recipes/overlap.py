"""Overlap: what pre-training terms and downstream queries have in common. The recipes are the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from ecgray.errors import ConfigError

PUBLIC_TASKS = ("ptbxl-super", "ptbxl-sub", "ptbxl-form", "ptbxl-rhythm", "cpsc2018", "csn-exact")


@dataclass(frozen=True, kw_only=True)
class OverlapConfig:
    """Say which queries a pre-training set already names."""

    labels: Path = tyro.MISSING
    """OUT of a label job: its terms.json names the pre-training terms."""
    out: Path = tyro.MISSING
    """The folder to write: overlap.csv, nearest.csv, overlap.svg."""
    queries: tuple[str, ...] = PUBLIC_TASKS
    """Tasks, or files of queries (JSON {name: query}, or one query a line)."""
    text_encoder: str = "lexical"
    """lexical, a folder with a HF model, or a hub name (ncbi/MedCPT-Query-Encoder)."""
    threshold: float = 0.95
    """The cosine from which a term and a query overlap (SuPreME 3.3)."""
    min_train_count: int = 10
    """Terms in fewer training records than this are left out, as pretrain does (min_term_count); 0 takes all."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError(f"threshold={self.threshold} must be above 0 and at most 1: it is a cosine.")
        if self.min_train_count < 0:
            raise ConfigError(f"min_train_count={self.min_train_count} must be at least 0.")
        if not self.queries:
            raise ConfigError("queries is empty; give tasks or files of queries, or leave it out for the public tasks.")


OVERLAP = {"debug": OverlapConfig(), "laptop": OverlapConfig(), "paper": OverlapConfig()}
