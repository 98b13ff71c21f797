"""Draw 12-lead ECGs from clinical text (SE-Diff section 3.5), into a records table and WFDB files.

$ python jobs/generate.py laptop --model runs/diffusion --prompt "sinus bradycardia, 45 bpm" --out runs/slow
$ python jobs/generate.py laptop --model runs/diffusion --like runs/ptb-xl --out runs/like   # one for each test record
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.generate import GENERATE, GenerateConfig


def stage(config: GenerateConfig) -> dict[str, Any]:
    from ecgray.cluster.generate import generate

    return generate(config)


if __name__ == "__main__":
    run_job(__doc__ or "", GENERATE, stage)
