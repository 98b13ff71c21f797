"""Bring every record the experience of similar patients: their admissions by diagnoses, drugs and procedures.

$ python jobs/retrieve.py laptop --records runs/mimic --ehr mimiciv/3.1 --out runs/experience

OUT/admissions holds the admissions of the records' patients, OUT/experience a row a record: the admission that it
belongs to, the most similar ones of other, training patients, and a paragraph on what their ECGs showed.
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.retrieve import RETRIEVE, RetrieveConfig


def stage(config: RetrieveConfig) -> dict[str, Any]:
    from ecgray.cluster.retrieve import retrieve

    return retrieve(config)


if __name__ == "__main__":
    run_job(__doc__ or "", RETRIEVE, stage)
