"""Train another kind of generator beside SE-Diff: a GAN, a diffusion of strips, or one of beats that are tiled.

$ python jobs/train_baseline.py laptop --kind sssd --records runs/ptb-xl --intervals runs/intervals --out runs/sssd
$ python jobs/generate.py       laptop --model runs/sssd --prompt "sinus bradycardia, 45 bpm" --out runs/slow
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.train_baseline import TRAIN_BASELINE, TrainBaselineConfig


def stage(config: TrainBaselineConfig) -> dict[str, Any]:
    from ecgray.cluster.baseline import train_baseline

    return train_baseline(config)


if __name__ == "__main__":
    run_job(__doc__ or "", TRAIN_BASELINE, stage)
