"""Find the weights of the three views and the number of neighbours (SE-Diff Table 10), by held-out patients.

$ python jobs/tune_retrieval.py laptop --records runs/mimic --retrieved runs/experience --out runs/tune-retrieval

OUT/trials.csv is the table, OUT/retrieval.svg the picture: how much of a record's own findings and diagnoses is in what
is retrieved for it, beside chance.
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.tune_retrieval import TUNE_RETRIEVAL, TuneRetrievalConfig


def stage(config: TuneRetrievalConfig) -> dict[str, Any]:
    from ecgray.cluster.tune_retrieval import tune_retrieval

    return tune_retrieval(config)


if __name__ == "__main__":
    run_job(__doc__ or "", TUNE_RETRIEVAL, stage)
