"""Score generated ECGs: waves, heart rate, intervals, text, distribution, copies; beside each the trivial baselines.

$ python jobs/evaluate.py laptop --generated runs/generated --records runs/ptb-xl --scorer runs/scorer --out runs/scores

OUT/results.md holds the tables, a row a set, every figure with its 95 % interval over patients and its support;
OUT/case.svg shows one recording beside what each set has for it.
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.evaluate import EVALUATE, EvaluateConfig


def stage(config: EvaluateConfig) -> dict[str, Any]:
    from ecgray.cluster.evaluate import evaluate

    return evaluate(config)


if __name__ == "__main__":
    run_job(__doc__ or "", EVALUATE, stage)
