"""How well a model finds an ECG's text among many, and a text's ECG: accuracy beside chance.

Several ECGs often have one text. Any of the texts that read the same counts as found, so chance is more than 1 / n.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def retrieval_ranks(
    similarity: Float[np.ndarray, "record record"], texts: Int[np.ndarray, " record"]
) -> Float[np.ndarray, " record"]:
    """Of each row the place, from 1, of the best right column; ties count against it.

    Column n holds the text of record n; a column is right where its text is that of the row.

    >>> retrieval_ranks(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1])).tolist()
    [1.0, 2.0]
    """
    right = texts[:, None] == texts[None, :]
    best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
    return 1.0 + ((similarity >= best) & ~right).sum(axis=1)


def chance_of(texts: Int[np.ndarray, " record"], *, top: int) -> float:
    """The part of rows for which `top` columns drawn at random hold a right one.

    >>> round(chance_of(np.arange(4), top=1), 3), round(chance_of(np.array([0, 0, 1, 2]), top=1), 3)
    (0.25, 0.375)
    """
    count, total = np.unique(texts, return_counts=True)[1], len(texts)
    missed = np.ones(len(count))
    for drawn in range(min(top, total)):
        missed *= np.maximum(total - count - drawn, 0) / (total - drawn)
    return float(((1 - missed) * count).sum() / total)
