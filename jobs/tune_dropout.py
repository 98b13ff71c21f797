"""Find the dropout ratio: the paper's four, and a continuous search that ASHA cuts short.

$ python jobs/tune_dropout.py debug --records runs/ingest --labels runs/labels --out runs/dropout   # two CPUs, minutes
$ python jobs/tune_dropout.py laptop --records runs/ingest --labels runs/labels --out runs/dropout --continuous 4
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.tune_dropout import TUNE_DROPOUT, TuneDropoutConfig


def stage(config: TuneDropoutConfig) -> dict[str, Any]:
    from ecgray.cluster.sweeps import tune_dropout

    return tune_dropout(config)


if __name__ == "__main__":
    run_job(__doc__, TUNE_DROPOUT, stage)
