"""Train the ECG-text model behind rCLIP and the Frechet distance: OUT is what `jobs/evaluate.py --scorer` takes.

$ python jobs/train_scorer.py laptop --records runs/ptb-xl --labels runs/labels --out runs/scorer
$ python jobs/train_scorer.py laptop --records runs/ptb-xl --model.encoder supreme --out runs/scorer-b   # Table 9, B
$ python jobs/train_scorer.py laptop --records runs/ptb-xl --text-encoder models/MedCPT --out runs/scorer-c   # C
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.train_scorer import TRAIN_SCORER, TrainScorerConfig


def stage(config: TrainScorerConfig) -> dict[str, Any]:
    from ecgray.cluster.scorer import train_scorer

    return train_scorer(config)


if __name__ == "__main__":
    run_job(__doc__ or "", TRAIN_SCORER, stage)
