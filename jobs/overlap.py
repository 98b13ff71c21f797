"""Say which queries a pre-training set already names: cosine of every term with every query.

$ python jobs/overlap.py debug --labels runs/labels --out runs/overlap     # the six public tasks, two seconds
$ python jobs/overlap.py debug --labels runs/labels --queries csn-exact my-queries.txt --out runs/overlap-mine

OUT/overlap.csv lists the pairs at the threshold or above, with a verdict: opposed pairs are false overlaps.
OUT/nearest.csv holds the nearest term of each query, OUT/overlap.svg draws both.
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.overlap import OVERLAP, OverlapConfig


def stage(config: OverlapConfig) -> dict[str, Any]:
    from ecgray.cluster.overlap import overlap

    return overlap(config)


if __name__ == "__main__":
    run_job(__doc__ or "", OVERLAP, stage)
