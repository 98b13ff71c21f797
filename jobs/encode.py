"""Bring every record to its latent of 4 x 128, which the diffusion model learns.

$ python jobs/encode.py laptop --records runs/ptb-xl --vae runs/vae --out runs/latents
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.encode import ENCODE, EncodeConfig


def stage(config: EncodeConfig) -> dict[str, Any]:
    from ecgray.cluster.encode import encode

    return encode(config)


if __name__ == "__main__":
    run_job(__doc__ or "", ENCODE, stage)
