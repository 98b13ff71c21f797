"""Have a language model say what each report states: findings, how sure, and in which words.

$ python jobs/extract.py laptop --records runs/ptb-xl --out runs/ptb-xl-entities

Reports are cut into statements, and each distinct one is asked once. OUT/entities holds a row a record and finding,
OUT/statements what became of each statement. Run the same command again after a crash, or where statements were
refused: only what is missing is asked.
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.extract import EXTRACT, ExtractConfig


def stage(config: ExtractConfig) -> dict[str, Any]:
    from ecgray.cluster.extract import extract

    return extract(config)


if __name__ == "__main__":
    run_job(__doc__ or "", EXTRACT, stage)
