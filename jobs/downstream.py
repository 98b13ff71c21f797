r"""Does a classifier with 10 % of one class gain from generated ECGs? Sex, or supraventricular tachycardia.

$ python jobs/encode.py     laptop --records runs/generated --vae runs/vae --out runs/generated-latents
$ python jobs/downstream.py laptop --records runs/ptb-xl --generated runs/generated --latents runs/latents \
    --generated-latents runs/generated-latents --task sex --out runs/downstream
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.downstream import DOWNSTREAM, DownstreamConfig


def stage(config: DownstreamConfig) -> dict[str, Any]:
    from ecgray.cluster.downstream import downstream

    return downstream(config)


if __name__ == "__main__":
    run_job(__doc__ or "", DOWNSTREAM, stage)
