"""How near generated ECGs come to training records, beside how near other patients do, and what was planted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ecgray.metrics.bootstrap import Estimate, PatientBootstrap
from ecgray.metrics.memorisation import Nearest

PERCENT = 99.0
"""Only one in a hundred held-out patients comes nearer to a training record than this."""


def nearness(
    own: Nearest, held_out: Nearest, *, patients: np.ndarray, resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """How near a set comes to the training records, and which part of it comes nearer than 99 % of held-out patients.

    Distances are 1 - correlation of the waves, and Euclidean of the embeddings. A ratio below 1 says that the set lies
    nearer to the training records than other patients do: it copies. `above_held_out` is 0.01 for other patients.
    """
    boot = PatientBootstrap(patients, resamples=resamples, seed=seed)
    limit = float(np.percentile(held_out.correlation, PERCENT))
    found: dict[str, Estimate] = {
        "correlation": boot.median(own.correlation),
        "above_held_out": boot.mean((own.correlation > limit).astype(float)),
        "embedding_distance": boot.median(own.embedding_distance),
    }
    distances = {
        "distance_ratio": (1 - own.correlation, 1 - held_out.correlation),
        "embedding_distance_ratio": (own.embedding_distance, held_out.embedding_distance),
    }
    near = {name: _ratio(*pair) for name, pair in distances.items()}
    whole = {"ecgs": len(own.correlation), "largest_correlation": _rounded(own.correlation.max(initial=-1.0))}
    return {name: {k: _rounded(v) for k, v in asdict(each).items()} for name, each in found.items()} | near | whole


def _ratio(own: Float[np.ndarray, " ecg"], held_out: Float[np.ndarray, " record"]) -> float | None:
    """Of medians; None where there is nothing to divide by."""
    if not (np.isfinite(own).any() and np.isfinite(held_out).any()):
        return None
    below = float(np.nanmedian(held_out))
    return _rounded(float(np.nanmedian(own)) / below) if below > 0 else None


def planted_found(planted: Nearest, origin: Int[np.ndarray, " copy"], held_out: Nearest) -> dict[str, Any]:
    """Whether planted copies were told: by their waves, the right record, nearer than 99 % of held-out patients."""
    limit = float(np.percentile(held_out.correlation, PERCENT))
    right = planted.record == origin
    return {
        "planted": len(origin),
        "planted_found": _rounded(float((right & (planted.correlation > limit)).mean())) if len(origin) else None,
        "planted_found_by_embedding": _rounded(float((planted.embedding_record == origin).mean()))
        if len(origin)
        else None,
        "least_correlation": _rounded(planted.correlation.min(initial=np.inf)),
        "held_out_99": _rounded(limit),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return round(float(value), 4) if np.isfinite(value) else None
    return value
