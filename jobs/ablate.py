"""Train SE-Diff without each of its parts, everything else the same, and score all of them in one table.

$ python jobs/ablate.py sediff --records runs/ptb-xl --latents runs/latents --vae runs/vae --labels runs/labels \
      --experience runs/experience --scorer runs/scorer --out runs/ablation
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.ablate import ABLATE, AblateConfig
from ecgray.recipes.command import run_job


def stage(config: AblateConfig) -> dict[str, Any]:
    from ecgray.cluster.ablate import ablate

    return ablate(config)


if __name__ == "__main__":
    run_job(__doc__ or "", ABLATE, stage)
