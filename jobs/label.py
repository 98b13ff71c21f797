"""Say which standard terms hold for each record.

$ python jobs/label.py debug --records runs/ptb-xl --out runs/ptb-xl-labels     # 22,000 records, a second
$ python jobs/label.py debug --source entities --records runs/mimic --entities runs/mimic-entities --out runs/labels

OUT/labels holds the terms of each record, OUT/terms.json how often each term holds and what no term stands for;
OUT/frequency.svg draws it. From entities, OUT/mapping.csv says what each entity stands for, and OUT/review.csv lists
those that a clinician should look at: edit its column `decision`, and give it back by --review.
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
