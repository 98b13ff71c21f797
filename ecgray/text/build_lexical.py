"""Make lexical.safetensors from the vocabulary.

$ python -m ecgray.text.build_lexical

A word's row is its fixed random direction times its weight: words of many terms ("wave", "block") count less.
An abbreviation's row is the sum of its term's words. Words of synonyms only are fitted by ridge regression, so that the
words of a synonym add up to the words of its term.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from ecgray.text.lexical import WORD_WIDTH, plain_text, signs, word_hasher
from ecgray.text.terms import TERMS

OUT = Path(__file__).with_name("lexical.safetensors")
NOT_ABBREVIATIONS = {"at", "pace"}
"""Words of plain English; as abbreviations they would mislead."""
RIDGE = 0.3
"""How strongly a synonym's word keeps a direction of its own."""
_EMPTY = {"and", "of", "or", "the", "to", "with", "within", "present"}
_EMPTY_WEIGHT = 0.1


def build() -> dict[str, np.ndarray]:
    """The tensors of the file: sorted feature indices, their rows, the weight of a word that is not among them."""
    names = {name: plain_text(name).split() for name in TERMS}
    weights = _weights(list(names.values()))
    stranger = float(np.median(list(weights.values())))
    rows = {word: weight * _own(word) for word, weight in weights.items()}
    sums = {name: np.sum([rows[word] for word in words], axis=0) for name, words in names.items()}
    _fit_synonyms(rows, sums, stranger)
    for term in TERMS.values():
        for text in term.abbreviations:
            word = plain_text(text).strip()
            if word not in rows and word not in NOT_ABBREVIATIONS:
                rows[word] = sums[term.name]
    index = {_feature(word): row for word, row in rows.items()}
    order = sorted(index)
    return {
        "index": np.array(order, np.int32),
        "rows": np.stack([index[feature] for feature in order]).astype(np.float16),
        "stranger_weight": np.array([stranger], np.float32),
    }


def _weights(texts: list[list[str]]) -> dict[str, float]:
    """Each word's weight by how many terms hold it: 1 where one does, less where many do."""
    words = sorted({word for text in texts for word in text})
    held = {word: sum(word in text for text in texts) for word in words}
    rarest = np.log(1 + len(texts))
    return {
        word: _EMPTY_WEIGHT if word in _EMPTY else float(np.log(1 + len(texts) / held[word]) / rarest) for word in words
    }


def _fit_synonyms(rows: dict[str, np.ndarray], sums: dict[str, np.ndarray], stranger: float) -> None:
    """Give every word that stands only in synonyms a row, so that synonyms add up to their terms."""
    pairs = [(plain_text(text).split(), name) for name, term in TERMS.items() for text in term.synonyms]
    new = sorted({word for words, _ in pairs for word in words if word not in rows})
    start = np.stack([_own(word) * (_EMPTY_WEIGHT if word in _EMPTY else stranger) for word in new])
    place = {word: number for number, word in enumerate(new) if word not in _EMPTY}
    design = np.array([[float(word in words) for word in new if word in place] for words, _ in pairs])
    fixed = dict(zip(new, start, strict=True)) | rows
    missing = np.stack(
        [sums[name] - np.sum([fixed[word] for word in words], axis=0) for words, name in pairs]
    )  # what the words of the synonym, as they start, still lack of the term's
    moved = np.linalg.solve(design.T @ design + RIDGE * np.eye(design.shape[1]), design.T @ missing)
    rows.update(zip(new, start, strict=True))
    for word, change in zip(place, moved, strict=True):
        rows[word] = rows[word] + change


def _feature(word: str) -> int:
    (index,) = word_hasher().transform([word]).indices
    return int(index)


def _own(word: str) -> Float[np.ndarray, " width"]:
    return signs(np.array([_feature(word)]), WORD_WIDTH)[0]


if __name__ == "__main__":
    from safetensors.numpy import save

    OUT.write_bytes(save(build()))
