"""Macro AUROC with a patient bootstrap: 1,000 resamples of 20,000 records and 106 classes, beside scikit-learn.

$ python benchmarks/auroc.py

scikit-learn's `roc_auc_score` is timed on one resample of each of 40 classes and scaled up. Prints one JSON line.
"""

from __future__ import annotations

import json
import time

import numpy as np
from sklearn.metrics import roc_auc_score

from ecgray.metrics.auroc import score_classes

RECORDS, CLASSES, PATIENTS, RESAMPLES = 20_000, 106, 17_000, 1_000


def main() -> None:
    """Time both on the same drawn scores."""
    random = np.random.default_rng(0)
    prevalence = np.exp(random.uniform(np.log(5e-4), np.log(0.6), CLASSES))
    truth = random.random((RECORDS, CLASSES)) < prevalence
    score = (random.random((RECORDS, CLASSES)) + 0.3 * truth).astype(np.float32)
    patients = random.integers(0, PATIENTS, RECORDS)

    start = time.process_time()
    score_classes(truth, score, patients=patients, resamples=RESAMPLES)
    ours = time.process_time() - start

    start, timed = time.process_time(), 40
    for label in range(timed):
        weight = random.poisson(1, RECORDS)
        roc_auc_score(truth[:, label], score[:, label], sample_weight=weight)
    theirs = (time.process_time() - start) / timed * CLASSES * RESAMPLES
    print(json.dumps({"cpu_s": round(ours, 2), "scikit_learn_cpu_s": round(theirs), "ratio": round(theirs / ours)}))


if __name__ == "__main__":
    main()
