"""Make lexical.safetensors from the vocabulary.

$ python -m ecgray.text.build_lexical

A word's row is its fixed random direction times its weight: words of many terms ("wave", "block") count less.
Then all are fitted by ridge regression, so that the words of a synonym add up to the words of its term; a word
of many names hardly moves. An abbreviation's row is the sum of its term's words.
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
NAME_RIDGE = 0.45
"""The same for a word of names, times the square of how many hold it: "block" stays, "slow" may lean on "bradycardia".
Synonyms held out in four parts lie nearest to their own term in 79 % at 0.45, in 64 % where no word of a name moves."""
_EMPTY = {"and", "of", "or", "the", "to", "with", "within", "present"}
_EMPTY_WEIGHT = 0.1


def build() -> dict[str, np.ndarray]:
    """The tensors of the file: sorted feature indices, their rows, the weight of a word that is not among them."""
    names = {name: plain_text(name).split() for name in TERMS}
    weights = _weights(list(names.values()))
    stranger = float(np.median(list(weights.values())))
    rows = {word: weight * _own(word) for word, weight in weights.items()}
    _fit_synonyms(rows, names, stranger)
    sums = {name: _total(rows, words) for name, words in names.items()}
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


def _fit_synonyms(rows: dict[str, np.ndarray], names: dict[str, list[str]], stranger: float) -> None:
    """Move the words, so that the words of a synonym add up to those of its term.

    Words of names move too, the less the more names hold them: they are what terms have in common.
    """
    pairs = [(plain_text(text).split(), names[name]) for name, term in TERMS.items() for text in term.synonyms]
    moving = sorted({word for pair in pairs for words in pair for word in words} - _EMPTY)
    place = {word: number for number, word in enumerate(moving)}
    held = np.array([sum(word in name for name in names.values()) for word in moving])
    ridge = RIDGE + NAME_RIDGE * held**2
    for words, _ in pairs:
        for word in words:
            rows.setdefault(word, _own(word) * (_EMPTY_WEIGHT if word in _EMPTY else stranger))
    design = np.zeros((len(pairs), len(moving)))
    for line, pair in zip(design, pairs, strict=True):
        for words, sign in zip(pair, (1, -1), strict=True):
            line[[place[word] for word in set(words) - _EMPTY]] += sign
    short = [_total(rows, name) - _total(rows, words) for words, name in pairs]  # what each synonym lacks of its term
    moved = np.linalg.solve(design.T @ design + np.diag(ridge), design.T @ np.stack(short))
    for word, change in zip(moving, moved, strict=True):
        rows[word] = rows[word] + change


def _total(rows: dict[str, np.ndarray], words: list[str]) -> np.ndarray:
    return np.sum([rows[word] for word in words], axis=0)


def _feature(word: str) -> int:
    (index,) = word_hasher().transform([word]).indices
    return int(index)


def _own(word: str) -> Float[np.ndarray, " width"]:
    return signs(np.array([_feature(word)]), WORD_WIDTH)[0]


if __name__ == "__main__":
    from safetensors.numpy import save

    OUT.write_bytes(save(build()))
