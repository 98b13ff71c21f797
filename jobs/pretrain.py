"""Pre-train SuPreME on records and their terms; OUT/model is the classifier.

$ python jobs/pretrain.py debug --records runs/ingest --labels runs/labels --out runs/debug   # two CPUs, seconds
$ python jobs/pretrain.py laptop --records runs/ingest --labels runs/labels --out runs/pretrain  # two CPUs, minutes
$ ray job submit --working-dir . -- python jobs/pretrain.py paper --records ... --labels ... --out ...  # 4 GPUs
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.pretrain import PRETRAIN, PretrainConfig


def stage(config: PretrainConfig) -> dict[str, Any]:
    from ecgray.cluster.training import pretrain

    return pretrain(config)


if __name__ == "__main__":
    run_job(__doc__, PRETRAIN, stage)
