"""Which other patient's recording stands in for one's own: anybody's, or that of another heart with the same report."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from ecgray.metrics.frechet import half_of


def anyone(patients: np.ndarray, *, seed: int) -> Int[np.ndarray, " record"]:
    """A record of another patient for each record, each record used about once; -1 where there is no other patient.

    >>> anyone(np.array(["a", "a", "b"]), seed=0).tolist()
    [2, 2, 1]
    """
    order = np.random.default_rng([seed, 4]).permutation(len(patients))
    partner = np.full(len(patients), -1)
    for step, record in enumerate(order.tolist()):
        turned = np.roll(order, -step - 1)[:-1]
        others = turned[patients[turned] != patients[record]]
        partner[record] = others[0] if len(others) else -1
    return partner


def other_half(patients: np.ndarray, text: Int[np.ndarray, " record"], *, seed: int) -> Int[np.ndarray, " record"]:
    """A record of the other half of the patients for each record, of the same text where that half has one.

    >>> other_half(np.array(["a", "b"]), np.array([0, 1]), seed=0).tolist()
    [1, 0]
    """
    names, patient = np.unique(patients, return_inverse=True)
    first = half_of(patient, len(names), seed=seed)
    random = np.random.default_rng([seed, 5])
    partner = np.full(len(patients), -1)
    for record in range(len(patients)):
        beyond = first != first[record]
        alike = np.flatnonzero(beyond & (text == text[record]))
        others = alike if len(alike) else np.flatnonzero(beyond)
        if len(others):
            partner[record] = random.choice(others)
    return partner
