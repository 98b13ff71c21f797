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
    """The folder to write: labels, terms.json, frequency.csv and .svg with how often each term holds; from entities,
    mapped, also mapping.csv and review.csv."""
    source: Literal["codes", "entities"] = "codes"
    """What speaks of the record: codes (the archive's own), entities (what a model read in its report)."""
    with_parents: bool = True
    """Whether a term brings the wider ones that it implies: left bundle branch block, conduction disturbance."""
    min_likelihood_percent: float = 0.0
    """Codes: PTB-XL statements less likely than this are passed over; 0 keeps all, as the public benchmarks do."""

    entities: Path | None = None
    """Entities: OUT of an extract job, or its entities table."""
    uncertain: Literal["drop", "keep"] = "drop"
    """Entities: whether what a report states with a hedge counts as said (SuPreME drops it)."""
    dedup: Literal["on", "off"] = "on"
    """Entities: on maps them to standard terms; off takes their raw names as labels (SuPreME's ablation)."""
    min_count: int = 10
    """dedup=off: an entity in fewer records than this is no label. SuPreME went from 3,138 names to 341."""
    text_encoder: str = "lexical"
    """dedup=on: what compares names: lexical, a folder with a HF model, or a hub name (ncbi/MedCPT-Query-Encoder)."""
    min_similarity: float = 0.75
    """dedup=on: the least cosine between an entity and its term (SuPreME 4.1: 0.75 on average)."""
    group_similarity: float = 0.8
    """dedup=on: the cosine from which unmapped entities are shown as alike (SuPreME 4.1: 0.8 makes a group)."""
    review: Path | None = None
    """dedup=on: a review.csv of an earlier run with a clinician's decisions; they win over everything."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_likelihood_percent <= 100:
            raise ConfigError(f"min_likelihood_percent={self.min_likelihood_percent}; a likelihood lies in 0 to 100.")
        if self.min_count < 1:
            raise ConfigError(f"min_count={self.min_count} must be at least 1.")
        for name in ("min_similarity", "group_similarity"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be above 0 and at most 1: it is a cosine.")
        self._check_source()

    def _check_source(self) -> None:
        if self.records is tyro.MISSING:
            return  # a recipe, not a run
        if self.source == "entities" and self.entities is None:
            raise ConfigError("source=entities needs --entities, OUT of an extract job over the same records.")
        if self.source == "codes" and (self.entities or self.review):
            raise ConfigError(
                "source=codes reads neither --entities nor --review; leave them out, or give --source entities."
            )
        if self.dedup == "off" and self.review:
            raise ConfigError(
                "dedup=off maps no entity, so that --review has nothing to decide; leave one of them out."
            )


LABEL = {"debug": LabelConfig(), "laptop": LabelConfig(), "paper": LabelConfig()}
