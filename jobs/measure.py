"""Measure every record: heart rate, PR, QRS, QT and QTcF, ST60, P and T, null with a reason where it cannot be done.

$ python jobs/measure.py laptop --records runs/ptb-xl --out runs/measure
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.measure import MEASURE, MeasureConfig


def stage(config: MeasureConfig) -> dict[str, Any]:
    from ecgray.cluster.measure import measure

    return measure(config)


if __name__ == "__main__":
    run_job(__doc__ or "", MEASURE, stage)
