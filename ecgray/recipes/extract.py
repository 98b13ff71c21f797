"""Extract: reports to entities, by a language model. The recipes differ in the model and in where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from ecgray.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """Have a language model say what each report states."""

    PLACEMENT: ClassVar[tuple[str, ...]] = (
        "cache",
        "gpu",
        "replicas",
        "tensor_parallel",
        "cpus_per_replica",
        "part_rows",
        "max_num_seqs",
        "kv_cache_mb",
        "gpu_memory_share",
        "timeout_s",
        "start_timeout_s",
    )

    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table."""
    out: Path = tyro.MISSING
    """The folder to write: entities, statements and quarantine."""
    unit: Literal["statement", "report"] = "statement"
    """What the model is asked about: each distinct statement, or each distinct report whole as the paper does."""
    merge: Literal["exact", "llm", "off"] = "exact"
    """How often a finding counts that a report states twice: once if the names are equal (exact), once if the model
    says that they mean the same (llm), or as often as different statements
    say so (off)."""
    min_words: int = 3
    """Reports of fewer words are passed over; statements never are."""
    max_letters: int = 2000
    """Longer texts are refused as too_long without being asked."""
    readings: Path | None = None
    """A CSV file of statements and what they state, by a clinician (columns statement, entity, certainty); the model
    is not asked about these."""
    model: str = "embedded"
    """embedded (the small model of the package), a Hugging Face folder, or the name of a model downloaded before."""
    max_tokens: int = 512
    """Tokens of an answer; a second attempt has twice as many."""
    max_model_len: int | None = None
    """Tokens of prompt and answer together; the model's own limit by default."""
    cache: Path | None = None
    """Where answers are kept, by text, prompt and model; OUT/cache by default. Runs may share one."""
    engine: str = "vllm"
    """vllm, or module:Class or FILE.py:Class of an engine of your own."""
    gpu: bool = False
    """Whether the engine runs on GPUs; on the CPU else."""
    replicas: int = 1
    """Engines side by side."""
    tensor_parallel: int = 1
    """GPUs that one engine spreads over."""
    cpus_per_replica: float = 1
    """CPUs that one engine takes."""
    part_rows: int = 1024
    """Texts that are asked and committed together: what a killed job loses at the most a replica."""
    max_num_seqs: int = 256
    """Texts that one engine answers side by side."""
    kv_cache_mb: int = 256
    """Memory of one engine on the CPU for attention's keys and values."""
    gpu_memory_share: float = 0.92
    """Part of a GPU's memory that an engine takes."""
    start_timeout_s: float = 1800
    """How long an engine may take to start."""
    timeout_s: float = 900
    """How long one part, or after a death one piece of it, may take before its engine is ended and started anew."""

    def __post_init__(self) -> None:
        for name in ("replicas", "tensor_parallel", "part_rows", "max_num_seqs", "kv_cache_mb", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}; at least 1 is needed.")
        if self.min_words < 0 or self.max_letters < 1:
            raise ConfigError(
                f"min_words={self.min_words}, max_letters={self.max_letters}; words count from 0, letters from 1."
            )
        if self.start_timeout_s <= 0:
            raise ConfigError(f"start_timeout_s={self.start_timeout_s} must be above 0.")
        if not (self.timeout_s > 0 and self.cpus_per_replica > 0 and 0 < self.gpu_memory_share < 1):
            raise ConfigError(
                f"timeout_s={self.timeout_s}, cpus_per_replica={self.cpus_per_replica} and gpu_memory_share="
                f"{self.gpu_memory_share}; the first two are above 0, the last lies between 0 and 1."
            )
        if self.merge == "llm" and self.model == "embedded":
            raise ConfigError(
                "merge=llm needs a model that follows a prompt; the embedded one only reads, give another."
            )
        if self.tensor_parallel > 1 and not self.gpu:
            raise ConfigError(f"tensor_parallel={self.tensor_parallel} spreads over GPUs; add --gpu True.")


EXTRACT = {
    "debug": ExtractConfig(max_num_seqs=64, part_rows=256),
    "laptop": ExtractConfig(),
    "paper": ExtractConfig(
        model="meta-llama/Llama-3.1-70B-Instruct",
        gpu=True,
        tensor_parallel=4,
        replicas=2,
        max_model_len=8192,
        timeout_s=3600,
    ),
}
"""debug and laptop: the embedded model on the CPU; paper: Llama-3.1-70B-Instruct on two times four GPUs."""
