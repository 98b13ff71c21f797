"""The delineator's model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def delineator_card(steps: int, seed: int, *, trained: int, network: nn.Module, results: Mapping[str, Any]) -> str:
    """The card as Markdown; `results` as results.json holds them, `trained` the number of recordings."""
    ends = [
        f"| {end['wave']} {end['end']} | {100 * end['sensitivity']:.2f} | {100 * end['precision']:.2f} | "
        f"{end['mean_ms']:+.1f} | {end['sd_ms']:.1f} |"
        for end in results["ends"]
    ]
    intervals = [
        f"| {name} | {one['mean_absolute_error']:.1f} | {one['records']} | {one['missed']} | {one['invented']} |"
        for name, one in results["intervals"].items()
    ]
    return "\n".join(
        [
            "# Delineator: onset and end of P, QRS and T in every lead",
            "",
            "**Research use only.** Not a medical device; not for diagnosis, triage or treatment.",
            "",
            f"A 1-D U-Net of {sum(weight.numel() for weight in network.parameters()):,} parameters, trained by",
            f"`python jobs/train_delineator.py laptop --archive LUDB --out OUT` ({steps} steps, seed {seed})",
            f"on {trained} recordings of LUDB (Lobachevsky University Database, ODC-By 1.0), marked by cardiologists",
            "lead by lead.",
            "",
            f"## Scored on {results['records']} recordings of other patients",
            "",
            "| end | sensitivity % | positive predictivity % | mean error ms | SD ms |",
            "|---|---|---|---|---|",
            *ends,
            "",
            "| interval | mean absolute error ms | records | missed | invented |",
            "|---|---|---|---|---|",
            *intervals,
            "",
            "LUDB is small and from one hospital; other recorders, children and pacemakers may be read otherwise.",
            "",
        ]
    )
