"""Recipes of jobs/retrieve.py.

debug    one CPU worker, reports from templates.
laptop   two CPU workers, reports from templates.
paper    sixteen CPU workers, reports by Llama-3.1-70B-Instruct on two times four GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one


@dataclass(frozen=True, kw_only=True)
class RetrieveConfig:
    """Bring every record the experience of similar patients: SE-Diff section 3.4."""

    PLACEMENT: ClassVar[tuple[str, ...]] = (
        "workers",
        "cpus_per_worker",
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
    ehr: Path = tyro.MISSING
    """MIMIC-IV's folder with hosp in it: admissions, diagnoses_icd, procedures_icd, prescriptions (.csv or .csv.gz)."""
    out: Path = tyro.MISSING
    """The folder to write: admissions, experience and quarantine."""
    days_before: float = 365.0
    """An ECG outside any admission belongs to the last one before it, if that ended at most so many days ago."""
    emergency: bool = True
    """Whether an admission begins in the emergency department, where most of its first ECGs are recorded."""
    code_level: Literal["full", "3"] = "full"
    """Diagnoses and procedures by their whole code, or by its first three characters."""
    lambda_diagnoses: float = 1.0
    """lambda_1 of Eq. 22; the paper's is 1."""
    lambda_medications: float = 1.0
    """lambda_2 of Eq. 22; the paper's is 1."""
    lambda_procedures: float = 1.0
    """lambda_3 of Eq. 22; the paper's is 1."""
    k: int = 3
    """Admissions that are retrieved for each record; the paper's is 3."""
    llm: str = "none"
    """Who writes the report: none (templates), a Hugging Face folder, or the name of a model downloaded before."""
    workers: int = 2
    """Processes that search."""
    cpus_per_worker: float = 1.0
    """CPUs that Ray keeps for each."""

    cache: Path | None = None
    """Where answers are kept, by question, prompt and model; OUT/cache by default. Runs may share one."""
    max_tokens: int = 320
    """Tokens of an answer; a second attempt has twice as many."""
    max_model_len: int | None = None
    """Tokens of prompt and answer together; the model's own limit by default."""
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
    """Questions that are asked and committed together: what a killed job loses at the most a replica."""
    max_num_seqs: int = 256
    """Questions that one engine answers side by side."""
    kv_cache_mb: int = 256
    """Memory of one engine on the CPU for attention's keys and values."""
    gpu_memory_share: float = 0.92
    """Part of a GPU's memory that an engine takes."""
    start_timeout_s: float = 1800
    """How long an engine may take to start."""
    timeout_s: float = 900
    """How long one part may take before its engine is ended and started anew."""

    def __post_init__(self) -> None:
        at_least_one(self, "k", "workers", "replicas", "tensor_parallel", "part_rows", "max_num_seqs", "kv_cache_mb")
        at_least_one(self, "max_tokens")
        above_zero(self, "cpus_per_worker", "cpus_per_replica", "start_timeout_s", "timeout_s", "gpu_memory_share")
        lambdas = (self.lambda_diagnoses, self.lambda_medications, self.lambda_procedures)
        if not (min(lambdas) >= 0 and 0 < sum(lambdas) < float("inf")):
            raise ConfigError(f"lambdas={lambdas} must be at least 0 each, and one of them above 0.")
        if not self.days_before >= 0:
            raise ConfigError(f"days_before={self.days_before} must be at least 0.")
        if self.llm == "embedded":
            raise ConfigError("llm=embedded only reads statements; give none for templates, or another model.")


RETRIEVE = {
    "debug": RetrieveConfig(workers=1),
    "laptop": RetrieveConfig(),
    "paper": RetrieveConfig(
        workers=16,
        llm="meta-llama/Llama-3.1-70B-Instruct",
        gpu=True,
        tensor_parallel=4,
        replicas=2,
        max_model_len=8192,
        timeout_s=3600,
    ),
}
