"""Train a model that reads ECG statements; OUT/model is a Hugging Face folder for `jobs/extract.py --model`.

$ python jobs/train_ner.py laptop --out runs/ner                   # from nothing: the model that ships, under an hour
$ python jobs/train_ner.py laptop --base embedded --pairs runs/70b/cache --epochs 3 --out runs/ner-site
$ ray job submit --working-dir . -- python jobs/train_ner.py paper --pairs /data/70b/cache --out /data/ner   # 8 GPUs

With --pairs it learns what a larger model answered, so that a site asks the large one once and a fast one ever after.
"""

from __future__ import annotations

from typing import Any

from ecgray.recipes.command import run_job
from ecgray.recipes.train_ner import TRAIN_NER, TrainNerConfig


def stage(config: TrainNerConfig) -> dict[str, Any]:
    from ecgray.cluster.ner import train_ner

    return train_ner(config)


if __name__ == "__main__":
    run_job(__doc__ or "", TRAIN_NER, stage)
