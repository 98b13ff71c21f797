"""Train SE-Diff's autoencoder and beat decoder (Eq. 11-16); OUT/model is a folder for `jobs/encode.py --vae`.

$ python jobs/measure.py   laptop --records runs/ptb-xl --out runs/measure      # where the R peaks are
$ python jobs/train_vae.py laptop --records runs/ptb-xl --intervals runs/measure --out runs/vae
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.train_vae import TRAIN_VAE, TrainVaeConfig


def stage(config: TrainVaeConfig) -> dict[str, Any]:
    from ecgray.cluster.vae import train_vae

    return train_vae(config)


if __name__ == "__main__":
    run_job(__doc__ or "", TRAIN_VAE, stage)
