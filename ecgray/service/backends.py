"""Who answers: the protocols that the app is built over, and what goes back and forth."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int16

from ecgray.sediff.prompts import Prompt


@dataclass(frozen=True)
class Stamp:
    """Which model answered: stands in every answer."""

    name: str
    """classifier, generator or delineator."""
    kind: str
    version: str
    """Of ecgray, when the model was written."""
    sha256: str
    """Twelve digits of the folder's checksums: changes when any of its files does."""
    preset: str


@dataclass(frozen=True)
class Asked:
    """What one request wants to know of its recordings."""

    counts: Int16[np.ndarray, "record lead=12 time=5000"]
    """1/1000 mV at 500 Hz."""
    queries: tuple[tuple[str, ...], ...]
    """For each recording its questions; none: its embedding is wanted."""


@dataclass(frozen=True)
class Answered:
    """For each recording its logits, or its embedding."""

    values: list[Float[np.ndarray, " _"]]
    stamp: Stamp
    flags: Mapping[str, tuple[str, ...]]
    """Of each question: what makes an answer doubtful."""


@dataclass(frozen=True)
class Explained:
    """Where one answer comes from."""

    logit: float
    baseline_logit: float
    """Of a flat line."""
    parts: Float[np.ndarray, "lead=12 part"]
    """What each lead and 0.1 s added."""
    stamp: Stamp
    flags: tuple[str, ...] = ()
    """What makes the answer doubtful."""


@dataclass(frozen=True)
class Commission:
    """What one request wants drawn; None: the model's own."""

    prompts: tuple[Prompt, ...]
    seed: int
    steps: int | None = None
    sampler: str | None = None
    guidance_scale: float | None = None


@dataclass(frozen=True)
class Accepted:
    """A commission is understood: how it will be drawn, and by whom."""

    steps: int
    sampler: str
    guidance_scale: float
    stamp: Stamp
    flags: tuple[tuple[str, ...], ...]
    """What is odd about each prompt for this generator."""


@dataclass(frozen=True)
class Progress:
    """So many steps are done."""

    step: int
    of: int


@dataclass(frozen=True)
class Drawn:
    """The ECGs."""

    counts: Int16[np.ndarray, "ecg lead=12 time=5000"]
    stamp: Stamp


@runtime_checkable
class Reader(Protocol):
    """The classifier."""

    async def answer(self, asked: Asked) -> Answered:
        """Logits of each recording and question, or embeddings; all from one model."""

    async def explain(self, counts: Int16[np.ndarray, "lead=12 time=5000"], query: str) -> Explained:
        """Where an answer comes from."""

    async def facts(self) -> dict[str, Any]:
        """What is told of the model: its stamp, its details, its card."""


@runtime_checkable
class Measurer(Protocol):
    """The delineator."""

    async def measure(self, counts: Int16[np.ndarray, "record lead=12 time=5000"]) -> list[dict[str, Any]]:
        """Of each recording `intervals`, `reasons` and `r_peaks_s`."""


@runtime_checkable
class Writer(Protocol):
    """The generator."""

    def draw(self, commission: Commission) -> AsyncGenerator[Accepted | Progress | Drawn]:
        """`Accepted`, then `Progress` after steps, then `Drawn`. Closing the iterator gives the commission up.

        Raises `ConfigError` where the model cannot draw so.
        """

    async def facts(self) -> dict[str, Any]:
        """What is told of the model: its stamp, its details, its card."""


@dataclass(frozen=True)
class Backends:
    """All who answer; None where the service was started without."""

    reader: Reader | None
    measurer: Measurer | None
    writer: Writer | None

    def named(self) -> dict[str, Reader | Writer]:
        """The models that /v1/models and the Open Inference Protocol name."""
        found: dict[str, Reader | Writer | None] = {"classifier": self.reader, "generator": self.writer}
        return {name: each for name, each in found.items() if each is not None}


def stack(many: Sequence[Asked]) -> Asked:
    """Several requests as one."""
    if len(many) == 1:
        return many[0]
    return Asked(
        np.concatenate([asked.counts for asked in many]), tuple(queries for asked in many for queries in asked.queries)
    )
