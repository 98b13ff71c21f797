"""Train SE-Diff's latent diffusion (Eq. 17-23); OUT/model is a folder for `jobs/generate.py --model`.

$ python jobs/encode.py          laptop --records runs/ptb-xl --vae runs/vae --out runs/latents
$ python jobs/train_diffusion.py laptop --records runs/ptb-xl --latents runs/latents --vae runs/vae --out runs/diffusion
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.train_diffusion import TRAIN_DIFFUSION, TrainDiffusionConfig


def stage(config: TrainDiffusionConfig) -> dict[str, Any]:
    from ecgray.cluster.diffusion import train_diffusion

    return train_diffusion(config)


if __name__ == "__main__":
    run_job(__doc__ or "", TRAIN_DIFFUSION, stage)
