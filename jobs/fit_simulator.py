"""Fit the simulator to real beats, class by class and lead by lead (SE-Diff App. C); training patients only.

$ python jobs/fit_simulator.py laptop --records runs/ptb-xl runs/cpsc --labels runs/ptb-xl-labels runs/cpsc-labels \
    --intervals runs/ptb-xl-measured runs/cpsc-measured --out runs/eta

OUT/eta.json holds the parameters and how well they fit, OUT/fit.svg the fitted beats over the typical ones.
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.fit_simulator import FIT_SIMULATOR, FitSimulatorConfig


def stage(config: FitSimulatorConfig) -> dict[str, Any]:
    from ecgray.cluster.fit_simulator import fit_simulator

    return fit_simulator(config)


if __name__ == "__main__":
    run_job(__doc__ or "", FIT_SIMULATOR, stage)
