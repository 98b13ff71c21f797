"""Hold the quality of ECGs against the time that they take: sampler x steps x guidance (SE-Diff App. I), on Ray Tune.

$ python jobs/tune_steps.py laptop --model runs/diffusion --records runs/ptb-xl --scorer runs/scorer --out runs/steps
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.tune_steps import TUNE_STEPS, TuneStepsConfig


def stage(config: TuneStepsConfig) -> dict[str, Any]:
    from ecgray.cluster.tune_steps import tune_steps

    return tune_steps(config)


if __name__ == "__main__":
    run_job(__doc__ or "", TUNE_STEPS, stage)
