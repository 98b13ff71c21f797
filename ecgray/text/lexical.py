"""The embedded text encoder: words and character n-grams, hashed and projected. No download, no language model.

Texts that share words lie near each other; the vector of a phrase is about the sum of its words'. Of meaning it knows
what `vocabulary/terms.csv` says: an abbreviation lies where its term lies, and the words of names and synonyms are
fitted so that a synonym lies near its term. Any other word has a fixed direction of its own, near orthogonal to all.

Two blocks, each of length 1 before weighing: whole words (512 numbers), and n-grams of 3 to 5 characters within words
(256), which bring inflections and spellings together. `lexical.safetensors` holds the rows of the known words; it is
made by `python -m ecgray.text.build_lexical`.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

LEXICAL = "lexical"
WORD_WIDTH = 512
CHARACTER_WIDTH = 256
_WORD_SHARE = 0.9
_FEATURES = 1 << 20
_LETTERS = 8_000
_WORD = r"(?u)\b\w+\b"


class LexicalEncoder:
    """Same text, same vector, on every machine. See the module's docstring for what it knows and what not."""

    name = LEXICAL
    pooler: Literal["cls", "pooler"] = "cls"  # it has one output only
    width = WORD_WIDTH + CHARACTER_WIDTH

    def __init__(self) -> None:
        from safetensors.numpy import load

        content = resources.files("ecgray.text").joinpath("lexical.safetensors").read_bytes()
        stored = load(content)
        self._known = stored["index"]
        self._rows = stored["rows"].astype(np.float64)
        self._stranger_weight = float(stored["stranger_weight"][0])
        self._words = word_hasher()
        self._characters = _hasher(analyzer="char_wb", ngram_range=(3, 5))
        self.fingerprint = hashlib.sha256(content).hexdigest()[:12]

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        """One vector of length 1 a text; a text without letters or digits gives zeros."""
        if not texts:  # scikit-learn refuses to hash nothing
            return np.zeros((0, self.width), np.float32)
        plain = [plain_text(text) for text in texts]
        return np.concatenate([self._encode(part) for part in _parts(plain)])

    def _encode(self, plain: list[str]) -> Float[np.ndarray, "text width"]:
        words = self._words.transform(plain)
        characters = self._characters.transform(plain)
        blocks = (
            _WORD_SHARE**0.5 * _unit(_sum_rows(words, self._word_rows)),
            (1 - _WORD_SHARE) ** 0.5 * _unit(_sum_rows(characters, lambda used: signs(used, CHARACTER_WIDTH))),
        )
        return np.hstack(blocks).astype(np.float32)

    def encode_tokens(self, texts: Sequence[str], *, most: int) -> list[Float[np.ndarray, "_ width"]]:
        """One vector of length 1 a word, the same wherever it stands; each distinct word is encoded once."""
        words = [plain_text(text).split()[:most] for text in texts]
        distinct = sorted({word for line in words for word in line})
        place = {word: at for at, word in enumerate(distinct)}
        vectors = self.encode(distinct)
        return [vectors[[place[word] for word in line]] for line in words]

    def _word_rows(self, used: Int[np.ndarray, " feature"]) -> Float[np.ndarray, "feature width"]:
        rows = signs(used, WORD_WIDTH) * self._stranger_weight
        place = np.searchsorted(self._known, used).clip(max=len(self._known) - 1)
        known = self._known[place] == used
        rows[known] = self._rows[place[known]]
        return rows


def word_hasher() -> Any:
    """Texts to counts of hashed words."""
    return _hasher(analyzer="word", token_pattern=_WORD)


def _hasher(**settings: Any) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=_FEATURES, alternate_sign=False, norm=None, binary=True, **settings)


def plain_text(text: str) -> str:
    """Lower case, one form of each letter, a space for everything but letters and digits.

    >>> plain_text("Left bundle-branch block.").split()
    ['left', 'bundle', 'branch', 'block']
    """
    letters = unicodedata.normalize("NFKC", text).lower()
    return "".join(letter if letter.isalnum() else " " for letter in letters)


def signs(index: Int[np.ndarray, " feature"], width: int) -> Float[np.ndarray, "feature width"]:
    """A row of length 1 for each hashed feature, made from its index alone (splitmix64): the same on every machine."""
    seed = index.astype(np.uint64)[:, None] * np.uint64(4096) + np.arange(width, dtype=np.uint64)
    mixed = seed * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.where((mixed >> np.uint64(63)) == 1, 1.0, -1.0) / width**0.5


def _parts(texts: list[str]) -> Iterator[list[str]]:
    """The texts in parts of some thousand letters: each n-gram of a part takes 6 kB while it is encoded."""
    part: list[str] = []
    letters = 0
    for text in texts:
        if part and letters + len(text) > _LETTERS:
            yield part
            part, letters = [], 0
        part.append(text)
        letters += len(text)
    yield part


def _sum_rows(features: Any, rows_of: Any) -> Float[np.ndarray, "text width"]:
    used = np.unique(features.indices)
    return np.asarray(features[:, used] @ rows_of(used))


def _unit(vectors: Float[np.ndarray, "text width"]) -> Float[np.ndarray, "text width"]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length == 0, 1, length)
