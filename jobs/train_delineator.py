"""Train the network that finds P, QRS and T in every lead; OUT/model is a folder for `jobs/measure.py --delineator`.

$ python jobs/train_delineator.py laptop --archive LUDB --out runs/delineator             # the model that ships
$ python jobs/train_delineator.py laptop --archive LUDB --folds 5 --fold 0 --out runs/f0  # scored on a fifth of them
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.train_delineator import TRAIN_DELINEATOR, TrainDelineatorConfig


def stage(config: TrainDelineatorConfig) -> dict[str, Any]:
    from ecgray.cluster.delineator import train_delineator

    return train_delineator(config)


if __name__ == "__main__":
    run_job(__doc__ or "", TRAIN_DELINEATOR, stage)
