"""Say which standard terms hold for each record.

$ python jobs/label.py debug --records runs/ptb-xl --out runs/ptb-xl-labels     # 22,000 records, a second

OUT/labels holds the terms of each record, OUT/terms.json how often each term holds and which codes no term stands for.
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.label import LABEL, LabelConfig


def stage(config: LabelConfig) -> dict[str, Any]:
    from ecgray.cluster.labels import label

    return label(config)


if __name__ == "__main__":
    run_job(__doc__ or "", LABEL, stage)
