"""Ask a classifier questions about records that it was not trained on, and score its answers.

$ python jobs/zeroshot.py laptop --model runs/pretrain --records runs/cpsc2018 --queries cpsc2018 --out runs/zeroshot

OUT/answers holds a probability for each record and query. Where the task knows the truth, OUT/results.json and
OUT/picture.svg hold AUROC by class with 95 % intervals, beside a network of random weights.
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.zeroshot import ZEROSHOT, ZeroshotConfig


def stage(config: ZeroshotConfig) -> dict[str, Any]:
    from ecgray.cluster.scoring import zeroshot

    return zeroshot(config)


if __name__ == "__main__":
    run_job(__doc__ or "", ZEROSHOT, stage)
